package fault

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
		HungEffect{Target: "m1"},
		RebalanceMidBatch{Target: "m1"},
		RebalanceMidBatch{Target: "m1", Leaver: "m3"},
		StopMidBatch{Target: "m1"},
		RebalanceDuringRetry{Target: "m1", Leaver: "m3"},
		CrashAtDeadLetter{Target: "m1"},
		CoordinatorDown{Of: Group},
		CoordinatorDown{Of: Group, Kill: true},
		CoordinatorDown{Of: Transaction, Target: "m1", Kill: true},
		CrashUnderLoad{Target: "m1"},
		Refusals{Label: "transient-failures", Kinds: []string{"transient"}},
		Refusals{Label: "poison", Kinds: []string{"undecodable", "permanent", "oversized"}},
	}
}
