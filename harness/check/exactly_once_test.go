package check

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

// exactly is a sound run with transactions and one crash, poison at offset 2, whose outputs are told by the caller.
func exactly(b *book, outputs func()) {
	b.h.Promises.Delivery = history.ExactlyOnce
	b.join("m1", 0)
	b.produce(0, 0, 2)
	b.produceAs(0, 2, "permanent", history.Acked)
	b.produce(0, 3, 6)
	b.do("m1", 0, 0, 2)
	b.refuse("m1", 0, 2)
	b.letter(0, 2, "permanent", nil)
	b.transact("m1", 0, 3)
	b.do("m1", 0, 3, 6)
	ref := b.take("m1", 0, 6)
	b.end("m1", history.Killed, "signal killed")
	b.abort("m1", ref) // by the next life
	b.join("m1#2", 0)
	b.do("m1#2", 0, 3, 6)
	b.transact("m1#2", 0, 6)
	b.closeWith(outputs, "m1#2")
}

func TestExactlyOnce(t *testing.T) {
	runStories(t, exactlyOnce, []story{
		{name: "held", only: true, want: "5 outputs", tell: func(b *book) {
			exactly(b, func() { b.out(0, 0, 2); b.out(0, 3, 6) })
		}},
		{name: "held-not-promised", only: true, want: "not promised", tell: sound},
		{name: "held-not-promised-counted", want: "not_exactly_once:1", tell: func(b *book) {
			exactly(b, func() { b.out(0, 0, 2); b.out(0, 3, 6); b.out(0, 4, 5) })
			b.h.Promises.Delivery = history.AtLeastOnce
		}},
		{name: "held-tombstones-with-one-and-with-none", only: true, tell: func(b *book) {
			b.h.Promises.Delivery = history.ExactlyOnce
			b.join("m1", 0)
			b.produceAs(0, 0, "tombstone", history.Acked)
			b.produceAs(0, 1, "tombstone", history.Acked)
			b.produce(0, 2, 4)
			b.do("m1", 0, 2, 4)
			b.transact("m1", 0, 4)
			b.closeWith(func() { b.out(0, 0, 1); b.out(0, 2, 4) }, "m1")
		}},
		{name: "held-a-produce-that-failed-has-none", only: true, tell: func(b *book) {
			exactly(b, func() { b.out(0, 0, 2); b.out(0, 3, 6) })
			b.produceAs(0, 9, "", history.Failed)
		}},
		{name: "violated", count: 1, only: true, want: "2 outputs of it can be seen", tell: func(b *book) {
			exactly(b, func() { b.out(0, 0, 2); b.out(0, 3, 6); b.out(0, 4, 5) })
		}},
		{name: "violated-missing", count: 2, want: "committed past, and no output", tell: func(b *book) {
			exactly(b, func() { b.out(0, 0, 2); b.out(0, 3, 4) })
		}},
		{name: "violated-missing-at-the-end-only", count: 1, want: "although the run has drained", tell: func(b *book) {
			b.h.Promises.Delivery = history.ExactlyOnce
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 3)
			b.transact("m1", 0, 2)
			b.closeWith(func() { b.out(0, 0, 2) }, "m1")
		}},
		{name: "violated-output-of-poison", count: 1, want: "permanent, and yet", tell: func(b *book) {
			exactly(b, func() { b.out(0, 0, 6) })
		}},
		{name: "violated-twice-though-not-all-were-read", count: 1, tell: func(b *book) {
			exactly(b, func() { b.out(0, 0, 2); b.out(0, 0, 1) })
			b.events = b.events[:len(b.events)-2]
		}},
		{name: "unknown", want: "were not read to their end", tell: func(b *book) {
			exactly(b, func() { b.out(0, 0, 2) })
			b.events = b.events[:len(b.events)-2]
		}},
		{name: "unknown-stray", want: "1 output belongs to no record", tell: func(b *book) {
			exactly(b, func() {
				b.out(0, 0, 2)
				b.out(0, 3, 5)
				b.add(history.Event{Kind: history.Output, Topic: "orders.out", Offset: 40})
			})
		}},
		{name: "unknown-not-drained", want: "1 record had no output", tell: func(b *book) {
			b.h.Promises.Delivery = history.ExactlyOnce
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			b.transact("m1", 0, 2)
			b.phase(history.PhaseDrain)
			b.phase(history.PhaseStop)
			b.stop("m1")
			b.out(0, 0, 2)
			b.phase(history.PhaseOutputs, history.PhaseEnd)
		}},
		{name: "unknown-nothing-produced", want: "no record", tell: func(b *book) {
			b.h.Promises.Delivery = history.ExactlyOnce
			b.join("m1", 0)
			b.closeWith(func() {}, "m1")
		}},
	})
}
