package scenarios

import (
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/workload"
)

// provocations bring to light, by an event and not by luck, mistakes that slip through the
// other scenarios. They were made for the mutants.
func provocations() []harness.Scenario {
	return []harness.Scenario{
		{
			Name:   "join-mid-batch",
			Doc:    "One more member joins while another stands in the middle of a batch: that is finished and committed before its partitions move.",
			Tags:   []string{"ci", "rebalance"},
			Faults: []fault.Fault{fault.RebalanceMidBatch{Target: "m1"}},
		},
		{
			Name:   "leave-mid-batch",
			Doc:    "A member leaves while another stands in the middle of a batch: that is finished and committed, and nothing that waited is handled twice.",
			Tags:   []string{"ci", "rebalance"},
			Faults: []fault.Fault{fault.RebalanceMidBatch{Target: "m1", Leaver: "m3"}},
		},
		{
			Name:   "stop-mid-batch",
			Doc:    "A member is asked to stop in the middle of a batch: it commits what it has done, and nobody does that again.",
			Tags:   []string{"ci", "shutdown"},
			Faults: []fault.Fault{fault.StopMidBatch{Target: "m1"}},
		},
		{
			Name:       "idle-members",
			Doc:        "There are more members than partitions: those that own nothing do no harm, and leave the group when they are asked to stop.",
			Tags:       []string{"ci", "shutdown", "rebalance"},
			Members:    4,
			Partitions: 2,
		},
		{
			Name:            "rebalance-during-retry",
			Doc:             "The group rebalances while a member waits for its next attempt at a record: the attempts go on where they were, in order, within their bound.",
			Tags:            []string{"ci", "retry", "rebalance"},
			SessionTimeout:  2 * time.Second,
			MaxPollInterval: 3 * time.Second,
			Faults:          []fault.Fault{fault.RebalanceDuringRetry{Target: "m1", Leaver: "m3"}},
		},
		{
			Name:       "crash-before-first-commit",
			Doc:        "A member is killed before some of its partitions had a first commit, and then another: whoever has them next begins at their beginning.",
			Tags:       []string{"full", "crash"},
			Messages:   60, // few before the first crash, so that most partitions have none
			Partitions: 24,
			// While the second one is held, more comes for every partition, and is committed.
			Faults: []fault.Fault{fault.CrashMidBatch{Target: "m1"}, fault.CrashMidBatch{Target: "m2"}},
		},
		{
			Name:      "backlog",
			Doc:       "Far more arrives than the downstream system takes: a member holds what it promised at most, and the rest waits in Kafka.",
			Tags:      []string{"ci", "sink"},
			Messages:  1600,
			Rate:      800,
			Size:      20_000, // so that a fetch of a mebibyte is fifty records
			Members:   2,
			SlowEvery: 20 * time.Millisecond,
		},
		{
			Name:     "moved-and-then-calm",
			Doc:      "A member joins and takes partitions over, and then messages flow for a while: who gave them up says nothing about them any more.",
			Tags:     []string{"ci", "rebalance"},
			Messages: 1060,
			Members:  2,
			// A record in a partition takes 20 ms: at 300 a second in four partitions there is a lag, and it was told, when
			// they move, and at 80 there is none.
			SlowEvery: 20 * time.Millisecond,
			Phases: []harness.Phase{
				{Name: "busy", Messages: 300},
				{Name: "moved", Messages: 200, Faults: []fault.Fault{fault.Join{}}},
				{Name: "calm", Messages: 560, Rate: 80}, // seven seconds: longer than a lag that is told may be old
			},
		},
		{
			Name:   "crash-before-dead-letter",
			Doc:    "A member is killed while a dead letter is on its way to the broker: the record is committed by nobody before it is safe.",
			Tags:   []string{"ci", "crash", "dead-letter"},
			Mix:    workload.Mix{Undecodable: 24, Permanent: 24}, // so many that the member meets some in time, whatever it owns
			Faults: []fault.Fault{fault.CrashAtDeadLetter{Target: "m1"}},
		},
	}
}

// Provocations returns what `ksim mutants` needs beside All, and what would be unfair to a
// consumer that was not told of it.
func Provocations() []harness.Scenario {
	return []harness.Scenario{
		{
			Name: "hung-effect",
			// Whoever waits longer for an answer than a drain for progress is found to stand still.
			Doc:    "The downstream system never answers one effect: it is given up in time and made again, and nothing stands still.",
			Tags:   []string{"full", "retry"},
			Faults: []fault.Fault{fault.HungEffect{Target: "m1"}},
		},
	}
}
