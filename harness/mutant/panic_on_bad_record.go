package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func panicOnBadRecord() Mutant {
	return Mutant{
		Name:    "panic-on-bad-record",
		Mistake: "A value that cannot be decoded ends the process, again and again.",
		Doc: "The poison pill: an exception that nobody expected leaves the loop, the orchestrator starts the pod again, and it reads the same record. " +
			"[KIP-161](https://cwiki.apache.org/confluence/display/KAFKA/KIP-161%3A+streams+deserialization+exception+handlers) begins with it.",
		Caught:      []string{"retry-bound"},
		Scenarios:   []string{"poison-mix"},
		AlsoAllowed: []string{"no-loss", "commit-progress", "reprocessing", "dead-letter", "partition-order", "key-order", "graceful-stop"},
		Subject: variant("panic-on-bad-record", func(s *steps) {
			s.decode = func(r *kgo.Record) error {
				if err := readable(r); err != nil {
					panic(err)
				}
				return nil
			}
		}),
	}
}
