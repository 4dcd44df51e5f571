package mutant

func noDrain() Mutant {
	return Mutant{
		Name:    "no-drain",
		Mistake: "A partition that is revoked is dropped at once: what is in hand is cut off, what is done is not committed.",
		Doc: "No revoke callback at all, which is what the minimal examples have. Every rebalance, and so every deployment, repeats what was in flight. The callback is the last chance to commit: " +
			"[ConsumerRebalanceListener](https://kafka.apache.org/32/javadoc/org/apache/kafka/clients/consumer/ConsumerRebalanceListener.html) of the Java client says so.",
		Caught:      []string{"reprocessing"},
		Scenarios:   []string{"leave-mid-batch"},
		AlsoAllowed: []string{"graceful-stop", "fencing"},
		Subject:     variant("no-drain", func(s *steps) { s.revoked = (*consumer).drop }),
	}
}
