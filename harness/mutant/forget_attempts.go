package mutant

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
)

func forgetAttempts() Mutant {
	return Mutant{
		Name:    "forget-attempts",
		Mistake: "Attempts are counted for an assignment, so each rebalance gives a record all of them again.",
		Doc: "The counter lives with the partition's state and goes with it. A record that fails for minutes while deployments roll is never given up. " +
			"`DefaultErrorHandler` of Spring for Apache Kafka keeps its counts for [the life of the consumer](https://docs.spring.io/spring-kafka/reference/kafka/annotation-error-handling.html).",
		// A record that fails more often than it may be tried is a dead letter, though it was not poison.
		Promises:    func(p *history.Promises) { p.MaxAttempts, p.Poison = 2, "" },
		Caught:      []string{"retry-bound"},
		Scenarios:   []string{"rebalance-during-retry"},
		AlsoAllowed: nil,
		Subject: variant("forget-attempts", func(s *steps) {
			var mu sync.Mutex
			counts := map[*partition]*attempts{}
			s.tries = func(p *partition, r *kgo.Record) int {
				mu.Lock()
				defer mu.Unlock()
				if counts[p] == nil {
					counts[p] = newAttempts()
				}
				return counts[p].add(r)
			}
		}),
	}
}
