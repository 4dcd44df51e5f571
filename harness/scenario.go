// Package harness runs a consumer through a scenario: it starts Kafka and the
// members, sends the workload, injects the faults, waits until everything has
// drained, and has the history judged. [RunScenario] is the main path.
package harness

import (
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

// Scenario is one way in which a consumer may break, as data. The zero value
// of a field means: as the Config says.
type Scenario struct {
	Name string   // crash-mid-batch
	Doc  string   // one sentence: what happens, and what a sound consumer does
	Tags []string // smoke, ci, full, and families: crash, rebalance, poison…

	Messages int          // sent in all phases together, extra traffic while faults last apart
	Keys     int          // distinct keys
	Zipf     float64      // exponent of the key distribution; 0 is uniform
	Mix      workload.Mix // poison
	// KeepMix has the messages that follow the plan while faults last be poison as often as those in it,
	// for faults that wait for poison and may begin late. Otherwise they are healthy.
	KeepMix   bool
	SlowEvery time.Duration // the sink takes that long for every effect; widens races

	Members    int   // at the start
	Partitions int32 // of the topic
	// Filled is how many partitions get messages, the first ones; 0 is all.
	Filled int32
	// TopicConfig is laid over the broker's settings of the topic: cleanup.policy, max.message.bytes…
	TopicConfig map[string]string

	SessionTimeout  time.Duration
	MaxPollInterval time.Duration
	// MetadataMaxAge is told to the members (KSIM_METADATA_MAX_AGE_MS): how long clients may go without
	// asking for metadata. 0 leaves them their default, 5 minutes in most.
	MetadataMaxAge time.Duration

	Rate     float64 // messages/s
	Size     int     // bytes of a value
	Template string  // of a value
	Protocol string  // classic or consumer (KIP-848)
	Assignor string  // cooperative-sticky or eager
	Static   bool    // static membership, if the Config does not have it already
	// Groups names the kinds of groups that it is about (see package scenarios); none is all.
	Groups []string
	// Promise changes what the subject promises for this scenario; nil leaves it.
	Promise func(*history.Promises)

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
	// Phases take the place of Faults in scenarios that go through several: they follow each other between
	// the start of the members and the drain.
	Phases []Phase
	// Exclusive scenarios take brokers down, or away from everybody: no other runs on
	// the same Kafka meanwhile.
	Exclusive bool
	// Unkeepable names promises that no consumer could keep here, because of what the faults do.
	// They are not judged, and the history says so.
	Unkeepable []Unkeepable
	// Needs names what the backend must be able to do; where it cannot, the
	// scenario is unknown with that reason.
	Needs []Need

	load *loadRecords // of a load run, which has no plan and writes no effects down; else nil
}

// Phase is a part of a scenario: it sends its messages, open loop, and injects its faults, one
// after the other, at the same time. It ends when both have ended; as long as faults last, more messages follow.
type Phase struct {
	Name     string // shows in the history and in reports
	Messages int    // of Scenario.Messages
	Rate     float64
	Faults   []fault.Fault
}

// Unkeepable is a promise that a fault makes impossible to keep.
type Unkeepable struct {
	Promise string // as in ksim.yaml: drain, recovery, max-reprocessed, graceful-stop
	Why     string // what the fault does, and why no consumer can help it
}

// waived are the promises that are not judged, and why. One that was not made needs no excuse.
func (s Scenario) waived(made history.Promises) map[string]string {
	waived := map[string]string{}
	for _, u := range s.Unkeepable {
		left := made
		if left.Waive(u.Promise) == nil && left != made {
			waived[u.Promise] = u.Why
		}
	}
	return waived
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
	names := fault.Names(s.Faults)
	for _, p := range s.Phases {
		names = append(names, fault.Names(p.Faults)...)
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
