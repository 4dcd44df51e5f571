package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func deadLetterWithoutHeaders() Mutant {
	return Mutant{
		Name:    "dead-letter-without-headers",
		Mistake: "A dead letter says neither where it comes from nor why.",
		Doc: "Nobody can tell which record of which topic it was, or what to repair before it is sent back. Headers for that are those of " +
			"[KIP-298](https://cwiki.apache.org/confluence/display/KAFKA/KIP-298%3A+Error+Handling+in+Connect) and " +
			"[KIP-1191](https://cwiki.apache.org/confluence/display/KAFKA/KIP-1191%3A+Dead-letter+queues+for+share+groups).",
		Caught:      []string{"dead-letter"},
		Scenarios:   []string{"poison-mix"},
		AlsoAllowed: nil,
		Subject: variant("dead-letter-without-headers", func(s *steps) {
			careful := s.letter
			s.letter = func(r *kgo.Record, _ []kgo.RecordHeader) *kgo.Record { return careful(r, nil) }
		}),
	}
}
