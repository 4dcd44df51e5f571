package check

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// soundZombie freezes m1 in a batch; m2 takes over from the commit; m1 thaws
// and goes on until it learns that it is out.
func soundZombie(b *book) {
	b.h.Faults = []string{"zombie"}
	b.join("m1", 0)
	b.produce(0, 0, 12)
	b.do("m1", 0, 0, 2)
	b.commit("m1", 0, 2)
	ref := b.add(history.Event{Kind: history.FaultBegan, Fault: "zombie", Member: "m1"})
	b.do("m1", 0, 2, 4)
	held := b.begin("m1", 0, 4)
	b.life(history.MemberFrozen, "m1")
	b.finish(history.EffectDone, held, "")
	b.group(history.Lost, "m1", 0)
	b.join("m2", 0)
	b.do("m2", 0, 2, 7)
	b.commit("m2", 0, 7)
	b.life(history.MemberThawed, "m1")
	b.do("m1", 0, 5, 8) // 5 and 6 were done by m2, 7 is done by m2 after this
	b.do("m2", 0, 7, 12)
	b.answer(b.request("m1", 0, 8), "UNKNOWN_MEMBER_ID")
	b.life(history.Told, "m1")
	b.life(history.Joining, "m1")
	b.commit("m2", 0, 12)
	b.add(history.Event{Kind: history.FaultEnded, Fault: "zombie", Member: "m1", Ref: ref, Outcome: history.Happened})
	b.close("m1", "m2")
}

// handOver moves a partition from m1, which did [0,to) and committed [0,from), to m2.
func handOver(b *book, from, to int64, revoke func()) {
	b.join("m1", 0)
	b.join("m2")
	b.produce(0, 0, 12)
	b.do("m1", 0, 0, to)
	if from > 0 {
		b.commit("m1", 0, from)
	}
	revoke()
	b.group(history.Assigned, "m2", 0)
	b.do("m2", 0, from, 12)
	b.commit("m2", 0, 12)
	b.close("m1", "m2")
}

func TestReprocessing(t *testing.T) {
	runStories(t, reprocessing, append(reprocessingHeld(), []story{
		{name: "violated", count: 2, want: "5 repeated: 3 by the crash of m1 at 14:03:00.510, partition 0 [5,8), 2 unexplained", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 12)
			b.do("m1", 0, 0, 8)
			b.wait(170 * time.Millisecond)
			b.commit("m1", 0, 5)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 3, 12)
			b.commit("m1#2", 0, 12)
			b.close("m1#2")
		}},
		{name: "violated-once-for-each-crash", count: 2, tell: func(b *book) { // the crash explains one repeat, not two
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 2)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 0, 2)
			b.do("m1#2", 0, 0, 4)
			b.commit("m1#2", 0, 4)
			b.close("m1#2")
		}},
		{name: "violated-drain-promised", count: 2, tell: func(b *book) {
			b.h.Promises.Drain = true
			handOver(b, 3, 5, func() { b.group(history.Revoked, "m1", 0) })
		}},
		{name: "violated-max-reprocessed", count: 1, want: "promised are at most 2", tell: func(b *book) {
			b.h.Promises.MaxReprocessed = 2
			soundCrash(b)
		}, only: true},
		{name: "violated-illegal-refusal", count: 1, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 1)
			b.answer(b.request("m1", 0, 1), "OFFSET_METADATA_TOO_LARGE")
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.close("m1")
		}},
		{name: "violated-after-the-zombie-knows", count: 1, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.life(history.MemberFrozen, "m1")
			b.group(history.Lost, "m1", 0)
			b.join("m2", 0)
			b.do("m2", 0, 0, 2)
			b.life(history.MemberThawed, "m1")
			b.life(history.Joining, "m1")
			b.wait(inFlight)
			b.do("m1", 0, 1, 2)
			b.commit("m2", 0, 2)
			b.close("m1", "m2")
		}},
		{name: "violated-two-retries-of-one-refusal", count: 2, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			b.refuse("m1", 0, 2)
			b.do("m1", 0, 0, 2)
			b.do("m1", 0, 0, 3)
			b.commit("m1", 0, 3)
			b.close("m1")
		}},
		{name: "unknown", tell: func(b *book) { b.produce(0, 0, 3); b.close() }},
	}...))
}

