package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func assumeContiguity() Mutant {
	return Mutant{
		Name:    "assume-contiguity",
		Mistake: "The position waits for offset n+1 after n, though offsets have gaps.",
		Doc: "Control records of transactions, aborted transactions and compaction leave offsets that no consumer is ever given " +
			"([KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)). What counts one by one waits for ever, as Druid did " +
			"([#5404](https://github.com/apache/druid/issues/5404)).",
		Caught:      []string{"commit-progress"},
		Scenarios:   []string{"transactions-interleaved"},
		AlsoAllowed: []string{"reprocessing", "graceful-stop"},
		Subject: variant("assume-contiguity", func(s *steps) {
			careful := s.client
			s.client = func() []kgo.Opt { return careful()[:4] } // control records are not asked for
			s.finished = func(p *partition, r *kgo.Record) {
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.done[r.Offset] = true; p.next == 0 && len(p.open) > 0 {
					p.next = p.open[0].Offset // where it began
				}
				for p.done[p.next] {
					delete(p.done, p.next)
					p.next++
				}
			}
		}),
	}
}
