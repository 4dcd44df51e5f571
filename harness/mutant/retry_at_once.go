package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func retryAtOnce() Mutant {
	return Mutant{
		Name:    "retry-at-once",
		Mistake: "A record that fails is tried again at once, and for ever.",
		Doc: "`while not done: try…`. It takes the rest out of a service that is down, as in " +
			"[Addressing Cascading Failures](https://sre.google/sre-book/addressing-cascading-failures/), and one bad record stops its partition for good.",
		Caught:    []string{"retry-bound"},
		Scenarios: []string{"transient-failures"},
		Subject: variant("retry-at-once", func(s *steps) {
			s.failed = func(p *partition, r *kgo.Record, attempt int, a answer) fate {
				if a.kind == unavailable {
					return again
				}
				return p.failed(r, attempt, a)
			}
		}),
	}
}
