package mutant

import "time"

func commitOnLost() Mutant {
	return Mutant{
		Name:    "commit-on-lost",
		Mistake: "Partitions that were lost are committed like those that are revoked, again and again until the group takes it.",
		Doc: "Before [KIP-429](https://cwiki.apache.org/confluence/display/KAFKA/KIP-429%3A+Kafka+Consumer+Incremental+Rebalance+Protocol) there was one callback for both, and the default of " +
			"`onPartitionsLost` still calls `onPartitionsRevoked`. The group refuses such a commit at first; one that is tried again, or held back by the client until it has joined anew, leaves as the new member and is taken.",
		Caught:      []string{"commit-progress"},
		Scenarios:   []string{"zombie"},
		AlsoAllowed: []string{"fencing", "reprocessing", "commit-safety", "partition-order", "key-order"},
		Subject: variant("commit-on-lost", func(s *steps) {
			s.lost = func(c *consumer, parts []*partition) {
				c.drop(parts)
				c.insist(parts)
			}
			s.revoked = func(c *consumer, parts []*partition) {
				c.giveUp(parts)
				c.insist(parts) // on what was refused, because it was lost before it knew
			}
		}),
	}
}

// insist commits what is not committed of partitions that are gone.
func (c *consumer) insist(parts []*partition) {
	positions := map[int32]int64{}
	for _, p := range parts {
		if next, dirty := p.uncommitted(); dirty {
			positions[p.id] = next
		}
	}
	if len(positions) == 0 {
		return
	}
	go func() { // not in the callback: it waits for the join
		for c.asked.Err() == nil && c.send(c.client.Context(), positions) != nil {
			c.pause(50 * time.Millisecond)
		}
	}()
}
