package scenarios

import (
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/fault"
)

// Failover returns the scenarios that take brokers down. They are no part of All:
// they need a cluster of three brokers to themselves, one scenario at a time,
// since whatever else runs there is disturbed too.
func Failover() []harness.Scenario {
	down := func(name, doc string, f fault.Fault) harness.Scenario {
		return harness.Scenario{Name: name, Doc: doc, Tags: []string{"failover"}, Faults: []fault.Fault{f}, Needs: failoverNeeds()}
	}
	return []harness.Scenario{
		down("group-coordinator-stopped",
			"The broker that coordinates the group is stopped and started again while messages flow: the members find the next one, and nothing is lost, or repeated beyond what was not committed.",
			fault.CoordinatorDown{Of: fault.Group}),
		down("group-coordinator-killed",
			"The broker that coordinates the group is killed and started again while messages flow: the members find the next one, and nothing is lost, or repeated beyond what was not committed.",
			fault.CoordinatorDown{Of: fault.Group, Kill: true}),
		down("transaction-coordinator-killed",
			"The broker that coordinates the transactions of a member is killed and started again while messages flow: each transaction is committed once or not at all.",
			fault.CoordinatorDown{Of: fault.Transaction, Target: "m1", Kill: true}),
	}
}

func failoverNeeds() []harness.Need {
	return []harness.Need{
		{What: "take brokers down", OK: func(c backend.Capabilities) bool { return c.RestartBroker }},
		{What: "keep three copies of everything", OK: func(c backend.Capabilities) bool { return c.Replicas >= 3 }},
	}
}
