package check

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

func (b *book) fetch(who string, p int32, offset int64) {
	b.add(by(history.Event{Kind: history.Fetched, Topic: "orders", Partition: p, Offset: offset}, who))
}

// greedy has m1 fetch all of two partitions before it does anything.
func greedy(b *book) {
	b.join("m1", 0, 1)
	b.produce(0, 0, 6)
	b.produce(1, 0, 6)
	b.fetch("m1", 0, 0)
	b.fetch("m1", 1, 0)
	b.fetch("m1", 0, 6)
	b.fetch("m1", 1, 6)
	for p := range int32(2) {
		b.do("m1", p, 0, 6)
		b.commit("m1", p, 6)
	}
	b.close("m1")
}

func TestInFlight(t *testing.T) {
	bound := func(n int, tell func(*book)) func(*book) {
		return func(b *book) { b.h.Promises.MaxInFlight = n; tell(b) }
	}
	runStories(t, boundedFlight, []story{
		{name: "held", only: true, want: "at most 12 records in flight", tell: bound(12, greedy)},
		{name: "held-one-batch-after-the-other", only: true, want: "at most 3 records in flight", tell: bound(3, func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 12)
			for from := int64(0); from < 12; from += 3 {
				b.fetch("m1", 0, from)
				b.fetch("m1", 0, from+3)
				b.do("m1", 0, from, from+3)
				b.commit("m1", 0, from+3)
			}
			b.close("m1")
		})},
		{name: "held-dropped-and-asked-again", only: true, want: "at most 4 records in flight", tell: bound(4, func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 8)
			b.fetch("m1", 0, 0)
			b.fetch("m1", 0, 4)
			b.fetch("m1", 0, 0)
			b.fetch("m1", 0, 4)
			b.do("m1", 0, 0, 4)
			b.fetch("m1", 0, 8)
			b.do("m1", 0, 4, 8)
			b.commit("m1", 0, 8)
			b.close("m1")
		})},
		{name: "held-given-away", only: true, want: "at most 4 records in flight", tell: bound(4, func(b *book) {
			b.join("m1", 0, 1)
			b.produce(0, 0, 4)
			b.produce(1, 0, 4)
			b.fetch("m1", 0, 0)
			b.fetch("m1", 0, 4)
			b.join("m2")
			b.group(history.Revoked, "m1", 0)
			b.group(history.Assigned, "m2", 0)
			b.fetch("m1", 1, 0)
			b.fetch("m1", 1, 4)
			b.do("m2", 0, 0, 4)
			b.commit("m2", 0, 4)
			b.do("m1", 1, 0, 4)
			b.commit("m1", 1, 4)
			b.close("m1", "m2")
		})},
		{name: "held-not-promised", want: "most_in_flight:12", tell: greedy, only: true},
		{name: "violated", count: 1, only: true, want: "m1 had 12 records in flight, promised are at most 11", tell: bound(11, greedy)},
		{name: "unknown", want: "no fetch of a member was seen", tell: bound(5, sound)},
	})
}
