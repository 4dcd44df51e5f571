package mutant

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func retryAtTail() Mutant {
	return Mutant{
		Name:    "retry-at-tail",
		Mistake: "A record that fails is put behind those that wait, and tried again when its turn comes.",
		Doc: "Re-queueing in memory, or a retry topic: the records behind it are done first. Spring for Apache Kafka says of its non-blocking retries that " +
			"[ordering is lost](https://docs.spring.io/spring-kafka/reference/retrytopic/how-the-pattern-works.html).",
		Caught:      []string{"partition-order"},
		Scenarios:   []string{"transient-failures"},
		AlsoAllowed: []string{"key-order"},
		Subject: variant("retry-at-tail", func(s *steps) {
			s.batch = func(p *partition, records []*kgo.Record) {
				for _, r := range records {
					if p.stopped() {
						return
					}
					if p.handle(r) {
						p.finished(r)
					}
				}
			}
			s.failed = func(p *partition, r *kgo.Record, attempt int, a answer) fate {
				if a.kind != unavailable {
					return p.failed(r, attempt, a)
				}
				time.AfterFunc(backoff(attempt, a.after), func() {
					p.mu.Lock()
					p.waiting = append(slices.Clone(p.waiting), r)
					p.mu.Unlock()
					p.wake()
				})
				return abandon // for now; its offset holds the position back
			}
		}),
	}
}
