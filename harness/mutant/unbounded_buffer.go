package mutant

func unboundedBuffer() Mutant {
	return Mutant{
		Name:    "unbounded-buffer",
		Mistake: "It fetches on and on, however much waits in memory.",
		Doc: "A poll loop that feeds a queue without a bound. With a backlog of hours it ends in an OOM kill, and then again. The Java client hands out `max.poll.records` at a time " +
			"([KIP-41](https://cwiki.apache.org/confluence/display/KAFKA/KIP-41%3A+KafkaConsumer+Max+Records)) for that reason.",
		Caught:      []string{"in-flight"},
		Scenarios:   []string{"backlog"},
		AlsoAllowed: nil,
		Subject:     variant("unbounded-buffer", func(s *steps) { s.full = func(*partition, int) bool { return false } }),
	}
}
