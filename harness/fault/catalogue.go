package fault

import "time"

// All lists every kind of fault once, for the docs and `ksim list faults`.
func All() []Fault {
	return []Fault{
		CrashMidBatch{Target: "m1"},
		CrashAtCommit{Target: "m1"},
		CrashAtCommit{Target: "m1", After: true},
		Zombie{Target: "m1"},
		Join{},
		Leave{Target: "m1"},
		RollingRestart{},
		SlowHandler{Target: "m1"},
		CoordinatorDown{Of: Group, How: Stop},
		CoordinatorDown{Of: Group, How: Kill},
		CoordinatorDown{Of: Group, How: Pause},
		CoordinatorDown{Of: Transaction, Target: "m1", How: Kill},
		CoordinatorMoved{},
		LeaderDown{Target: "m1", How: Stop},
		LeaderDown{Target: "m1", How: Kill},
		LeaderDown{Target: "m1", How: Pause},
		LeaderMoved{Target: "m1"},
		BrokerRestart{How: Stop},
		BrokerRestart{How: Kill},
		BrokerRestart{How: Pause, For: 4 * time.Second},
		BrokersRolling{},
		QuorumLost{For: 4 * time.Second},
		NotEnoughReplicas{Of: DeadLetters, For: 3 * time.Second},
		NotEnoughReplicas{Of: Outputs, For: 3 * time.Second},
		BrokerRefuses{Request: "OffsetCommit", Error: "COORDINATOR_LOAD_IN_PROGRESS", Times: 10},
		BrokerRefuses{Request: "Fetch", Error: "KAFKA_STORAGE_ERROR", Times: 20},
		BrokerRefuses{Request: "Produce", Error: "NOT_ENOUGH_REPLICAS", Of: DeadLetters, Times: 3},
		OffsetOutOfRange{},
		RetentionPasses{Target: "m1"},
		Compacted{},
		PartitionsAdded{N: 2},
		TopicRecreated{},
		CrashUnderLoad{Target: "m1"},
		Refusals{Label: "transient-failures", Kinds: []string{"transient"}},
		Refusals{Label: "poison", Kinds: []string{"undecodable", "permanent", "oversized"}},
	}
}
