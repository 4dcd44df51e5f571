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
		CoordinatorDown{Of: Group},
		CoordinatorDown{Of: Group, Kill: true},
		CoordinatorDown{Of: Transaction, Target: "m1", Kill: true},
		CrashUnderLoad{Target: "m1"},
		Refusals{Label: "transient-failures", Kinds: []string{"transient"}},
		Refusals{Label: "poison", Kinds: []string{"undecodable", "permanent", "oversized"}},
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
