package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func deadLetterWithoutKey() Mutant {
	return Mutant{
		Name:    "dead-letter-without-key",
		Mistake: "A dead letter has no key.",
		Doc: "`producer.send(topic, value)`. Sent back later, the record goes to any partition, beside the others of its key. " +
			"[KIP-298](https://cwiki.apache.org/confluence/display/KAFKA/KIP-298%3A+Error+Handling+in+Connect) keeps it.",
		Caught:      []string{"dead-letter"},
		Scenarios:   []string{"poison-mix"},
		AlsoAllowed: nil,
		Subject: variant("dead-letter-without-key", func(s *steps) {
			careful := s.letter
			s.letter = func(r *kgo.Record, why []kgo.RecordHeader) *kgo.Record {
				letter := careful(r, why)
				letter.Key = nil
				return letter
			}
		}),
	}
}
