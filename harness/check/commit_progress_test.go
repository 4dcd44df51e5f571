package check

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

// stuckAt leaves the drain with one partition behind; setup tells who owns it.
func stuckAt(b *book, setup func()) {
	b.join("m1", 0)
	b.produce(0, 0, 6)
	b.do("m1", 0, 0, 3)
	b.commit("m1", 0, 3)
	setup()
	b.giveUp()
}

func TestCommitProgress(t *testing.T) {
	runStories(t, commitProgress, []story{
		{name: "held", tell: sound, only: true},
		{name: "held-equal", only: true, tell: func(b *book) {
			b.commit("m1", 0, 0)
			b.commit("m1", 0, 0)
			sound(b)
		}},
		{name: "held-two-on-the-way-at-once", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 4)
			low, high := b.request("m1", 0, 2), b.request("m1", 0, 4)
			b.answer(high, "")
			b.answer(low, "")
			b.commit("m1", 0, 4)
			b.close("m1")
		}, only: true},
		{name: "held-zombies-commit-refused", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 4)
			b.do("m1", 0, 0, 4)
			b.commit("m1", 0, 4)
			b.answer(b.request("m1", 0, 2), "ILLEGAL_GENERATION")
			b.close("m1")
		}, only: true},
		{name: "held-stop-at-poison", tell: func(b *book) {
			b.h.Promises.Poison = history.PoisonStop
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.produceAs(0, 2, "permanent", history.Acked)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.giveUp("m1")
		}},
		{name: "violated", count: 1, want: "m2 committed 5 after m1 had committed 8", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 12)
			b.do("m1", 0, 0, 12)
			b.commit("m1", 0, 8)
			b.commit("m2", 0, 5)
			b.commit("m2", 0, 6)
			b.commit("m2", 0, 12)
			b.close("m1")
		}},
		{name: "violated-owner-is-healthy", count: 1, want: "committed 3 of 6, no progress for 20.01s, owned by m1, which was healthy",
			tell: func(b *book) { stuckAt(b, func() {}) }},
		{name: "violated-nobody-owns", count: 1, want: "nobody owned it though 1 healthy member lived",
			tell: func(b *book) { stuckAt(b, func() { b.group(history.Revoked, "m1", 0) }) }},
		{name: "violated-owner-is-frozen", count: 1, want: "1 violation: 1 partition stood still", tell: func(b *book) {
			stuckAt(b, func() { b.join("m2"); b.life(history.MemberFrozen, "m1") })
		}},
		{name: "unknown-added-partition-not-found-yet", want: "KSIM_METADATA_MAX_AGE_MS", tell: func(b *book) {
			sound(b)
			b.events = b.events[:len(b.events)-7] // before its end
			b.produce(1, 0, 2)
			b.giveUp("m1")
		}},
		{name: "unknown", want: "no healthy member was left", tell: func(b *book) {
			stuckAt(b, func() { b.end("m1", history.Exited, "exit status 1") })
		}},
		{name: "unknown-embedded", want: "confirm on real Kafka", tell: func(b *book) {
			b.h.Kafka = "embedded (kfake)"
			stuckAt(b, func() { b.join("m2"); b.end("m1", history.Killed, "signal killed") })
		}},
		{name: "unknown-truncated", want: "cut off in its drain", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 6)
			b.do("m1", 0, 0, 3)
			b.commit("m1", 0, 3)
			b.phase(history.PhaseDrain)
		}},
		{name: "unknown-no-commit", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 1)
			b.close("m1")
		}},
	})
}
