package mutant

import (
	"sync"
	"sync/atomic"
	"time"
)

func commitLastPartition() Mutant {
	return Mutant{
		Name:    "commit-last-partition",
		Mistake: "Only the position of the last record is remembered for the next commit, whichever partition it is of.",
		Doc: "One variable for the offset where a map by partition is needed; `consumer.commit(message)` after a batch of several partitions " +
			"(`commit(message=…)` of confluent-kafka commits the partition of that message only: [documentation](https://docs.confluent.io/platform/current/clients/confluent-kafka-python/html/index.html)).",
		Caught:      []string{"commit-progress"},
		Scenarios:   []string{"steady"},
		AlsoAllowed: []string{"graceful-stop", "reprocessing"},
		Subject: variant("commit-last-partition", func(s *steps) {
			var last atomic.Pointer[partition]
			var clock sync.Once
			s.commit = func(p *partition) {
				last.Store(p)
				clock.Do(func() { go p.c.every(time.Second, func() { commitOf(last.Swap(nil)) }) })
			}
			s.revoked = func(c *consumer, parts []*partition) {
				for _, p := range parts {
					p.stop()
					<-p.idle
				}
				commitOf(last.Swap(nil))
				c.giveUp(parts)
			}
		}),
	}
}

func commitOf(p *partition) {
	if p != nil {
		p.commit()
	}
}

// every calls f again and again until the consumer is asked to stop.
func (c *consumer) every(d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f()
		case <-c.asked.Done():
			return
		}
	}
}

// pause waits, or until the consumer is asked to stop.
func (c *consumer) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.asked.Done():
	}
}
