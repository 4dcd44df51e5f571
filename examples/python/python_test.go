// Package python judges the two Python consumers of this folder, as a user
// would with `ksim run -- python3 …`: the one in the style of the client's minimal example must be
// violated, the careful one held, on the embedded broker and on real Kafka.
package python

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/ksim-dev/ksim/examples/judge"
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/subject"
)

func TestMain(m *testing.M) { judge.Main(m) }

func TestEmbedded(t *testing.T) {
	needsPython(t)
	// Beside the twelve of every day: what is done to the wire, records without a value, which are false in Python, and members
	// without a partition, which librdkafka does not have leave.
	judgeBoth(t, judge.Embedded(), "tag:smoke", "tag:network", "tombstone-flood", "idle-members")
}

func TestContainers(t *testing.T) {
	needsPython(t)
	judgeBoth(t, judge.Containers(t, "python"), "tag:smoke")
}

func judgeBoth(t *testing.T, kafka harness.Provider, patterns ...string) {
	judge.Held(t, judge.Run(t, kafka, script("careful.py"), patterns...))
	for _, r := range judge.Run(t, kafka, script("naive.py"), "crash-mid-batch", "transient-failures") {
		judge.Violated(t, r, "no-loss")
		judge.Violated(t, r, "commit-safety")
		for _, c := range r.Checks {
			if c.Check == "no-loss" && (len(c.Evidence) == 0 || c.Evidence[0].Where == "" || c.Evidence[0].Message == "") {
				t.Errorf("naive.py: %s violates no-loss and no record is named: %+v", r.Scenario, c.Evidence)
			}
		}
	}
}

func script(name string) subject.Process { return subject.Process{Command: []string{"python3", name}} }

func needsPython(t *testing.T) {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import confluent_kafka").CombinedOutput()
	if err != nil {
		err = errors.New(string(out))
	}
	judge.Needs(t, "confluent-kafka (pip install -r examples/python/requirements.txt)", err)
}
