package scenarios

import (
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/workload"
)

// What scenarios of brokers need.
var (
	needsDown   = harness.Need{What: "take brokers down", OK: func(c backend.Capabilities) bool { return c.RestartBroker }}
	needsPause  = harness.Need{What: "pause brokers", OK: func(c backend.Capabilities) bool { return c.PauseBroker }}
	needsCopies = harness.Need{What: "keep three copies of everything", OK: func(c backend.Capabilities) bool { return c.Replicas >= 3 }}
	needsDisk   = harness.Need{What: "fill the disk of a broker: start three with --kafka containers --brokers 3 --broker-disk 512MiB", OK: func(c backend.Capabilities) bool { return c.FillDisk }}
	needsMove   = harness.Need{What: "move leaders and coordinators", OK: func(c backend.Capabilities) bool { return c.Move }}
	needsErrors = harness.Need{What: "answer requests with errors", OK: func(c backend.Capabilities) bool { return c.RefuseErrors }}
)

// withoutCoordinator is the promise that nobody can keep while the coordinator is away.
var withoutCoordinator = []harness.Unkeepable{{
	Promise: "drain",
	Why: "while the coordinator is away what is drained cannot be committed, and a client may give its group up by itself, which nobody on the wire sees: " +
		"repeats of what was not committed are the rebalance's",
}, {
	Promise: "incremental-rebalance",
	Why:     "a client that finds no coordinator for long may give its group up and join anew, and is given back what it had",
}, {
	Promise: "lag-metric",
	Why:     "where a log ends, and what is committed, can only be asked of brokers that are there",
}}

// brokers are scenarios in which Kafka itself has trouble.
func brokers() []harness.Scenario {
	moved := movedBrokers()
	for i := range moved {
		moved[i].Tags = brokerTags()
	}
	return slices.Concat(moved, downBrokers(), downReplicas())
}

func brokerTags() []string { return []string{"full", "broker"} }

// movedBrokers take no broker down.
func movedBrokers() []harness.Scenario {
	return []harness.Scenario{
		{
			Name:   "leader-moved",
			Doc:    "Another broker leads the partition that a member works on from now on: its client asks who does, and goes on there where it was.",
			Faults: []fault.Fault{fault.LeaderMoved{Target: "m1"}},
			Needs:  []harness.Need{needsMove},
		},
		{
			Name:       "coordinator-moved",
			Doc:        "Another broker coordinates the group from now on: the members find it, and what they had done is committed there.",
			Faults:     []fault.Fault{fault.CoordinatorMoved{}},
			Exclusive:  true, // it may move other groups too
			Unkeepable: withoutCoordinator,
			Needs:      []harness.Need{needsMove},
		},
		{
			Name:   "commits-refused",
			Doc:    "The coordinator answers commits COORDINATOR_LOAD_IN_PROGRESS for a while: they are sent again, and nothing is lost or repeated for it.",
			Faults: []fault.Fault{fault.BrokerRefuses{Request: "OffsetCommit", Error: "COORDINATOR_LOAD_IN_PROGRESS", Times: 10}},
			Needs:  []harness.Need{needsErrors},
		},
		{
			Name:   "fetches-refused",
			Doc:    "Brokers answer fetches KAFKA_STORAGE_ERROR for a while: members ask again, and take it neither for the end of the log nor for a reason to jump.",
			Faults: []fault.Fault{fault.BrokerRefuses{Request: "Fetch", Error: "KAFKA_STORAGE_ERROR", Times: 6}},
			Needs:  []harness.Need{needsErrors},
		},
		{
			Name:   "dead-letters-refused",
			Doc:    "The dead-letter topic refuses what comes, NOT_ENOUGH_REPLICAS, for a while: poison waits until its letter is written, and is not committed past before.",
			Mix:    workload.Mix{Undecodable: 20, Permanent: 20},
			Faults: []fault.Fault{fault.BrokerRefuses{Request: "Produce", Error: "NOT_ENOUGH_REPLICAS", Of: fault.DeadLetters, Times: 3}},
			Needs:  []harness.Need{needsErrors},
		},
	}
}

