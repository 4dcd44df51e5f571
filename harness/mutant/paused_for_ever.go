package mutant

func pausedForEver() Mutant {
	return Mutant{
		Name:    "paused-for-ever",
		Mistake: "A partition that was paused because too much of it waited is never resumed.",
		Doc: "Back-pressure by `pause` with a way on which `resume` is forgotten: an exception, a rebalance in between. In librdkafka and franz-go a pause even outlives the assignment. " +
			"Heartbeats go on, and nothing looks wrong but the lag: [confluent-kafka-go #193](https://github.com/confluentinc/confluent-kafka-go/issues/193), " +
			"[franz-go #1272](https://github.com/twmb/franz-go/issues/1272).",
		Caught:      []string{"commit-progress"},
		Scenarios:   []string{"slow-handler"},
		AlsoAllowed: nil,
		Subject:     variant("paused-for-ever", func(s *steps) { s.resume = func(*partition) {} }),
	}
}
