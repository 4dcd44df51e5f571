package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func readUncommitted() Mutant {
	return Mutant{
		Name:    "read-uncommitted",
		Mistake: "Records of transactions that were aborted, or are still open, are handled.",
		Doc: "`isolation.level=read_uncommitted` is the default of the Java client, and of franz-go; librdkafka reads committed records only " +
			"([KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)).",
		Caught:      []string{"no-invention"},
		Scenarios:   []string{"aborted-transactions"},
		AlsoAllowed: nil,
		Subject: variant("read-uncommitted", func(s *steps) {
			careful := s.client
			s.client = func() []kgo.Opt { return append(careful(), kgo.FetchIsolationLevel(kgo.ReadUncommitted())) }
		}),
	}
}
