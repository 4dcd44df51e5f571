package scenarios

import (
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/workload"
)

// dataShapes are logs that are not one record after the other.
func dataShapes() []harness.Scenario {
	var all []harness.Scenario
	for _, s := range append(oddRecords(), oddLogs()...) {
		if s.Tags == nil {
			s.Tags = []string{"ci"}
		}
		s.Tags = append(s.Tags, "data-shape")
		all = append(all, s)
	}
	return all
}

// oddRecords are records of which some are not like the others.
func oddRecords() []harness.Scenario {
	return []harness.Scenario{
		{
			Name: "aborted-transactions",
			Doc: "Some records are of transactions that were aborted: they leave gaps that are neither losses nor something to wait for, and who reads what is committed " +
				"does nothing of them.",
			Mix: workload.Mix{Aborted: 64},
		},
		{
			Name: "transactions-interleaved",
			Doc:  "Transactions that were committed, others that were aborted and records of neither alternate: all but the aborted ones are done, in order.",
			Mix:  workload.Mix{Aborted: 64, Committed: 96},
		},
		{
			Name: "aborted-transactions-and-a-crash",
			Doc:  "A member is killed between two effects of a batch in a log with gaps of aborted transactions: the next one goes on at the commit, wherever that lies.",
			Tags: []string{"ci", "crash"}, Mix: workload.Mix{Aborted: 96, Committed: 48},
			Faults: []fault.Fault{fault.CrashMidBatch{Target: "m1"}},
		},
		{
			Name: "tombstone-flood",
			Doc:  "Half of all records are tombstones: they are ordinary deletes, and no poison.",
			Mix:  workload.Mix{Tombstones: 300}, Faults: []fault.Fault{fault.Refusals{Label: "tombstones", Kinds: []string{"tombstone"}}},
		},
		{
			Name: "large-records",
			Doc:  "Some records are as large as a broker takes by default: they come through whole, and hold nobody up for ever.",
			Mix:  workload.Mix{Large: 16},
		},
		{
			Name: "large-dead-letters",
			Doc:  "Some records are as large as a broker takes and poison too: their dead letters are larger by their headers, and must be written all the same.",
			Tags: []string{"ci", "dead-letter"}, Mix: workload.Mix{Oversized: 6, OversizedBytes: workload.MaxValue},
			Faults: []fault.Fault{fault.Refusals{Label: "poison", Kinds: []string{"oversized"}}},
		},
	}
}

// oddLogs are logs to which something happens.
func oddLogs() []harness.Scenario {
	return []harness.Scenario{
		{
			Name:       "empty-partitions",
			Doc:        "Most partitions never get a record: members that own nothing else are idle, not stuck, and a partition without a commit is not behind.",
			Partitions: 8, Filled: 3,
		},
		{
			Name: "one-filled-partition",
			Doc:  "All records go to one of four partitions while every member is stopped and started in turn: it goes from hand to hand, and the others have nothing to do.",
			Tags: []string{"ci", "rebalance"}, Filled: 1, Faults: []fault.Fault{fault.RollingRestart{}},
		},
		{
			Name:           "partitions-added",
			Doc:            "The topic gets two more partitions while messages flow: the group finds them and reads them from their beginning.",
			MetadataMaxAge: 2 * time.Second,
			Faults:         []fault.Fault{fault.PartitionsAdded{N: 2}},
		},
		{
			Name: "partitions-added-and-a-crash",
			Doc:  "The topic gets two more partitions, and then a member is killed between two effects of a batch: the new partitions move like the old ones.",
			Tags: []string{"ci", "crash"}, MetadataMaxAge: 2 * time.Second,
			Faults: []fault.Fault{fault.PartitionsAdded{N: 2}, fault.CrashMidBatch{Target: "m1"}},
		},
		{
			Name:           "topic-recreated",
			Doc:            "The topic is deleted, when all in it is done, and made anew under its name while the members run: what comes then is read from offset 0, and nothing of it skipped.",
			Tags:           []string{"full"},
			MetadataMaxAge: 2 * time.Second,
			Faults:         []fault.Fault{fault.TopicRecreated{}},
			Needs: []harness.Need{{
				What: "forget what was committed in a topic that is deleted", OK: func(c backend.Capabilities) bool { return c.OffsetsTopic },
			}},
		},
		{
			Name:   "offset-out-of-range",
			Doc:    "What the group would read next is deleted while all members are down: they go on with the earliest record that is left, and skip none of those.",
			Faults: []fault.Fault{fault.OffsetOutOfRange{}},
		},
		{
			Name:        "retention-passes-consumer",
			Doc:         "Retention takes records out of the log that a slow member has not read yet: it goes on with the earliest record that is left, and skips none of those.",
			TopicConfig: map[string]string{"segment.ms": "100"},
			Faults:      []fault.Fault{fault.RetentionPasses{Target: "m1"}},
		},
		{
			Name:        "compaction-gaps",
			Doc:         "The topic is compacted while all members are down: where records were superseded there are gaps, which are neither losses nor something to wait for.",
			TopicConfig: map[string]string{"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"},
			Faults:      []fault.Fault{fault.Compacted{}},
		},
	}
}
