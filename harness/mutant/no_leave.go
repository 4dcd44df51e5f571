package mutant

func noLeave() Mutant {
	return Mutant{
		Name:    "no-leave",
		Mistake: "It stops in order, commits, and ends without a word to its group.",
		Doc: "No `consumer.close()`: the partitions stand still until the session times out, 45 s by default, at every deployment. Close leaves the group " +
			"(`KafkaConsumer.close`); static members are the exception ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)).",
		Caught:    []string{"graceful-stop"},
		Scenarios: []string{"steady"},
		Subject: variant("no-leave", func(s *steps) {
			s.leave = func(c *consumer) { c.giveUp(c.take(c.owned())) }
		}),
	}
}