func reprocessingHeld() []story {
	return []story{
		{name: "held", tell: soundCrash, only: true, want: "3 repeated: all by the crash of m1"},
		{name: "held-zombie", tell: soundZombie, only: true, want: "6 repeated: all by the zombie m1"},
		{name: "held-revoked", only: true, want: "2 repeated: all by the rebalance of m1", tell: func(b *book) {
			handOver(b, 3, 5, func() { b.group(history.Revoked, "m1", 0) })
		}},
		{name: "held-never-committed", only: true, tell: func(b *book) {
			handOver(b, 0, 5, func() { b.group(history.Revoked, "m1", 0) })
		}},
		{name: "held-drain-promised-and-commit-refused", only: true, want: "2 repeated: all by the refused commit of m1", tell: func(b *book) {
			b.h.Promises.Drain = true
			handOver(b, 3, 5, func() {
				b.answer(b.request("m1", 0, 5), "REBALANCE_IN_PROGRESS")
				b.group(history.Revoked, "m1", 0)
			})
		}},
		{name: "held-drain-promised-and-commit-unanswered", only: true, tell: func(b *book) {
			b.h.Promises.Drain = true
			handOver(b, 3, 5, func() { b.request("m1", 0, 5); b.group(history.Revoked, "m1", 0) })
		}},
		{name: "held-lost-while-slow", only: true, want: "by the rebalance of m1", tell: func(b *book) {
			b.join("m1", 0)
			b.join("m2")
			b.produce(0, 0, 6)
			b.do("m1", 0, 0, 2)
			slow := b.begin("m1", 0, 2)
			b.group(history.Assigned, "m2", 0) // no Lost needed: it is m2's now
			b.do("m2", 0, 0, 6)
			b.finish(history.EffectDone, slow, "")
			b.do("m1", 0, 3, 4)
			b.life(history.Told, "m1")
			b.commit("m2", 0, 6)
			b.close("m1", "m2")
		}},
		{name: "held-under-way-when-revoked", only: true, tell: func(b *book) {
			b.h.Promises.Order = history.OrderNone
			b.join("m1", 0)
			b.join("m2")
			b.produce(0, 0, 3)
			flying := b.begin("m1", 0, 0)
			b.group(history.Revoked, "m1", 0)
			b.finish(history.EffectDone, flying, "")
			b.group(history.Assigned, "m2", 0)
			b.do("m2", 0, 0, 3)
			b.commit("m2", 0, 3)
			b.close("m1", "m2")
		}},
		{name: "held-retry-of-the-batch", only: true, want: "by a retry of m1", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 5)
			b.do("m1", 0, 0, 2)
			b.refuse("m1", 0, 2)
			b.do("m1", 0, 0, 2) // the batch anew
			b.refuse("m1", 0, 2)
			b.do("m1", 0, 0, 5) // and once more
			b.commit("m1", 0, 5)
			b.close("m1")
		}},
		{name: "held-unknown-answer", only: true, want: "1 repeated: all by an unknown answer to m1", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.finish(history.EffectDone, b.begin("m1", 0, 0), "reset")
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.close("m1")
		}},
		{name: "held-unknown-answer-and-given-up", only: true, want: "1 repeated: all by an unknown answer to m1", tell: func(b *book) {
			b.h.Promises.Drain = true
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 1)
			b.finish(history.EffectDone, b.begin("m1", 0, 1), "reset")
			b.commit("m1", 0, 1)
			b.join("m2")
			b.group(history.Revoked, "m1", 0)
			b.group(history.Assigned, "m2", 0)
			b.do("m2", 0, 1, 3)
			b.commit("m2", 0, 3)
			b.close("m1", "m2")
		}},
		{name: "violated-unknown-answer-and-twice-by-others", count: 1, want: "2 repeated: 1 by an unknown answer to m1", tell: func(b *book) {
			b.h.Promises.Drain = true
			b.join("m1", 0)
			b.produce(0, 0, 1)
			b.finish(history.EffectDone, b.begin("m1", 0, 0), "reset")
			b.join("m2")
			b.group(history.Revoked, "m1", 0)
			b.group(history.Assigned, "m2", 0)
			b.do("m2", 0, 0, 1)
			b.do("m2", 0, 0, 1)
			b.commit("m2", 0, 1)
			b.close("m1", "m2")
		}},
		{name: "held-aborted-transaction", only: true, want: "3 repeated: all by an aborted transaction of m1", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 1)
			b.transact("m1", 0, 1)
			b.do("m1", 0, 1, 3)
			begun := b.begin("m1", 0, 3) // is under way when the transaction goes, and goes with it
			b.abort("m1", b.take("m1", 0, 3))
			b.finish(history.EffectDone, begun, "")
			b.do("m1", 0, 1, 4)
			b.transact("m1", 0, 4)
			b.close("m1")
		}},
		{name: "held-transaction-refused-and-aborted", only: true, want: "3 repeated: all by the refused commit of m1", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 3)
			b.answer(b.take("m1", 0, 3), "ILLEGAL_GENERATION")
			b.abort("m1")
			b.do("m1", 0, 0, 3)
			b.transact("m1", 0, 3)
			b.close("m1")
		}},
		{name: "held-drained-while-the-coordinator-was-away", only: true, want: "2 repeated: all by the rebalance of m1", tell: func(b *book) {
			b.h.Promises.Drain = true
			b.h.Partitions = 2
			b.join("m1", 0, 1)
			b.join("m2")
			b.produce(0, 0, 2)
			b.produce(1, 0, 2)
			b.do("m1", 1, 0, 1)
			b.request("m1", 1, 1) // is never answered, and nothing else can be committed
			b.do("m1", 0, 0, 2)
			b.group(history.Revoked, "m1", 0)
			b.group(history.Assigned, "m2", 0)
			b.do("m2", 0, 0, 2)
			b.commit("m2", 0, 2)
			b.do("m1", 1, 1, 2)
			b.commit("m1", 1, 2)
			b.close("m1", "m2")
		}},
		{name: "held-told-before-it-gave-up", only: true, want: "2 repeated: all by the rebalance of m1", tell: func(b *book) {
			b.h.Promises.Drain = true
			b.join("m1", 0)
			b.join("m2")
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 2)
			b.life(history.Told, "m1")        // the answer to its sync
			b.group(history.Revoked, "m1", 0) // it joins anew without it
			b.group(history.Assigned, "m2", 0)
			b.do("m2", 0, 0, 2)
			b.commit("m2", 0, 2)
			b.close("m1", "m2")
		}},
		{name: "held-aborted-twice-within-a-second", only: true, want: "4 repeated: 2 by an aborted transaction of m1", tell: func(b *book) {
			b.h.Promises.MaxReprocessed = 2 // by one cause: these are two
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 2)
			b.abort("m1", b.take("m1", 0, 2))
			b.do("m1", 0, 0, 2)
			b.transact("m1", 0, 2)
			b.do("m1", 0, 2, 4)
			b.abort("m1", b.take("m1", 0, 4))
			b.do("m1", 0, 2, 4)
			b.transact("m1", 0, 4)
			b.close("m1")
		}},
		{name: "held-aborted-before-the-stop", only: true, want: "2 repeated: all by an aborted transaction of m1", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			b.abort("m1", b.take("m1", 0, 2))
			b.stop("m1") // it is not to blame: it had nothing to commit
			b.join("m2", 0)
			b.do("m2", 0, 0, 3)
			b.transact("m2", 0, 3)
			b.close("m2")
		}},
		{name: "violated-aborted-transaction-explains-once", count: 3, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 3)
			b.answer(b.take("m1", 0, 3), "ILLEGAL_GENERATION")
			b.abort("m1") // one and the same
			b.do("m1", 0, 0, 3)
			b.do("m1", 0, 0, 3)
			b.transact("m1", 0, 3)
			b.close("m1")
		}},
		{name: "violated-below-a-committed-transaction", count: 1, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			b.transact("m1", 0, 2)
			b.do("m1", 0, 2, 3)
			b.abort("m1", b.take("m1", 0, 3))
			b.do("m1", 0, 1, 3)
			b.transact("m1", 0, 3)
			b.close("m1")
		}},
		{name: "held-exited", only: true, want: "by the crash of m1", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			b.end("m1", history.Exited, "exit status 1")
			b.join("m1#2", 0)
			b.do("m1#2", 0, 0, 3)
			b.commit("m1#2", 0, 3)
			b.close("m1#2")
		}},
		{name: "held-two-crashes", only: true, want: "4 repeated", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 3)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 0, 1) // newest first: the second crash explains 0, the first 1 and 2
			b.crash("m1#2", "m1#3", 0)
			b.do("m1#3", 0, 0, 4)
			b.commit("m1#3", 0, 4)
			b.close("m1#3")
		}},
	}
}

func TestCausesInReport(t *testing.T) {
	b := newBook()
	soundCrash(b)
	rep := Run(b.history())
	if len(rep.Causes) != 1 {
		t.Fatalf("causes %+v", rep.Causes)
	}
	c := rep.Causes[0]
	want := Window{Topic: "orders", Partition: 0, From: 5, To: 8}
	if c.Kind != "crash" || c.Member != "m1" || c.Count != 3 || len(c.Windows) != 1 || c.Windows[0] != want {
		t.Errorf("cause %+v", c)
	}
	if want := (Counts{Produced: 12, Effects: 15, Reprocessed: 3, Commits: 2}); rep.Counts != want {
		t.Errorf("counts %+v, want %+v", rep.Counts, want)
	}
	if rep.Verdict != Held {
		t.Errorf("verdict %s", rep.Verdict)
	}
}
