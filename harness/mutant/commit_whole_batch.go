package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func commitWholeBatch() Mutant {
	return Mutant{
		Name:    "commit-whole-batch",
		Mistake: "A batch ends at its first failure, and is committed to its end all the same.",
		Doc: "A `try` around the loop over a batch with the commit in `finally`, or a batch insert that fails in the middle. Spring for Apache Kafka has `BatchListenerFailedException` " +
			"to say how far a batch came ([reference](https://docs.spring.io/spring-kafka/reference/kafka/annotation-error-handling.html)).",
		Caught:      []string{"no-loss", "commit-safety"},
		Scenarios:   []string{"transient-failures"},
		AlsoAllowed: []string{"partition-order"},
		Subject: variant("commit-whole-batch", func(s *steps) {
			s.batch = func(p *partition, records []*kgo.Record) {
				for _, r := range records {
					if r.Value == nil {
						continue
					}
					if a := p.try(r); a.kind != taken {
						break
					}
				}
				for _, r := range records {
					p.finished(r)
				}
			}
		}),
	}
}
