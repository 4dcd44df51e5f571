package check

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// moved has m1 give partition 0 to m2 after the time away; it ends drained.
func moved(b *book, away time.Duration) {
	b.join("m1", 0, 1)
	b.produce(0, 0, 4)
	b.produce(1, 0, 4)
	b.do("m1", 0, 0, 4)
	b.commit("m1", 0, 4)
	b.do("m1", 1, 0, 4)
	b.commit("m1", 1, 4)
	b.life(history.MemberStarted, "m2")
	b.life(history.Joining, "m2")
	b.group(history.Revoked, "m1", 0)
	b.produce(0, 4, 6)
	b.wait(away)
	b.group(history.Assigned, "m2", 0)
	b.do("m2", 0, 4, 6)
	b.commit("m2", 0, 6)
	b.close("m1", "m2")
}

// takesBack is an eager rebalance: m1 gives up both of its partitions and gets one back.
func takesBack(b *book) {
	b.join("m1", 0, 1)
	b.produce(0, 0, 2)
	b.produce(1, 0, 2)
	b.do("m1", 0, 0, 2)
	b.do("m1", 1, 0, 2)
	b.commit("m1", 0, 2)
	b.commit("m1", 1, 2)
	b.life(history.MemberStarted, "m2")
	b.life(history.Joining, "m2")
	b.group(history.Revoked, "m1", 0, 1)
	b.life(history.Joining, "m1")
	b.group(history.Assigned, "m1", 0)
	b.group(history.Assigned, "m2", 1)
	b.close("m1", "m2")
}

// keeps has partition 0 move for the time away while m1 keeps partition 1, where records wait.
func keeps(b *book, away time.Duration, during func()) {
	b.join("m1", 0, 1)
	b.produce(0, 0, 2)
	b.produce(1, 0, 4)
	b.do("m1", 0, 0, 2)
	b.commit("m1", 0, 2)
	b.life(history.MemberStarted, "m2")
	b.life(history.Joining, "m2")
	b.group(history.Revoked, "m1", 0)
	b.wait(away / 2)
	during()
	b.wait(away / 2)
	b.group(history.Assigned, "m2", 0)
	b.do("m1", 1, 0, 4)
	b.commit("m1", 1, 4)
	b.close("m1", "m2")
}

// keepsAtWork has partition 0 move for the time away while m1, which keeps partition 1, where records wait, is at a record
// of partition 2 for a part of that time.
func keepsAtWork(b *book, away, busy time.Duration) {
	b.join("m1", 0, 1, 2)
	b.produce(0, 0, 2)
	b.produce(1, 0, 4)
	b.produce(2, 0, 1)
	b.do("m1", 0, 0, 2)
	b.commit("m1", 0, 2)
	b.life(history.MemberStarted, "m2")
	b.life(history.Joining, "m2")
	ref := b.begin("m1", 2, 0)
	b.group(history.Revoked, "m1", 0)
	b.wait(busy)
	b.finish(history.EffectDone, ref, "")
	b.wait(away - busy)
	b.group(history.Assigned, "m2", 0)
	b.do("m1", 1, 0, 4)
	b.commit("m1", 1, 4)
	b.commit("m1", 2, 1)
	b.close("m1", "m2")
}

// strands leaves partition 0 without an owner for a minute though m2 is healthy.
func strands(b *book) {
	b.join("m2", 1)
	b.join("m1", 0)
	b.produce(0, 0, 4)
	b.do("m1", 0, 0, 4)
	b.commit("m1", 0, 4)
	b.end("m1", history.Killed, "signal killed")
	b.wait(time.Minute)
	b.group(history.Assigned, "m2", 0)
	b.close("m2")
}

// comesAgain has m1, which the group has put out, join, leave at once when it is given partition 0, and join again; it does
// so many records of it before it leaves.
func comesAgain(b *book, before int64) {
	b.join("m1", 0)
	b.produce(0, 0, 4)
	b.do("m1", 0, 0, 1)
	b.group(history.Lost, "m1", 0)
	b.life(history.Joining, "m1")
	b.group(history.Assigned, "m1", 0)
	b.do("m1", 0, 1, 1+before)
	b.group(history.Revoked, "m1", 0)
	b.life(history.Left, "m1")
	b.life(history.Joining, "m1")
	b.group(history.Assigned, "m1", 0)
	b.do("m1", 0, 1+before, 4)
	b.commit("m1", 0, 4)
	b.close("m1")
}