// down is a scenario that takes brokers down.
func down(name, doc string, f fault.Fault, needs ...harness.Need) harness.Scenario {
	return harness.Scenario{
		Name: name, Doc: doc, Tags: brokerTags(), Faults: []fault.Fault{f}, Exclusive: true, Unkeepable: withoutCoordinator, Needs: needs,
	}
}

// downBrokers take one broker down, which may be the only one.
func downBrokers() []harness.Scenario {
	return []harness.Scenario{
		down("broker-restarted",
			"A broker, which may be the only one, is stopped in good order and started again while messages flow: the members wait for it, and go on where they were.",
			fault.BrokerRestart{How: fault.Stop}, needsDown),
		down("broker-crashed",
			"A broker, which may be the only one, is killed and started again while messages flow: the members wait for it, and go on where they were.",
			fault.BrokerRestart{How: fault.Kill}, needsDown),
		down("broker-frozen",
			"A broker, which may be the only one, answers nothing for four seconds, and its connections stay open: nothing is taken for done that nobody has confirmed.",
			fault.BrokerRestart{How: fault.Pause, For: 4 * time.Second}, needsPause),
	}
}

// downReplicas take brokers down that have others beside them.
func downReplicas() []harness.Scenario {
	one := func(name, doc string, f fault.Fault) harness.Scenario {
		return down(name, doc, f, needsDown, needsPause, needsCopies)
	}
	letters := one("too-few-copies-for-dead-letters",
		"Fewer copies of the dead-letter topic are in sync than it asks for, so that letters are refused (NOT_ENOUGH_REPLICAS): poison waits, and is not skipped.",
		fault.NotEnoughReplicas{Of: fault.DeadLetters, For: 3 * time.Second})
	letters.Mix, letters.KeepMix = workload.Mix{Undecodable: 20, Permanent: 40}, true // copies are too few only after a while
	return []harness.Scenario{
		one("brokers-rolling-restart",
			"Every broker in turn is stopped and started again, as an upgrade does: leaders and coordinators move several times, and nothing is lost.",
			fault.BrokersRolling{}),
		one("group-coordinator-stopped",
			"The broker that coordinates the group is stopped and started again while messages flow: the members find the next one, and nothing is lost, or repeated beyond what was not committed.",
			fault.CoordinatorDown{Of: fault.Group, How: fault.Stop}),
		one("group-coordinator-killed",
			"The broker that coordinates the group is killed and started again while messages flow: the members find the next one, and nothing is lost, or repeated beyond what was not committed.",
			fault.CoordinatorDown{Of: fault.Group, How: fault.Kill}),
		one("group-coordinator-frozen",
			"The broker that coordinates the group answers nothing, and its connections stay open, until another has taken over: members do not wait for it for ever.",
			fault.CoordinatorDown{Of: fault.Group, How: fault.Pause}),
		one("leader-stopped",
			"The broker that leads the partition that a member works on is stopped in good order and started again: the member goes on with the next leader where it was.",
			fault.LeaderDown{Target: "m1", How: fault.Stop}),
		one("leader-killed",
			"The broker that leads the partition that a member works on is killed and started again: the member goes on with the next leader where it was.",
			fault.LeaderDown{Target: "m1", How: fault.Kill}),
		one("leader-frozen",
			"The broker that leads the partition that a member works on answers nothing, and its connections stay open, until another leads: the member does not wait for it for ever.",
			fault.LeaderDown{Target: "m1", How: fault.Pause}),
		down("leader-out-of-disk",
			"The disk of the broker that leads the partition that a member works on is full, so that the broker ends; room is made, and it is started again. The member goes on with the next leader where it was.",
			fault.LeaderDown{Target: "m1", How: fault.Fill}, needsDown, needsCopies, needsDisk),
		one("quorum-lost",
			"Two of three brokers are killed and started again: nothing can be written meanwhile, commits neither, and after that everything goes on where it was.",
			fault.QuorumLost{For: 4 * time.Second}),
		letters,
	}
}
