package fault

import (
	"net/http"
	"slices"
	"time"
)

// All lists every kind of fault once, for the docs and `ksim list faults`.
func All() []Fault { return slices.Concat(ofMembers(), ofDependencies(), ofBrokers(), ofWire()) }

// ofMembers happen to members and to their group.
func ofMembers() []Fault {
	return []Fault{
		CrashMidBatch{Target: "m1"},
		CrashAtCommit{Target: "m1"},
		CrashAtCommit{Target: "m1", After: true},
		Zombie{Target: "m1"},
		Join{},
		Leave{Target: "m1"},
		RollingRestart{},
		RebalanceMidBatch{Target: "m1"},
		RebalanceMidBatch{Target: "m1", Leaver: "m3"},
		StopMidBatch{Target: "m1"},
		RebalanceDuringRetry{Target: "m1", Leaver: "m3"},
		CrashAtDeadLetter{Target: "m1"},
		CrashUnderLoad{Target: "m1"},
		CrashAt{Step: StepFetched, Target: "m1"},
		CrashAt{Step: StepEffect, Target: "m1", K: 1},
		CrashAt{Step: StepEffect, Target: "m1", K: Middle},
		CrashAt{Step: StepEffect, Target: "m1", K: Last},
		CrashAt{Step: StepBeforeCommit, Target: "m1", K: 3},
		CrashAt{Step: StepAfterCommit, Target: "m1", K: 3},
		CrashAt{Step: StepJoin},
		CrashAt{Step: StepSync},
		CrashAt{Step: StepSyncAnswer, Target: "m1"},
		CrashAt{Step: StepLeave, Target: "m1"},
		OutOfMemory{Target: "m1"},
		Zombies{Targets: []string{"m1", "m2"}},
		FrozenAtCommit{Target: "m1"},
		ShortFreeze{Target: "m1", Times: 3},
	}
}

// ofDependencies come from what a consumer works with: its input, its downstream system, its dead-letter topic, its registry.
func ofDependencies() []Fault {
	return []Fault{
		SlowHandler{Target: "m1"},
		HungEffect{Target: "m1"},
		Refusals{Label: "transient-failures", Kinds: []string{"transient"}},
		Refusals{Label: "poison", Kinds: []string{"undecodable", "permanent", "oversized"}},
		Refusals{Label: "tombstones", Kinds: []string{"tombstone"}},
		HungHandler{Target: "m1"},
		BadAnswer{Target: "m1", Kind: "server-error"},
		BadAnswer{Target: "m1", Kind: "panic"},
		BadAnswer{Target: "m1", Kind: "garbage"},
		BadAnswer{Target: "m1", Kind: "truncated"},
		Unanswered{Target: "m1"},
		Unanswered{Target: "m1", For: time.Second},
		SinkHang{},
		SlowStart{Target: "m1"},
		PartialBatch{Target: "m1"},
		PartialBatch{Target: "m1", Reset: true},
		DeadLettersMissing{},
		DeadLetterTooLarge{},
		DeadLettersAway{},
		UnknownSchemas{},
		RegistryTrouble{},
		RegistryTrouble{Status: http.StatusServiceUnavailable},
		RegistryTrouble{Delay: 2 * time.Second},
		RefusalStorm{},
		RefusalStorm{Status: http.StatusTooManyRequests},
	}
}

// ofBrokers happen to brokers, and to the logs that they keep.
func ofBrokers() []Fault {
	return []Fault{
		CoordinatorDown{Of: Group, How: Stop},
		CoordinatorDown{Of: Group, How: Kill},
		CoordinatorDown{Of: Group, How: Pause},
		CoordinatorDown{Of: Transaction, Target: "m1", How: Kill},
		CoordinatorMoved{},
		LeaderDown{Target: "m1", How: Stop},
		LeaderDown{Target: "m1", How: Kill},
		LeaderDown{Target: "m1", How: Pause},
		LeaderDown{Target: "m1", How: Fill},
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
	}
}

// ofWire happen on the way between members and brokers.
func ofWire() []Fault {
	return []Fault{
		Wire{Target: "m1", API: "commit", Action: "error", Error: "NOT_COORDINATOR", Times: 2},
		Wire{Target: "m1", API: "commit", Direction: "response", Action: "cut", Times: 1},
		Wire{Target: "m1", API: "Fetch", Action: "cut-half-open", Times: 1},
		Wire{Target: "m1", API: "group-heartbeat", Action: "hold", UntilLost: true},
		Wire{Target: "m1", API: "any", Action: "delay", Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, Effects: 100},
		Wire{Target: "m1", API: "Fetch", Direction: "response", Action: "throttle", Bytes: 20_000, Effects: 100},
		Wire{Target: "m1", API: "Fetch", Direction: "response", Action: "quota", ThrottleTime: 500 * time.Millisecond, Times: 2},
		Wire{Target: "m1", API: "commit", Action: "freeze", Times: 1, Lasts: time.Second},
		Wire{Target: "m1", API: "Fetch", Direction: "response", Action: "corrupt", Topic: "workload", Times: 1},
	}
}
