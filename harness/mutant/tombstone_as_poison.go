package mutant

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

func tombstoneAsPoison() Mutant {
	return Mutant{
		Name:    "tombstone-as-poison",
		Mistake: "A record without a value is dead-lettered, since nothing can be decoded from it.",
		Doc: "In a compacted topic it says that the key is deleted ([log compaction](https://kafka.apache.org/documentation/#compaction)). A decoder that is asked for JSON in no bytes fails, " +
			"and the delete never happens. Spring for Apache Kafka has a page on [null payloads](https://docs.spring.io/spring-kafka/reference/kafka/tombstones.html).",
		Caught:      []string{"dead-letter"},
		Scenarios:   []string{"poison-mix"},
		AlsoAllowed: nil,
		Subject: variant("tombstone-as-poison", func(s *steps) {
			s.batch = func(p *partition, records []*kgo.Record) {
				for _, r := range records {
					if r.Value == nil && !r.Attrs.IsControl() {
						p.bury(r, 1, errors.New("unexpected end of JSON input").Error())
					}
				}
				p.inOrder(records)
			}
		}),
	}
}
