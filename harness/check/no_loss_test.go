package check

import (
	"fmt"
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

// sound is a run without a fault: one member, one partition, twelve records.
func sound(b *book) {
	b.join("m1", 0)
	b.produce(0, 0, 12)
	b.do("m1", 0, 0, 6)
	b.commit("m1", 0, 6)
	b.do("m1", 0, 6, 12)
	b.commit("m1", 0, 12)
	b.close("m1")
}

// soundCrash is a run of a sound consumer that is killed between two effects of a batch.
func soundCrash(b *book) {
	b.h.Faults = []string{"crash-mid-batch"}
	b.join("m1", 0)
	b.produce(0, 0, 12)
	b.do("m1", 0, 0, 5)
	b.commit("m1", 0, 5)
	ref := b.add(history.Event{Kind: history.FaultBegan, Fault: "crash-mid-batch", Member: "m1"})
	b.do("m1", 0, 5, 8)
	held := b.begin("m1", 0, 8)
	b.finish(history.EffectDropped, held, "")
	b.crash("m1", "m1#2", 0)
	b.add(history.Event{Kind: history.FaultEnded, Fault: "crash-mid-batch", Member: "m1", Ref: ref, Outcome: history.Happened})
	b.do("m1#2", 0, 5, 12)
	b.commit("m1#2", 0, 12)
	b.close("m1#2")
}

// lossyCrash is the textbook mistake: the client commits what it handed out, and dies.
func lossyCrash(b *book) {
	b.join("m1", 0)
	b.produce(0, 0, 10)
	b.do("m1", 0, 0, 3)
	b.begin("m1", 0, 3)
	b.commit("m1", 0, 5)
	b.crash("m1", "m1#2", 0)
	b.do("m1#2", 0, 5, 10)
	b.commit("m1#2", 0, 10)
	b.close("m1#2")
}

func TestNoLoss(t *testing.T) {
	runStories(t, noLoss, []story{
		{name: "held", tell: sound, only: true},
		{name: "held-crash", tell: soundCrash, only: true},
		{name: "violated", tell: lossyCrash, count: 2, want: "begun, never done, and committed past: m1 committed 5"},
		{name: "violated-drained", count: 1, want: "although the run has drained", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 3)
			b.commit("m1", 0, 3)
			b.close("m1")
		}},
		{name: "violated-truncated", count: 1, tell: func(b *book) { // a commit past it is evidence enough
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 3)
			b.commit("m1", 0, 4)
		}},
		{name: "violated-unanswered-produce-that-was-read", count: 1, want: "never answered", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.produceAs(0, 2, "", history.Unknown)
			b.do("m1", 0, 0, 2)
			b.begin("m1", 0, 2)
			b.close("m1")
		}},
		{name: "violated-logged", count: 1, tell: func(b *book) { // an observer found what the producer did not know of
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.produceAs(0, 2, "", history.Unknown)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 3)
			b.add(of(history.Logged, 0, 2))
			b.close("m1")
		}},
		{name: "violated-stop-committed-past-poison", count: 1, tell: func(b *book) {
			b.h.Promises.Poison = history.PoisonStop
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.produce(0, 1, 2)
			b.do("m1", 0, 1, 2)
			b.commit("m1", 0, 2)
			b.close("m1")
		}},
		{name: "held-unanswered-produce-never-read", tell: func(b *book) {
			b.produceAs(0, 12, "", history.Unknown)
			sound(b)
		}},
		{name: "held-gap", tell: func(b *book) { // offsets 4 to 8 are nobody's records
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.produce(0, 9, 10)
			b.do("m1", 0, 0, 4)
			b.do("m1", 0, 9, 10)
			b.commit("m1", 0, 10)
			b.close("m1")
		}, only: true},
		{name: "held-tombstone-skipped", tell: func(b *book) {
			b.join("m1", 0)
			b.produceAs(0, 0, "tombstone", history.Acked)
			b.produce(0, 1, 3)
			b.do("m1", 0, 1, 3)
			b.commit("m1", 0, 3)
			b.close("m1")
		}, only: true},
		{name: "held-skip", tell: func(b *book) {
			b.h.Promises.Poison = history.PoisonSkip
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.produce(0, 1, 3)
			b.refuse("m1", 0, 0)
			b.do("m1", 0, 1, 3)
			b.commit("m1", 0, 3)
			b.close("m1")
		}, only: true},
		{name: "held-nothing-promised-about-poison", want: "poison_dropped:1", tell: func(b *book) {
			b.h.Promises.Poison = ""
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.produce(0, 1, 3)
			b.do("m1", 0, 1, 3)
			b.commit("m1", 0, 3)
			b.close("m1")
		}, only: true},
		{name: "held-stop-waits-at-poison", want: "waiting_behind_poison:2", tell: func(b *book) {
			b.h.Promises.Poison = history.PoisonStop
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.produceAs(0, 2, "permanent", history.Acked)
			b.produce(0, 3, 4)
			b.do("m1", 0, 0, 2)
			b.refuse("m1", 0, 2)
			b.commit("m1", 0, 2)
			b.giveUp("m1")
		}},
		{name: "held-at-most-once", want: "lost:2", tell: func(b *book) {
			b.h.Promises.Delivery = history.AtMostOnce
			lossyCrash(b)
		}},
		{name: "held-topic-made-anew", only: true, tell: func(b *book) {
			recreated(b, 0)
			b.close("m1")
		}},
		{name: "held-topic-made-anew-and-the-old-position-committed-again", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.add(history.Event{Kind: history.Recreated, Topic: "orders"})
			b.commit("m1", 0, 2) // by its clock
			b.produceAnew(0, 3)
			b.doAnew("m1", 0, 3)
			b.commit("m1", 0, 3)
			b.close("m1")
		}},
		{name: "violated-topic-made-anew-and-its-beginning-skipped", count: 2, want: "n-0-0", tell: func(b *book) {
			recreated(b, 2)
			b.close("m1")
		}},
		{name: "held-removed-before-it-was-read", only: true, want: "removed_unread:2", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 5)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.remove(0, 0, 4, int64(len(b.events)))
			b.do("m1", 0, 4, 5) // reset to the earliest
			b.commit("m1", 0, 5)
			b.close("m1")
		}},
		{name: "held-aborted-transaction", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.produceAs(0, 2, "", history.Voided)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 4) // with the control record
			b.close("m1")
		}},
		{name: "violated-reset-to-the-latest", count: 1, want: "m-0-4", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 6)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.remove(0, 0, 4, int64(len(b.events)))
			b.do("m1", 0, 5, 6) // 4 was still there
			b.commit("m1", 0, 6)
			b.close("m1")
		}},
		{name: "violated-removed-after-it-was-passed", count: 1, want: "m-0-2", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 2)
			b.do("m1", 0, 3, 4)
			b.commit("m1", 0, 4)
			b.remove(0, 0, 4, int64(len(b.events)))
			b.close("m1")
		}},
		{name: "unknown-when-it-was-removed", want: "nobody knows", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 2)
			b.do("m1", 0, 3, 4)
			b.commit("m1", 0, 4)
			b.close("m1")
			b.remove(0, 2, 3, 0)
		}},
		{name: "unknown", want: "did not drain", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 3)
			b.commit("m1", 0, 3)
			b.giveUp("m1")
		}},
		{name: "unknown-no-effect", want: "no effect was seen", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.commit("m1", 0, 4)
			b.close("m1")
		}},
		{name: "unknown-truncated-before-the-dead-letter", want: "cut off", tell: func(b *book) {
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.refuse("m1", 0, 0)
			b.commit("m1", 0, 1)
			b.phase(history.PhaseDrain, history.PhaseDrained)
		}},
	})
}

// recreated is a run whose topic is made anew half-way; m1 does not do the first records of the new one.
func recreated(b *book, skipped int64) {
	b.join("m1", 0)
	b.produce(0, 0, 4)
	b.do("m1", 0, 0, 4)
	b.commit("m1", 0, 4)
	b.add(history.Event{Kind: history.Recreated, Topic: "orders"})
	b.produceAnew(0, 3)
	b.doAnew("m1", skipped, 3)
	b.commit("m1", 0, 3)
}

// produceAnew and doAnew are about records of a topic that was made anew: n-0-0 lies where m-0-0 did.
func (b *book) produceAnew(from, to int64) {
	for o := from; o < to; o++ {
		b.produceAs(0, o, "", history.Acked)
		b.events[len(b.events)-1].Message = fmt.Sprintf("n-0-%d", o)
	}
}

func (b *book) doAnew(who string, from, to int64) {
	for o := from; o < to; o++ {
		ref := b.begin(who, 0, o)
		b.events[ref-1].Message = fmt.Sprintf("n-0-%d", o)
		b.finish(history.EffectDone, ref, "")
	}
}
