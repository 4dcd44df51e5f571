package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func deadLetterNotAwaited() Mutant {
	return Mutant{
		Name:    "dead-letter-not-awaited",
		Mistake: "A dead letter is handed to the producer, and the record committed before any broker has it.",
		Doc: "`producer.send(…)` without its future, `produce()` without a flush. What lies in the buffer of the producer when the process ends is in neither topic. " +
			"The Kafka binder of Spring Cloud Stream waits since [#1048](https://github.com/spring-attic/spring-cloud-stream-binder-kafka/pull/1048).",
		Caught:      []string{"no-loss", "commit-safety", "dead-letter"},
		Scenarios:   []string{"crash-before-dead-letter"},
		AlsoAllowed: []string{"partition-order", "key-order"}, // what is produced in the background comes late
		Subject: variant("dead-letter-not-awaited", func(s *steps) {
			s.deadLetter = func(p *partition, letter *kgo.Record) error {
				p.c.client.Produce(p.c.client.Context(), letter, nil)
				return nil
			}
		}),
	}
}
