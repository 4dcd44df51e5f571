package mutant

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func commitOnPoll() Mutant {
	return Mutant{
		Name:    "commit-on-poll",
		Mistake: "What was polled is committed by the clock, whether it is done or not.",
		Doc: "The default of librdkafka (`enable.auto.offset.store=true`, which stores the offset when a message is handed out) and so of most minimal examples in " +
			"Python, Go, C# and Node: see the [librdkafka introduction](https://github.com/confluentinc/librdkafka/blob/master/INTRODUCTION.md), auto offset commit. In franz-go it is `GreedyAutoCommit`.",
		Caught:      []string{"no-loss", "commit-safety"},
		Scenarios:   []string{"crash-mid-batch"},
		AlsoAllowed: []string{"graceful-stop", "reprocessing"},
		Subject: variant("commit-on-poll", func(s *steps) {
			careful := s.client
			s.client = func() []kgo.Opt {
				return append(careful()[1:], kgo.GreedyAutoCommit(), kgo.AutoCommitInterval(100*time.Millisecond))
			}
			s.commit = func(*partition) {}
			s.revoked = committingWhatWasPolled
		}),
	}
}

// committingWhatWasPolled is what an auto-committing client does at a revoke.
func committingWhatWasPolled(c *consumer, parts []*partition) {
	c.giveUp(parts)
	_ = c.client.CommitUncommittedOffsets(c.client.Context()) // as the client: without asking what became of it
}
