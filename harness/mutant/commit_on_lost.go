package mutant

func commitOnLost() Mutant {
	return Mutant{
		Name:    "commit-on-lost",
		Mistake: "Partitions that were lost are committed like those that are revoked, and the commit leaves as the new member.",
		Doc: "Before [KIP-429](https://cwiki.apache.org/confluence/display/KAFKA/KIP-429%3A+Kafka+Consumer+Incremental+Rebalance+Protocol) there was one callback for both, and the default of " +
			"`onPartitionsLost` still calls `onPartitionsRevoked`. A client holds such a commit back until it has joined again, and the group takes it.",
		Caught:      []string{"commit-progress"},
		Scenarios:   []string{"zombie"},
		AlsoAllowed: []string{"fencing", "reprocessing", "commit-safety", "partition-order", "key-order"},
		Subject: variant("commit-on-lost", func(s *steps) {
			s.lost = func(c *consumer, parts []*partition) {
				c.drop(parts)
				positions := map[int32]int64{}
				for _, p := range parts {
					if next, _ := p.uncommitted(); next > 0 {
						positions[p.id] = next
					}
				}
				go func() { _ = c.send(c.client.Context(), positions) }() // not in the callback: it waits for the join
			}
		}),
	}
}
