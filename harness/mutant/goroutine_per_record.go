package mutant

func goroutinePerRecord() Mutant {
	return Mutant{
		Name:    "goroutine-per-record",
		Mistake: "Every record of a batch is handled in a goroutine of its own, though order by partition is promised.",
		Doc: "`for r := range records { go handle(r) }`, `Promise.all(batch.map(…))`, a thread pool. The commit may wait for all of them; the order of a key is gone all the same. " +
			"Kafka [guarantees](https://kafka.apache.org/documentation/#intro_concepts_and_terms) that a partition is read in order, and no more.",
		Caught:      []string{"partition-order", "key-order"},
		Scenarios:   []string{"steady"},
		AlsoAllowed: nil,
		Subject:     variant("goroutine-per-record", func(s *steps) { s.batch = sideBySide }),
	}
}
