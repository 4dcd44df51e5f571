package check

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// tail retries a record after the one behind it.
func tail(b *book) {
	b.join("m1", 0)
	b.produce(0, 0, 5)
	b.refuse("m1", 0, 0)
	b.do("m1", 0, 1, 3)
	b.do("m1", 0, 0, 1)
	b.do("m1", 0, 3, 5)
	b.commit("m1", 0, 5)
	b.close("m1")
}

func TestPartitionOrder(t *testing.T) {
	runStories(t, partitionOrder, []story{
		{name: "held-dead-letter-of-a-transaction-aborted-by-a-crash", want: "3 records were finished", tell: func(b *book) {
			b.h.Promises.Delivery = history.ExactlyOnce
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.produce(0, 1, 4)
			b.refuse("m1", 0, 0)
			b.do("m1", 0, 1, 3)
			b.crash("m1", "m1#2", 0)
			b.refuse("m1#2", 0, 0)
			b.letter(0, 0, "permanent", nil)
			b.do("m1#2", 0, 1, 4)
			b.transact("m1#2", 0, 4)
			b.close("m1#2")
		}},
		{name: "violated-dead-letter-after", count: 1, tell: func(b *book) {
			b.h.Promises.Delivery = history.ExactlyOnce
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.produce(0, 1, 3)
			b.do("m1", 0, 1, 3)
			b.refuse("m1", 0, 0)
			b.letter(0, 0, "permanent", nil)
			b.transact("m1", 0, 3)
			b.close("m1")
		}},
		{name: "held-dead-letter-of-an-aborted-transaction", tell: func(b *book) {
			b.h.Promises.Delivery = history.ExactlyOnce
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.produce(0, 1, 3)
			b.refuse("m1", 0, 0) // its dead letter is in the transaction that is aborted
			b.do("m1", 0, 1, 3)
			b.abort("m1", b.take("m1", 0, 3))
			b.refuse("m1", 0, 0)
			b.letter(0, 0, "permanent", nil)
			b.do("m1", 0, 1, 3)
			b.transact("m1", 0, 3)
			b.close("m1")
		}},
		{name: "held", tell: sound, only: true},
		{name: "held-crash", tell: soundCrash, only: true},
		{name: "held-zombie", tell: soundZombie, only: true},
		{name: "held-dead-letter", tell: func(b *book) { poisoned(b, nil) }, only: true},
		{name: "held-poison-never-done", tell: func(b *book) {
			b.h.Promises.Poison = history.PoisonSkip
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.produce(0, 1, 4)
			b.refuse("m1", 0, 0)
			b.do("m1", 0, 1, 4)
			b.commit("m1", 0, 4)
			b.close("m1")
		}, only: true},
		{name: "held-tombstone-late", tell: func(b *book) {
			b.join("m1", 0)
			b.produceAs(0, 0, "tombstone", history.Acked)
			b.produce(0, 1, 4)
			b.do("m1", 0, 1, 4)
			b.do("m1", 0, 0, 1)
			b.commit("m1", 0, 4)
			b.close("m1")
		}, only: true},
		{name: "held-not-promised", want: "out_of_order:1", tell: func(b *book) {
			b.h.Promises.Order = history.OrderKey
			tail(b)
		}},
		{name: "violated", tell: tail, count: 1, want: "m-0-0"},
		{name: "violated-dead-letter-late", count: 1, tell: func(b *book) {
			poisoned(b, func(e *history.Event) { e.Time += time.Second })
		}},
		{name: "violated-replay", count: 1, want: "1 done again out of order", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 3)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 0, 1)
			b.do("m1#2", 0, 2, 3)
			b.do("m1#2", 0, 1, 2)
			b.do("m1#2", 0, 3, 4)
			b.commit("m1#2", 0, 4)
			b.close("m1#2")
		}},
		{name: "unknown", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 1)
			b.do("m1", 0, 0, 1)
			b.close("m1")
		}},
	})
}
