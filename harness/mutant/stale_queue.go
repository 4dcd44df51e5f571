package mutant

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

func staleQueue() Mutant {
	return Mutant{
		Name:    "stale-queue",
		Mistake: "What waited in memory when a partition was revoked is handled when it comes back, and fetched once more.",
		Doc: "Queues that belong to the number of a partition and not to its assignment. The client starts again at the commit, so each record that waited comes twice: " +
			"[alpakka-kafka #1038](https://github.com/akka/alpakka-kafka/issues/1038), [zio-kafka #591](https://github.com/zio/zio-kafka/pull/591).",
		Caught:      []string{"reprocessing"},
		Scenarios:   []string{"leave-mid-batch"},
		AlsoAllowed: []string{"partition-order", "key-order", "commit-safety", "commit-progress", "graceful-stop", "fencing"},
		Subject: variant("stale-queue", func(s *steps) {
			var mu sync.Mutex
			kept := map[int32][]*kgo.Record{}
			s.revoked = func(c *consumer, parts []*partition) {
				c.giveUp(parts)
				mu.Lock()
				defer mu.Unlock()
				for _, p := range parts {
					kept[p.id] = p.waiting
				}
			}
			s.assigned = func(c *consumer, partitions []int32) {
				c.assign(partitions)
				mu.Lock()
				defer mu.Unlock()
				for _, id := range partitions {
					if records := kept[id]; len(records) > 0 {
						c.part(id).queue(records)
					}
					delete(kept, id)
				}
			}
		}),
	}
}
