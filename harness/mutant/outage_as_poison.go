package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func outageAsPoison() Mutant {
	return Mutant{
		Name:    "outage-as-poison",
		Mistake: "Whatever fails is dead-lettered at once, though it is the downstream system that is unavailable.",
		Doc: "`except Exception: dead_letter(record)`. An outage of a minute moves a whole topic aside, and somebody has to bring it back, in order. " +
			"[KIP-298](https://cwiki.apache.org/confluence/display/KAFKA/KIP-298%3A+Error+Handling+in+Connect) tells retriable errors from the others.",
		Caught:      []string{"dead-letter"},
		Scenarios:   []string{"transient-failures"},
		AlsoAllowed: nil,
		Subject: variant("outage-as-poison", func(s *steps) {
			s.failed = func(p *partition, r *kgo.Record, attempt int, a answer) fate { return p.bury(r, attempt, a.reason) }
		}),
	}
}
