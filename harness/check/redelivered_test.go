package check

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

// crashAtCommit kills m1 with a commit of 6 on its way; the broker's offset decides
// from where m1#2 goes on.
func crashAtCommit(b *book, from int64) {
	b.h.Faults = []string{"crash-after-commit"}
	b.join("m1", 0)
	b.produce(0, 0, 9)
	b.do("m1", 0, 0, 3)
	b.commit("m1", 0, 3)
	b.do("m1", 0, 3, 6)
	b.request("m1", 0, 6)
	b.crash("m1", "m1#2", 0)
	b.do("m1#2", 0, from, 9)
	b.commit("m1#2", 0, 9)
	b.fault("crash-after-commit", history.Happened, "")
	b.close("m1#2")
}

// crashWithCommitInSocket kills m1 with a commit of 5 in its socket, which is seen and
// answered after its end; m1#2 goes on from the given offset.
func crashWithCommitInSocket(b *book, from int64, answer func(ref int64)) {
	b.h.Faults = []string{"crash-before-commit"}
	b.join("m1", 0)
	b.produce(0, 0, 9)
	b.do("m1", 0, 0, 3)
	b.commit("m1", 0, 3)
	b.do("m1", 0, 3, 6)
	b.end("m1", history.Killed, "signal killed")
	answer(b.request("m1", 0, 5))
	b.add(by(history.Event{Kind: history.Left, Note: "evicted"}, "m1"))
	b.join("m1#2", 0)
	b.do("m1#2", 0, from, 9)
	b.commit("m1#2", 0, 9)
	b.fault("crash-before-commit", history.Happened, "")
	b.close("m1#2")
}

func TestRedelivered(t *testing.T) {
	runStories(t, redelivered, []story{
		{name: "held", tell: soundCrash, only: true, want: "redelivered:3"},
		{name: "held-transaction-never-ended", want: "redelivered:3", only: true, tell: func(b *book) {
			b.h.Faults = []string{"crash-before-commit"}
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 3)
			ref := b.take("m1", 0, 3)
			b.end("m1", history.Killed, "signal killed")
			b.abort("m1", ref) // by the next life
			b.join("m1#2", 0)
			b.do("m1#2", 0, 0, 3)
			b.transact("m1#2", 0, 3)
			b.fault("crash-before-commit", history.Happened, "")
			b.close("m1#2")
		}},
		{name: "unknown-transaction-never-ended-and-nothing-came-again", want: "3 records that were done", tell: func(b *book) {
			b.h.Faults = []string{"crash-before-commit"}
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 3)
			b.take("m1", 0, 3)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 3, 4)
			b.transact("m1#2", 0, 4)
			b.fault("crash-before-commit", history.Happened, "")
			b.close("m1#2")
		}},
		{name: "held-transaction-of-unknown-fate-applied", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 3)
			b.seal(b.take("m1", 0, 3))
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 3, 4)
			b.transact("m1#2", 0, 4)
			b.close("m1#2")
		}},
		{name: "held-position-kept-with-the-outputs", want: "3 outputs were committed before it", only: true, tell: func(b *book) {
			b.h.Promises.Delivery = history.ExactlyOnce
			b.h.Faults = []string{"crash-before-commit"}
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 3)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 3, 4)
			b.commit("m1#2", 0, 4)
			b.fault("crash-before-commit", history.Happened, "")
			b.closeWith(func() { b.out(0, 0, 4) }, "m1#2")
		}},
		{name: "held-no-crash-meant", tell: sound, only: true},
		{name: "held-commit-of-unknown-fate-applied", tell: func(b *book) { crashAtCommit(b, 6) }, only: true},
		{name: "held-commit-of-unknown-fate-not-applied", tell: func(b *book) { crashAtCommit(b, 3) }, only: true, want: "redelivered:3"},
		{name: "held-all-committed-but-what-was-under-way", only: true, want: "resumed:1", tell: func(b *book) {
			b.h.Faults = []string{"crash-mid-batch"}
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 2)
			held := b.begin("m1", 0, 2)
			b.commit("m1", 0, 2)
			b.finish(history.EffectDropped, held, "")
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 2, 4)
			b.commit("m1#2", 0, 4)
			b.fault("crash-mid-batch", history.Happened, "")
			b.close("m1#2")
		}},
		{name: "held-commit-seen-after-the-end", only: true, want: "1 record that was done and not committed at a crash came again", tell: func(b *book) {
			crashWithCommitInSocket(b, 5, func(ref int64) { b.answer(ref, "") })
		}},
		{name: "held-commit-seen-after-the-end-unanswered", only: true, want: "redelivered:1", tell: func(b *book) {
			crashWithCommitInSocket(b, 5, func(int64) {})
		}},
		{name: "held-commit-seen-after-the-end-and-repeated", only: true, want: "redelivered:3", tell: func(b *book) {
			crashWithCommitInSocket(b, 3, func(ref int64) { b.answer(ref, "") })
		}},
		{name: "unknown-commit-seen-after-the-end-refused", want: "2 records that were done", tell: func(b *book) {
			crashWithCommitInSocket(b, 5, func(ref int64) { b.answer(ref, "UNKNOWN_MEMBER_ID") })
		}},
		{name: "unknown", want: "the fault crash-mid-batch left nothing to redeliver[]", tell: func(b *book) {
			b.h.Faults = []string{"crash-mid-batch"}
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 2, 4)
			b.commit("m1#2", 0, 4)
			b.fault("crash-mid-batch", history.Happened, "")
			b.close("m1#2")
		}},
		{name: "unknown-did-not-come-again", want: "2 records that were done and not committed at a crash did not come again, the first is m-0-2", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 6)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.do("m1", 0, 2, 4)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 4, 6)
			b.commit("m1#2", 0, 6)
			b.close("m1#2")
		}},
		{name: "unknown-truncated", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 6)
			b.do("m1", 0, 0, 2)
			b.crash("m1", "m1#2", 0)
		}},
	})
}
