package scenarios

import (
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
)

// Failover returns the scenarios that take the brokers of three down that a group depends on. Those of
// transactions are no part of All: there is something to see only where outputs go to Kafka in transactions.
func Failover() []harness.Scenario {
	var all []harness.Scenario
	for _, s := range brokers() {
		switch s.Name {
		case "group-coordinator-stopped", "group-coordinator-killed", "leader-killed":
			all = append(all, s)
		}
	}
	return append(all, transactions()...)
}

// transactions are scenarios for members whose outputs go to Kafka in transactions.
func transactions() []harness.Scenario {
	one := func(name, doc string, f fault.Fault) harness.Scenario {
		s := down(name, doc, f, needsDown, needsCopies)
		s.Tags = append(s.Tags, "exactly-once")
		return s
	}
	return []harness.Scenario{
		one("transaction-coordinator-killed",
			"The broker that coordinates the transactions of a member is killed and started again while messages flow: each transaction is committed once or not at all.",
			fault.CoordinatorDown{Of: fault.Transaction, Target: "m1", How: fault.Kill}),
		one("transaction-too-few-copies-for-outputs",
			"Fewer copies of the output topic are in sync than it asks for, so that outputs are refused (NOT_ENOUGH_REPLICAS): records wait for their outputs, and are not skipped.",
			fault.NotEnoughReplicas{Of: fault.Outputs, For: 3 * time.Second}),
	}
}
