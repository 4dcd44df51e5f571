package check

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// slowly has m1 take the time at the first record of partition 0; meanwhile is what else happens, and waits
// has records wait in partition 1.
func slowly(b *book, independent string, took time.Duration, meanwhile func()) {
	b.h.Promises.Independent = independent
	b.join("m1", 0, 1)
	b.produce(0, 0, 4)
	b.produce(1, 0, 4)
	ref := b.begin("m1", 0, 0)
	b.wait(took / 2)
	meanwhile()
	b.wait(took / 2)
	b.finish(history.EffectDone, ref, "")
	b.do("m1", 0, 1, 4)
	b.commit("m1", 0, 4)
}

// rest does partition 1 and ends the run.
func rest(b *book, from int64) {
	b.do("m1", 1, from, 4)
	b.commit("m1", 1, 4)
	b.close("m1")
}

// endsBefore has m1 be slow in both partitions, and be done with the first record of partition 1 by the time
// before it is done with the one of partition 0.
func endsBefore(b *book, before time.Duration) {
	b.h.Promises.Independent = history.IndependentPartitions
	b.join("m1", 0, 1)
	b.produce(0, 0, 1)
	b.produce(1, 0, 4)
	other := b.begin("m1", 1, 0)
	ref := b.begin("m1", 0, 0)
	b.wait(4 * time.Second)
	b.finish(history.EffectDone, other, "")
	b.wait(before)
	b.finish(history.EffectDone, ref, "")
	b.commit("m1", 0, 1)
	rest(b, 1)
}

func TestHeadOfLine(t *testing.T) {
	runStories(t, headOfLine, []story{
		{name: "held", only: true, want: "1 attempt of 2 s or more, and others went on", tell: func(b *book) {
			slowly(b, history.IndependentPartitions, 4*time.Second, func() { b.do("m1", 1, 0, 2) })
			rest(b, 2)
		}},
		{name: "held-not-long", only: true, want: "0 attempts of 2 s or more", tell: func(b *book) {
			slowly(b, history.IndependentPartitions, time.Second, func() {})
			rest(b, 0)
		}},
		{name: "held-nothing-waited-long", only: true, tell: func(b *book) {
			b.h.Promises.Independent = history.IndependentPartitions
			b.join("m1", 0, 1)
			b.produce(0, 0, 1)
			ref := b.begin("m1", 0, 0)
			b.wait(3 * time.Second)
			b.produce(1, 0, 4)
			b.wait(time.Second)
			b.finish(history.EffectDone, ref, "")
			b.commit("m1", 0, 1)
			rest(b, 0)
		}},
		{name: "held-the-sink-held-it", only: true, tell: func(b *book) {
			slowly(b, history.IndependentPartitions, 4*time.Second, func() {
				for i := range b.events {
					if b.events[i].Kind == history.EffectStarted {
						b.events[i].Note = history.NoteAlone
					}
				}
			})
			rest(b, 0)
		}},
		{name: "held-both-are-slow", only: true, tell: func(b *book) {
			b.h.Promises.Independent = history.IndependentPartitions
			b.join("m1", 0, 1)
			b.produce(0, 0, 1)
			b.produce(1, 0, 4)
			other := b.begin("m1", 1, 0)
			ref := b.begin("m1", 0, 0)
			b.wait(4 * time.Second)
			b.finish(history.EffectDone, ref, "")
			b.finish(history.EffectDone, other, "")
			b.commit("m1", 0, 1)
			rest(b, 1)
		}},
		{name: "held-the-other-was-slow-until-just-before", only: true, want: "2 attempts of 2 s or more", tell: func(b *book) {
			endsBefore(b, time.Millisecond)
		}},
		{name: "violated-the-other-was-free-for-long", count: 1, only: true, want: "m1 began nothing else while it was at m-0-0", tell: func(b *book) {
			endsBefore(b, 3*time.Second)
		}},
		{name: "held-not-its-own-any-more", only: true, tell: func(b *book) {
			slowly(b, history.IndependentPartitions, 4*time.Second, func() {
				b.join("m2")
				b.group(history.Revoked, "m1", 1)
				b.group(history.Assigned, "m2", 1)
			})
			b.do("m2", 1, 0, 4)
			b.commit("m2", 1, 4)
			b.close("m1", "m2")
		}},
		{name: "held-other-keys-went-on", only: true, tell: func(b *book) {
			b.h.Promises.Order = history.OrderKey
			b.h.Promises.Independent = history.IndependentKeys
			b.join("m1", 0)
			b.produce(0, 0, 4)
			ref := b.begin("m1", 0, 0)
			b.do("m1", 0, 1, 2)
			b.do("m1", 0, 3, 4)
			b.wait(4 * time.Second)
			b.finish(history.EffectDone, ref, "")
			b.do("m1", 0, 2, 3)
			b.commit("m1", 0, 4)
			b.close("m1")
		}},
		{name: "held-not-promised", want: "not promised; 1 long attempt that held others up", only: true, tell: func(b *book) {
			slowly(b, "", 4*time.Second, func() {})
			rest(b, 0)
		}},
		{name: "violated", count: 1, only: true, want: "m1 began nothing else while it was at m-0-0 (orders/0@0) for 4.01s", tell: func(b *book) {
			slowly(b, history.IndependentPartitions, 4*time.Second, func() {})
			rest(b, 0)
		}},
		{name: "violated-never-ended", count: 1, want: "m1 began nothing else while it was at m-0-0", tell: func(b *book) {
			b.h.Promises.Independent = history.IndependentPartitions
			b.join("m1", 0, 1)
			b.produce(0, 0, 1)
			b.produce(1, 0, 1)
			b.begin("m1", 0, 0)
			b.giveUp("m1")
		}},
		{name: "violated-other-keys", count: 1, only: true, want: "m-0-1", tell: func(b *book) {
			b.h.Promises.Order = history.OrderKey
			b.h.Promises.Independent = history.IndependentKeys
			b.join("m1", 0)
			b.produce(0, 0, 4)
			ref := b.begin("m1", 0, 0)
			b.wait(4 * time.Second)
			b.finish(history.EffectDone, ref, "")
			b.do("m1", 0, 1, 4)
			b.commit("m1", 0, 4)
			b.close("m1")
		}},
		{name: "unknown", want: "no effect was seen", tell: func(b *book) {
			b.h.Promises.Independent = history.IndependentPartitions
			b.join("m1", 0)
			b.produce(0, 0, 1)
			b.close("m1")
		}},
	})
}
