package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// machine is what a run ran on, and the versions of all that took part.
type machine struct {
	CPU, Memory, OS, Go, Kafka, Java, LoadBefore, LoadAfter string
	Cores                                                   int
	Clients                                                 []string
}

func thisMachine(kafkaVersion, loadBefore string) machine {
	m := machine{
		CPU: field("/proc/cpuinfo", `model name\s*:\s*(.*)`), Cores: runtime.NumCPU(), OS: field("/etc/os-release", `PRETTY_NAME="(.*)"`),
		Go: runtime.Version(), Kafka: kafkaVersion, LoadBefore: loadBefore, LoadAfter: loadAverage(),
	}
	var kib int
	if _, err := fmt.Sscan(field("/proc/meminfo", `MemTotal:\s*(\d+)`), &kib); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
	}
	if out, err := exec.Command("java", "-version").CombinedOutput(); err == nil {
		m.Java, _, _ = strings.Cut(string(out), "\n")
	}
	compared := map[string]bool{
		"github.com/twmb/franz-go": true, "github.com/IBM/sarama": true, "github.com/segmentio/kafka-go": true,
		"github.com/confluentinc/confluent-kafka-go/v2": true,
	}
	_, librdkafka := kafka.LibraryVersion()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if !compared[dep.Path] {
				continue
			}
			name := strings.TrimPrefix(dep.Path, "github.com/") + " " + strings.TrimPrefix(dep.Version, "v")
			if strings.Contains(name, "confluent") {
				name += " (librdkafka " + librdkafka + ")"
			}
			m.Clients = append(m.Clients, name)
		}
	}
	return m
}

// field is the first match in a file of the system; "unknown" where there is none.
func field(file, pattern string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	match := regexp.MustCompile(pattern).FindSubmatch(text)
	if match == nil {
		return "unknown"
	}
	return string(match[1])
}

// loadAverage of the last minute.
func loadAverage() string { return field("/proc/loadavg", `^(\S+)`) }