func TestRebalance(t *testing.T) {
	incremental := func(b *book) { b.h.Promises.IncrementalRebalance = true }
	runStories(t, rebalance, []story{
		{name: "held", tell: sound, only: true, want: "0 partitions changed hands"},
		{name: "held-moved", only: true, want: "1 partition changed hands; stalls of 2.03s (median) to 2.03s", tell: func(b *book) { moved(b, 2*time.Second) }},
		{name: "held-in-time", only: true, tell: func(b *book) {
			b.h.Promises.RebalanceStall = 3 * time.Second
			moved(b, 2*time.Second)
		}},
		{name: "held-eager", only: true, want: "taken_back:1", tell: takesBack},
		{name: "held-frozen", tell: func(b *book) { soundZombie(b) }, only: true},
		{name: "held-all-were-dead", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 1)
			b.commit("m1", 0, 1)
			b.end("m1", history.Killed, "signal killed")
			b.wait(time.Hour)
			b.join("m2", 0)
			b.do("m2", 0, 1, 2)
			b.commit("m2", 0, 2)
			b.close("m2")
		}},
		{name: "held-kept-and-went-on", only: true, tell: func(b *book) {
			incremental(b)
			keeps(b, 20*time.Second, func() { b.refuse("m1", 1, 0) })
		}},
		{name: "held-kept-and-was-at-another", only: true, tell: func(b *book) { // not promised to be independent of it
			incremental(b)
			keepsAtWork(b, 20*time.Second, 19*time.Second)
		}},
		{name: "held-given-back-after-a-death", only: true, tell: func(b *book) {
			incremental(b)
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.join("m2")
			b.group(history.Revoked, "m1", 0)
			b.end("m2", history.Killed, "signal killed")
			b.group(history.Assigned, "m1", 0)
			b.close("m1")
		}},
		{name: "held-asked-for-and-given-back", only: true, tell: func(b *book) { // who was to have it is gone again
			incremental(b)
			takesBack(b)
			for i := range b.events {
				if b.events[i].Kind == history.Revoked {
					b.events[i].Note = history.Asked
				}
			}
		}},
		{name: "violated", count: 1, want: "nothing was done for 2.03s when it went from m1 to m2, promised are at most 1s", tell: func(b *book) {
			b.h.Promises.RebalanceStall = time.Second
			moved(b, 2*time.Second)
		}},
		{name: "violated-ownerless", count: 1, want: "nobody had it for 1m0.01s after m1, though healthy members lived", tell: strands, only: true},
		{name: "violated-frozen-for-ever", count: 1, want: "after m1, though healthy members lived", tell: func(b *book) {
			b.join("m2", 1)
			b.join("m1", 0)
			b.life(history.MemberFrozen, "m1")
			b.wait(time.Minute)
			b.group(history.Assigned, "m2", 0)
			b.produce(0, 0, 2)
			b.do("m2", 0, 0, 2)
			b.commit("m2", 0, 2)
			b.close("m2")
		}},
		{name: "violated-taken-back", count: 1, want: "m1 gave it up for a rebalance and was given it back", tell: func(b *book) { incremental(b); takesBack(b) }, only: true},
		{name: "held-left-before-it-began", only: true, tell: func(b *book) { incremental(b); comesAgain(b, 0) }},
		{name: "violated-left-after-it-began", count: 1, only: true, want: "m1 gave it up for a rebalance and was given it back", tell: func(b *book) {
			incremental(b)
			comesAgain(b, 1)
		}},
		{name: "violated-kept-and-stood-still", count: 1, want: "m1 kept the partition, and did nothing there for 20.01s", only: true, tell: func(b *book) {
			incremental(b)
			keeps(b, 20*time.Second, func() {})
		}},
		{name: "violated-kept-and-was-at-another", count: 1, want: "m1 kept the partition, and did nothing there for 20.02s", tell: func(b *book) {
			incremental(b)
			b.h.Promises.Independent = history.IndependentPartitions
			keepsAtWork(b, 20*time.Second, 19*time.Second)
		}},
		{name: "violated-kept-and-was-at-another-for-a-moment", count: 1, want: "m1 kept the partition, and did nothing there for 18.01s", only: true, tell: func(b *book) {
			incremental(b)
			keepsAtWork(b, 20*time.Second, 2*time.Second)
		}},
		{name: "unknown", want: "no assignment was seen", tell: func(b *book) {
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 2)
			b.close("m1")
		}},
		{name: "unknown-embedded", want: "confirm on real Kafka", tell: func(b *book) {
			b.h.Kafka = "embedded (kfake)"
			strands(b)
		}},
		{name: "unknown-not-over", want: "nobody had it when the run ended", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.group(history.Revoked, "m1", 0)
			b.giveUp("m1")
		}},
	})
}
