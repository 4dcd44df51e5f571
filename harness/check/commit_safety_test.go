package check

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// poisoned is a sound run with one poison record at offset 2.
func poisoned(b *book, change func(*history.Event)) {
	b.join("m1", 0)
	b.produce(0, 0, 2)
	b.produceAs(0, 2, "permanent", history.Acked)
	b.produce(0, 3, 5)
	b.do("m1", 0, 0, 2)
	b.refuse("m1", 0, 2)
	b.letter(0, 2, "permanent", change)
	b.do("m1", 0, 3, 5)
	b.commit("m1", 0, 5)
	b.close("m1")
}

func TestCommitSafety(t *testing.T) {
	runStories(t, commitSafety, []story{
		{name: "held", tell: sound, only: true},
		{name: "held-dead-letter", tell: func(b *book) { poisoned(b, nil) }, only: true},
		{name: "held-dead-letter-of-unknown-time", tell: func(b *book) { poisoned(b, func(e *history.Event) { e.Time = 0 }) }, only: true},
		{name: "held-dead-letter-observed-late", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.produce(0, 1, 2)
			b.refuse("m1", 0, 0)
			appended := b.at
			b.do("m1", 0, 1, 2)
			b.commit("m1", 0, 2)
			b.letter(0, 0, "permanent", func(e *history.Event) { e.Time = appended })
			b.close("m1")
		}},
		{name: "held-dead-letter-within-tolerance", tell: func(b *book) {
			poisoned(b, func(e *history.Event) { e.Time += 114 * time.Millisecond }) // the commit is sent 110 ms later
		}},
		{name: "held-refused-commit-proves-nothing", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.answer(b.request("m1", 0, 3), "REBALANCE_IN_PROGRESS")
			b.do("m1", 0, 0, 3)
			b.commit("m1", 0, 3)
			b.close("m1")
		}, only: true},
		{name: "held-unanswered-commit", want: "commits of unknown fate lay above 1 more", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			b.request("m1", 0, 3)
			b.do("m1", 0, 2, 3)
			b.commit("m1", 0, 3)
			b.close("m1")
		}},
		{name: "held-other-topic", only: true, tell: func(b *book) { // a ghost's commit of its own topic
			b.add(by(history.Event{Kind: history.CommitRequested, Topic: "ghost", Offset: 50}, "ghost"))
			b.add(by(history.Event{Kind: history.Committed, Topic: "ghost", Offset: 50, Outcome: history.Accepted, Ref: 1}, "ghost"))
			sound(b)
		}},
		{name: "held-at-most-once", want: "unsafe:2", tell: func(b *book) {
			b.h.Promises.Delivery = history.AtMostOnce
			lossyCrash(b)
		}},
		{name: "held-transaction-handed-in-before-the-work", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			ref := b.take("m1", 0, 3)
			b.do("m1", 0, 0, 3)
			b.seal(ref)
			b.answer(ref, "")
			b.close("m1")
		}, only: true},
		{name: "held-aborted-transaction-commits-nothing", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 1)
			b.abort("m1", b.take("m1", 0, 3))
			b.do("m1", 0, 0, 3)
			b.transact("m1", 0, 3)
			b.close("m1")
		}, only: true},
		{name: "held-transaction-never-ended", want: "1 commit above nothing but finished records", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 1)
			b.take("m1", 0, 3) // unlike a commit without an answer, this one has no effect
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 0, 3)
			b.transact("m1#2", 0, 3)
			b.close("m1#2")
		}, only: true},
		{name: "held-transaction-without-an-answer", want: "commits of unknown fate lay above 1 more", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			b.seal(b.take("m1", 0, 3))
			b.do("m1", 0, 2, 3)
			b.transact("m1", 0, 3)
			b.close("m1")
		}},
		{name: "held-removed-before-it-could-be-read", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 5)
			b.do("m1", 0, 0, 1)
			b.commit("m1", 0, 1)
			b.remove(0, 0, 3, int64(len(b.events)))
			b.do("m1", 0, 3, 5)
			b.commit("m1", 0, 5)
			b.close("m1")
		}},
		{name: "violated-committed-past-and-removed-later", count: 2, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 1)
			b.commit("m1", 0, 3)
			b.remove(0, 0, 3, int64(len(b.events)))
			b.close("m1")
		}},
		{name: "unknown-removed-nobody-knows-when", want: "which came first", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 3)
			b.close("m1")
			b.remove(0, 2, 3, 0)
		}},
		{name: "violated-transaction", count: 1, want: "it was done 20ms later", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			done := b.begin("m1", 0, 2)
			ref := b.take("m1", 0, 3)
			b.seal(ref)
			b.answer(ref, "")
			b.finish(history.EffectDone, done, "")
			b.close("m1")
		}},
		{name: "violated", count: 1, want: "it was done 20ms later", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			ref := b.begin("m1", 0, 2)
			b.commit("m1", 0, 3)
			b.finish(history.EffectDone, ref, "")
			b.commit("m1", 0, 3) // the same record is not told twice
			b.close("m1")
		}, only: true},
		{name: "violated-between-request-and-answer", count: 1, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 1)
			ref := b.request("m1", 0, 1)
			b.do("m1", 0, 0, 1)
			b.answer(ref, "")
			b.close("m1")
		}},
		{name: "violated-lost", tell: lossyCrash, count: 2, want: "it was never done"},
		{name: "violated-distinct-records", count: 3, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.commit("m1", 0, 1)
			b.commit("m1", 0, 2)
			b.commit("m1", 0, 3)
			b.do("m1", 0, 0, 3)
			b.close("m1")
		}},
		{name: "violated-dead-letter-after", count: 1, want: "its dead letter was written", tell: func(b *book) {
			poisoned(b, func(e *history.Event) { e.Time += time.Second })
		}},
		{name: "violated-dead-letter-never", count: 1, tell: func(b *book) {
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.refuse("m1", 0, 0)
			b.commit("m1", 0, 1)
			b.close("m1")
		}},
		{name: "unknown", want: "no accepted commit", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 3)
			b.giveUp("m1")
		}},
		{name: "unknown-truncated-before-the-dead-letter", tell: func(b *book) {
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.refuse("m1", 0, 0)
			b.commit("m1", 0, 1)
		}},
	})
}
