package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func commitSameOffset() Mutant {
	return Mutant{
		Name:    "commit-same-offset",
		Mistake: "The offset of the last record is committed, and not the one after it.",
		Doc: "What is committed is the next offset to read. The documentation of `KafkaConsumer.commitSync(Map)` says \"lastProcessedMessageOffset + 1\", and whoever overlooks it " +
			"handles the last record of each partition again after every rebalance, and never gets to lag 0.",
		Caught:      []string{"commit-progress"},
		Scenarios:   []string{"steady"},
		AlsoAllowed: []string{"reprocessing", "graceful-stop"},
		Subject: variant("commit-same-offset", func(s *steps) {
			s.position = func(r *kgo.Record) int64 { return r.Offset }
		}),
	}
}
