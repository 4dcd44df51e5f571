package fault

import (
	"net/http"
	"time"
)

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
