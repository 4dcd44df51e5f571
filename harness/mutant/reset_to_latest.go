package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func resetToLatest() Mutant {
	return Mutant{
		Name:    "reset-to-latest",
		Mistake: "Where nothing is committed yet it begins at the end.",
		Doc: "`auto.offset.reset=latest` is the default of Kafka. What was produced before the first commit of a partition is never read: a new group, a new partition, a crash before the first " +
			"commit ([KIP-842](https://cwiki.apache.org/confluence/display/KAFKA/KIP-842%3A+Add+richer+group+offset+reset+mechanisms) tells the stories).",
		Caught:      []string{"no-loss", "commit-safety"},
		Scenarios:   []string{"crash-before-first-commit"},
		AlsoAllowed: nil,
		Subject: variant("reset-to-latest", func(s *steps) {
			careful := s.client
			s.client = func() []kgo.Opt {
				return append(careful(), kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
			}
		}),
	}
}
