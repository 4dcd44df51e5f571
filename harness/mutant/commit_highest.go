package mutant

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
)

func commitHighest() Mutant {
	return Mutant{
		Name:    "commit-highest",
		Mistake: "Each record that is finished commits its own offset, whatever is still open below it.",
		Doc: "Workers that run side by side and acknowledge one by one: `session.MarkMessage` of sarama from several goroutines, a commit in a callback. What is needed is the lowest " +
			"offset that is not done; [parallel-consumer](https://github.com/confluentinc/parallel-consumer) was written for that.",
		Promises:    func(p *history.Promises) { p.Order = history.OrderNone },
		Caught:      []string{"commit-safety"},
		Scenarios:   []string{"crash-mid-batch"},
		AlsoAllowed: []string{"no-loss", "commit-progress", "reprocessing", "graceful-stop"},
		Subject: variant("commit-highest", func(s *steps) {
			s.batch = sideBySide
			s.finished = func(p *partition, r *kgo.Record) {
				p.mu.Lock()
				p.next = max(p.next, r.Offset+1)
				p.mu.Unlock()
				p.commit()
			}
		}),
	}
}

// sideBySide does all records of a batch at once, and waits for the last one.
func sideBySide(p *partition, records []*kgo.Record) {
	var wg sync.WaitGroup
	for _, r := range records {
		wg.Go(func() {
			if !p.stopped() && p.handle(r) {
				p.c.do.finished(p, r)
			}
		})
	}
	wg.Wait()
}
