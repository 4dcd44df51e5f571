package scenarios

import (
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
)

// crashSteps kill a member at each step of its life.
func crashSteps() []harness.Scenario {
	at := func(f fault.CrashAt, doc string) harness.Scenario {
		return harness.Scenario{Name: f.Name(), Doc: doc, Tags: []string{"ci", "crash"}, Faults: []fault.Fault{f}}
	}
	return []harness.Scenario{
		at(fault.CrashAt{Step: fault.StepFetched, Target: "m1"},
			"A member is killed when records are on their way to it: nothing of them was begun, and another does them."),
		at(fault.CrashAt{Step: fault.StepEffect, Target: "m1", K: 1},
			"A member is killed at the first effect after a commit: nothing is done and not committed, and nothing but that effect comes again."),
		at(fault.CrashAt{Step: fault.StepEffect, Target: "m1", K: fault.Middle},
			"A member is killed when half a batch is done and not committed: that half comes again, and nothing is lost."),
		at(fault.CrashAt{Step: fault.StepEffect, Target: "m1", K: fault.Last},
			"A member is killed at the last effect of a batch: all before it is done and not committed, and comes again."),
		at(fault.CrashAt{Step: fault.StepBeforeCommit, Target: "m1", K: 3},
			"A member is killed at its third commit, which does not reach the broker: what it covers comes again, and what those before it covered does not."),
		at(fault.CrashAt{Step: fault.StepAfterCommit, Target: "m1", K: 3},
			"A member is killed when the broker has applied its third commit and the answer is on its way: nothing that was committed comes again."),
		at(fault.CrashAt{Step: fault.StepJoin},
			"A new member is killed when the group has let it in and before it knows: the group must go on without it, and take it in when it comes again."),
		at(fault.CrashAt{Step: fault.StepSync},
			"A new member is killed before it asks for its partitions: the group must go on without it."),
		at(fault.CrashAt{Step: fault.StepSyncAnswer, Target: "m1"},
			"A member that runs is killed in a rebalance that another caused, when it has been given its partitions and does not know yet: others must get them."),
		at(fault.CrashAt{Step: fault.StepLeave, Target: "m1"},
			"A member that was asked to stop is killed while it leaves: what it did is committed, and others take its partitions over."),
		{
			Name: "out-of-memory",
			Doc:  "The kernel kills a member for want of memory in the middle of a batch: it ends as by kill -9, is started again, and nothing is lost.",
			Tags: []string{"ci", "crash"}, Faults: []fault.Fault{fault.OutOfMemory{Target: "m1"}},
		},
	}
}

// zombies freeze members.
func zombies() []harness.Scenario {
	return []harness.Scenario{
		{
			Name: "zombies",
			Doc:  "Two of three members are frozen at once in the middle of a batch until the third has all their work, and then go on: their late commits are refused, and both find their way back.",
			Tags: []string{"ci", "zombie"}, SessionTimeout: 3 * time.Second,
			Faults: []fault.Fault{fault.Zombies{Targets: []string{"m1", "m2"}}},
		},
		{
			Name: "zombie-at-commit",
			Doc:  "A member is frozen with its commit on the way, which reaches the broker only when another member has taken over: it is refused, or it would take the other's progress back.",
			Tags: []string{"ci", "zombie"}, SessionTimeout: 3 * time.Second,
			Faults: []fault.Fault{fault.FrozenAtCommit{Target: "m1"}},
		},
		{
			Name: "short-freezes",
			Doc:  "A member is frozen three times for half its session: whether it keeps its place or not, nothing is lost or reordered.",
			Tags: []string{"ci", "zombie"}, SessionTimeout: 3 * time.Second,
			Faults: []fault.Fault{fault.ShortFreeze{Target: "m1", Times: 3}},
		},
	}
}
