package mutant

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func autoCommitWithWorkers() Mutant {
	return Mutant{
		Name:    "auto-commit-with-workers",
		Mistake: "A poll commits what the last one brought, though workers have it still.",
		Doc: "Auto-commit of the Java client and of franz-go is at least once only where all of a poll is done before the next one. Workers of one's own break that: " +
			"see *Multi-threaded Processing* in the documentation of `KafkaConsumer`.",
		Caught:      []string{"no-loss", "commit-safety"},
		Scenarios:   []string{"crash-mid-batch"},
		AlsoAllowed: []string{"graceful-stop", "reprocessing"},
		Subject: variant("auto-commit-with-workers", func(s *steps) {
			careful := s.client
			s.client = func() []kgo.Opt { return append(careful()[1:], kgo.AutoCommitInterval(100*time.Millisecond)) }
			s.commit = func(*partition) {}
			s.revoked = committingWhatWasPolled
		}),
	}
}
