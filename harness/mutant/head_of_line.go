package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func headOfLine() Mutant {
	return Mutant{
		Name:    "head-of-line",
		Mistake: "One loop handles all partitions, so one that is slow stalls the others.",
		Doc: "The plain loop over what a poll has brought. While one record waits for a dependency of its own, all partitions of the member wait with it; " +
			"[parallel-consumer](https://github.com/confluentinc/parallel-consumer) calls it head-of-line blocking.",
		Caught:      []string{"head-of-line"},
		Scenarios:   []string{"slow-handler"},
		AlsoAllowed: nil,
		Subject: variant("head-of-line", func(s *steps) {
			s.polled = (*consumer).inPollLoop
		}),
	}
}

// inPollLoop does what came before it polls again, one partition after the other.
func (c *consumer) inPollLoop(fetches kgo.Fetches) {
	c.complain(fetches)
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if p := c.part(f.Partition); p != nil {
			p.open = append(p.open, f.Records...)
			p.inOrder(f.Records)
			p.commit()
		}
	})
}
