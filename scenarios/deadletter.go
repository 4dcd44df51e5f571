package scenarios

import (
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/workload"
)

// deadLetters cannot be written. None of them may be lost for that. A consumer may end because of
// it; where records overtake poison (order by key, or none), those that were done behind it then come again.
func deadLetters() []harness.Scenario {
	return []harness.Scenario{
		{
			Name: "dead-letters-missing",
			Doc:  "There is no dead-letter topic when the first poison is met, and it is made later: until then nobody commits past the poison, and in the end each is dead-lettered, unchanged.",
			Tags: []string{"ci", "dead-letter", "poison"}, NoDeadLetters: true, Undrained: true, Mix: workload.Mix{Permanent: 4},
			Faults: []fault.Fault{fault.DeadLettersMissing{}},
		},
		{
			Name: "dead-letter-too-large",
			Doc:  "An oversized poison record does not fit into the dead-letter topic, which is widened later: until then nobody commits past it, and in the end it is dead-lettered, unchanged.",
			Tags: []string{"ci", "dead-letter", "poison"}, DeadLetterBytes: 64 << 10, Undrained: true, Mix: workload.Mix{Oversized: 2, Permanent: 3},
			Faults: []fault.Fault{fault.DeadLetterTooLarge{}},
		},
		{
			Name: "dead-letters-away",
			Doc:  "For a while no dead letter reaches a broker: nobody commits past the poison until its dead letter is acknowledged, and none is lost.",
			Tags: []string{"ci", "dead-letter", "poison", "network"}, Undrained: true, Mix: workload.Mix{Permanent: 8},
			Faults: []fault.Fault{fault.DeadLettersAway{}},
		},
	}
}
