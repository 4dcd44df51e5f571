package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func abortTakenAsDone() Mutant {
	return Mutant{
		Name:    "abort-taken-as-done",
		Mistake: "After a transaction that was aborted it goes on behind it, as if its outputs were there.",
		Doc: "`abortTransaction()` in the error handler without a `seek` back to what is committed: the position of the consumer is not part of the transaction. Whoever uses " +
			"`KafkaProducer.abortTransaction` must do it; [GroupTransactSession](https://pkg.go.dev/github.com/twmb/franz-go/pkg/kgo#GroupTransactSession.End) seeks by itself.",
		Promises:    exactlyOnce,
		Caught:      []string{"exactly-once"},
		Scenarios:   []string{"leave-mid-batch"},
		AlsoAllowed: []string{"no-loss", "commit-safety"},
		Subject: txVariant("abort-taken-as-done", func(s *transactions) {
			s.end = func(t *transactional, polled kgo.Fetches, try kgo.TransactionEndTry) error {
				committed, err := t.session.End(t.live, try)
				if err == nil && !committed {
					t.session.Client().SetOffsets(behind(polled))
				}
				return err
			}
		}),
	}
}

// behind is the position after each partition of what was polled.
func behind(polled kgo.Fetches) map[string]map[int32]kgo.EpochOffset {
	at := map[string]map[int32]kgo.EpochOffset{}
	polled.EachRecord(func(r *kgo.Record) {
		if at[r.Topic] == nil {
			at[r.Topic] = map[int32]kgo.EpochOffset{}
		}
		at[r.Topic][r.Partition] = kgo.EpochOffset{Epoch: -1, Offset: r.Offset + 1}
	})
	return at
}
