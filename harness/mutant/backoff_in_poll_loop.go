package mutant

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func backoffInPollLoop() Mutant {
	return Mutant{
		Name:    "backoff-in-poll-loop",
		Mistake: "It waits for the next attempt in the poll loop, longer than a rebalance waits for it.",
		Doc: "`Thread.sleep` in the handler: beyond `max.poll.interval.ms` the member is out ([KIP-62](https://cwiki.apache.org/confluence/display/KAFKA/KIP-62%3A+Allow+consumer+to+send+heartbeats+from+a+background+thread)), " +
			"another one has its partitions, and it goes on with them when it wakes up.",
		Caught:      []string{"fencing"},
		Scenarios:   []string{"rebalance-during-retry"},
		AlsoAllowed: []string{"reprocessing", "partition-order", "key-order", "commit-progress", "retry-bound", "graceful-stop", "truthful-lag"},
		Subject: variant("backoff-in-poll-loop", func(s *steps) {
			s.polled = (*consumer).inPollLoop
			s.failed = func(p *partition, r *kgo.Record, attempt int, a answer) fate {
				if a.kind == unavailable && attempt == 1 {
					time.Sleep(3 * p.c.env.MaxPollInterval) //nolint:forbidigo // the mistake
					return again
				}
				return p.failed(r, attempt, a)
			}
		}),
	}
}
