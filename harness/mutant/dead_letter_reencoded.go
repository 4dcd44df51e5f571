package mutant

import (
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kgo"
)

func deadLetterReencoded() Mutant {
	return Mutant{
		Name:    "dead-letter-reencoded",
		Mistake: "A dead letter holds the value as the consumer understood it, and not as it was.",
		Doc: "Wrapped in JSON with the error beside it, or serialized again. What could not be read is lost just where it matters, and nothing can be sent back as it was. " +
			"[KIP-298](https://cwiki.apache.org/confluence/display/KAFKA/KIP-298%3A+Error+Handling+in+Connect) keeps key and value byte for byte.",
		Caught:      []string{"dead-letter"},
		Scenarios:   []string{"poison-mix"},
		AlsoAllowed: nil,
		Subject: variant("dead-letter-reencoded", func(s *steps) {
			careful := s.letter
			s.letter = func(r *kgo.Record, why []kgo.RecordHeader) *kgo.Record {
				letter := careful(r, why)
				letter.Value, _ = json.Marshal(map[string]string{"value": string(r.Value), "error": string(why[len(why)-1].Value)})
				return letter
			}
		}),
	}
}
