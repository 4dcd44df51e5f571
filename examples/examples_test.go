// Package examples judges the careful consumers of this folder, one for each language.
// Python has a package of its own, which also judges the textbook's consumer.
package examples

import (
	"os/exec"
	"testing"

	"github.com/ksim-dev/ksim/examples/judge"
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/subject"
)

func TestMain(m *testing.M) { judge.Main(m) }

type example struct {
	name    string
	command []string
	built   string   // what `make examples` leaves
	from    []string // what that is built from
	tool    string   // that must be in PATH to run it; "" for none
}

func all() []example {
	return []example{
		{
			name: "java", tool: "java",
			command: []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", "java/target/careful.jar"},
			built:   "java/target/careful.jar", from: []string{"java/pom.xml", "java/src"},
		},
		{
			name: "node", tool: "node", command: []string{"node", "node/careful.js"},
			built: "node/node_modules/.package-lock.json", from: []string{"node/package-lock.json"},
		},
		{
			name: "sarama", command: []string{"sarama/careful"}, built: "sarama/careful",
			from: []string{"sarama/go.mod", "sarama/main.go", "sarama/settings.go", "sarama/effects.go", "sarama/deadletters.go"},
		},
		{
			name: "rust", command: []string{"rust/target/release/careful"}, built: "rust/target/release/careful",
			from: []string{"rust/Cargo.toml", "rust/src"},
		},
	}
}

// One scenario for each thing that can go wrong; python takes the whole catalogue, since that costs the least there.
func TestEmbedded(t *testing.T) {
	for _, e := range all() {
		t.Run(e.name, func(t *testing.T) {
			e.needs(t)
			judge.Held(t, judge.RunWith(t, judge.Embedded(), e.process(), e.sideBySide,
				"steady", "member-joins", "member-leaves", "rolling-restart", "crash-mid-batch", "crash-before-commit",
				"zombie", "transient-failures", "poison-mix", "slow-handler", "key-order-under-churn", "idle-members"))
		})
	}
}

// On real Kafka, where dead letters have the brokers' time and groups their real timing, what is most likely to differ.
func TestContainers(t *testing.T) {
	kafka := judge.Containers(t, "examples")
	for _, e := range all() {
		t.Run(e.name, func(t *testing.T) {
			e.needs(t)
			judge.Held(t, judge.RunWith(t, kafka, e.process(), e.sideBySide, "member-joins", "crash-mid-batch", "poison-mix"))
		})
	}
}

// sideBySide is for JVMs less than for others: three for each scenario start slowly where there are two cores.
func (e example) sideBySide(cfg *harness.Config) {
	if cfg.Parallel = 8; e.name == "java" {
		cfg.Parallel = 4
	}
}

func (e example) process() subject.Process { return subject.Process{Command: e.command} }

func (e example) needs(t *testing.T) {
	t.Helper()
	if e.tool != "" {
		_, err := exec.LookPath(e.tool)
		judge.Needs(t, e.tool, err)
	}
	judge.Built(t, e.built, e.from...)
}
