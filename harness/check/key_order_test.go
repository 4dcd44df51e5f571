package check

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

func TestKeyOrder(t *testing.T) {
	byKey := func(tell func(*book)) func(*book) {
		return func(b *book) { b.h.Promises.Order = history.OrderKey; tell(b) }
	}
	runStories(t, keyOrder, []story{
		{name: "held", tell: byKey(func(b *book) { // the two keys overtake each other
			b.join("m1", 0)
			b.produce(0, 0, 6)
			for _, o := range []int64{0, 2, 1, 4, 3, 5} {
				b.do("m1", 0, o, o+1)
			}
			b.commit("m1", 0, 6)
			b.close("m1")
		}), only: true},
		{name: "held-parallel-keys", tell: byKey(func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			one, other := b.begin("m1", 0, 0), b.begin("m1", 0, 1)
			b.finish(history.EffectDone, other, "")
			b.finish(history.EffectDone, one, "")
			b.commit("m1", 0, 2)
			b.close("m1")
		}), only: true},
		{name: "held-client-gave-up", tell: byKey(func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			hangs := b.begin("m1", 0, 0)
			b.do("m1", 0, 0, 2)
			b.finish(history.EffectDropped, hangs, "")
			b.commit("m1", 0, 2)
			b.close("m1")
		}), only: true},
		{name: "held-client-gave-up-and-went-on", tell: byKey(func(b *book) { // the sink notices that when the next one is there
			b.join("m1", 0)
			b.produce(0, 0, 3)
			hangs := b.begin("m1", 0, 0)
			b.do("m1", 0, 0, 2)
			next := b.begin("m1", 0, 2)
			b.finish(history.EffectDropped, hangs, "")
			b.finish(history.EffectDone, next, "")
			b.commit("m1", 0, 3)
			b.close("m1")
		}), only: true},
		{name: "held-zombie", tell: byKey(soundZombie), only: true},
		{name: "held-crash", tell: byKey(soundCrash), only: true},
		{name: "held-dead-while-open", tell: byKey(func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 1)
			b.begin("m1", 0, 1)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 0, 3)
			b.commit("m1#2", 0, 3)
			b.close("m1#2")
		}), only: true},
		{name: "held-not-promised", want: "out_of_order:1", tell: func(b *book) {
			b.h.Promises.Order = history.OrderNone
			tail(b)
		}},
		{name: "violated", tell: byKey(func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 6)
			b.refuse("m1", 0, 0)
			b.do("m1", 0, 1, 3)
			b.do("m1", 0, 0, 1)
			b.do("m1", 0, 3, 6)
			b.commit("m1", 0, 6)
			b.close("m1")
		}), count: 1, only: true},
		{name: "violated-two-workers", count: 1, want: "1 overlapped", tell: byKey(func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			one, other := b.begin("m1", 0, 0), b.begin("m1", 0, 2)
			b.finish(history.EffectDone, one, "")
			b.finish(history.EffectDone, other, "")
			b.do("m1", 0, 1, 2)
			b.commit("m1", 0, 3)
			b.close("m1")
		}), only: true},
		{name: "violated-two-members", count: 1, want: "while m1 was at", tell: byKey(func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			open := b.begin("m1", 0, 0)
			b.group(history.Revoked, "m1", 0) // of its own accord, with work under way
			b.join("m2", 0)
			b.do("m2", 0, 1, 2)
			other := b.begin("m2", 0, 0)
			b.finish(history.EffectDone, open, "")
			b.finish(history.EffectDone, other, "")
			b.do("m2", 0, 2, 4)
			b.commit("m2", 0, 4)
			b.close("m1", "m2")
		})},
		{name: "violated-replay", count: 1, tell: byKey(func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 5)
			b.do("m1", 0, 0, 5)
			b.crash("m1", "m1#2", 0)
			for _, o := range []int64{0, 1, 4, 2, 3} {
				b.do("m1#2", 0, o, o+1)
			}
			b.commit("m1#2", 0, 5)
			b.close("m1#2")
		})},
		{name: "unknown", tell: byKey(func(b *book) { b.produce(0, 0, 3); b.close() })},
	})
}
