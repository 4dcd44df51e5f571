package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func offsetOutsideTransaction() Mutant {
	return Mutant{
		Name:    "offset-outside-transaction",
		Mistake: "Outputs are committed in a transaction, and offsets after it.",
		Doc: "`commitTransaction()` and then `commitSync()`, instead of `sendOffsetsToTransaction`. A crash in between makes all of the batch again, with outputs that everybody can see twice " +
			"([KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)).",
		Promises:  exactlyOnce,
		Caught:    []string{"exactly-once"},
		Scenarios: []string{"crash-before-commit"},
		// A rebalance gets between the transaction and its offsets: what is visible already is done again, by the next owner or here.
		AlsoAllowed: []string{"reprocessing", "partition-order", "key-order", "fencing"},
		Subject: txVariant("offset-outside-transaction", func(s *transactions) {
			careful := s.end
			s.end = func(t *transactional, polled kgo.Fetches, try kgo.TransactionEndTry) error {
				if try == kgo.TryAbort {
					return careful(t, polled, try)
				}
				client := t.session.Client()
				if err := client.Flush(t.live); err != nil {
					return err
				}
				if err := client.EndTransaction(t.live, try); err != nil {
					return err
				}
				return client.CommitUncommittedOffsets(t.live)
			}
		}),
	}
}
