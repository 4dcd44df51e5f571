// Package harness runs a consumer through a scenario: it starts Kafka and the
// members, sends the workload, injects the faults, waits until everything has
// drained, and has the history judged. [RunScenario] is the main path.
package harness

import (
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/workload"
)

// Scenario is one way in which a consumer may break, as data. The zero value
// of a field means: as the Config says.
type Scenario struct {
	Name string   // crash-mid-batch
	Doc  string   // one sentence: what happens, and what a sound consumer does
	Tags []string // smoke, ci, full, and families: crash, rebalance, poison…

	Messages  int           // sent in all phases together, extra traffic while faults last apart
	Keys      int           // distinct keys
	Zipf      float64       // exponent of the key distribution; 0 is uniform
	Mix       workload.Mix  // poison
	SlowEvery time.Duration // the sink takes that long for every effect; widens races

	Members    int   // at the start
	Partitions int32 // of the topic

	SessionTimeout  time.Duration
	MaxPollInterval time.Duration

	// Extra are more variables in the environment of every member, over those of Config: what a
	// scenario asks of a subject that can do it. One that knows none of them may show too little, which is unknown.
	Extra map[string]string
	// Undrained: members may end by themselves, with work that nobody could finish. A promise to drain is not
	// one to do that, and is not judged.
	Undrained bool
	// NoDeadLetters: there is no dead-letter topic at the start. A fault makes it.
	NoDeadLetters bool
	// DeadLetterBytes is the largest record (max.message.bytes) that the dead-letter topic takes at the
	// start; 0 is what takes any. A fault widens it.
	DeadLetterBytes int
	// Schemas: values are Avro, in the wire format of a Schema Registry that the members are told of. What cannot be
	// decoded names a schema that nobody knows. Where there is no registry the scenario is not run.
	Schemas bool
	// IdempotentSink: the downstream system knows a repeated effect and says so ("duplicate").
	IdempotentSink bool

	// Faults are injected one after the other while messages flow.
	Faults []fault.Fault
	// Needs names what the backend must be able to do; where it cannot, the
	// scenario is unknown with that reason.
	Needs []Need
}

// Need is something a scenario asks of a backend.
type Need struct {
	What string // "pause a broker"
	OK   func(backend.Capabilities) bool
}

// Tagged tells whether the scenario has the tag.
func (s Scenario) Tagged(tag string) bool {
	for _, t := range s.Tags {
		if t == tag {
			return true
		}
	}
	return false
}

// faultNames lists the faults for the header of the history.
func (s Scenario) faultNames() []string {
	names := make([]string, len(s.Faults))
	for i, f := range s.Faults {
		names[i] = f.Name()
	}
	return names
}

// unmet returns why the backend cannot run the scenario, "" if it can.
func (s Scenario) unmet(k backend.Kafka) string {
	for _, n := range s.Needs {
		if !n.OK(k.Capabilities()) {
			return fmt.Sprintf("not run: the %s backend cannot %s", k.Name(), n.What)
		}
	}
	return ""
}
