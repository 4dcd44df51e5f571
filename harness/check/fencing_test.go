package check

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// evicted has m1 lose its partition without its consent; then tells what it does.
func evicted(b *book, then func()) {
	b.join("m1", 0)
	b.join("m2")
	b.produce(0, 0, 6)
	b.do("m1", 0, 0, 2)
	b.group(history.Lost, "m1", 0)
	b.group(history.Assigned, "m2", 0)
	then()
	b.do("m2", 0, 0, 6)
	b.commit("m2", 0, 6)
	b.close("m1", "m2")
}

// lateCommit has m1 give its partition up, and commit that much later what it had done; nobody has it by then.
func lateCommit(b *book, after time.Duration) {
	b.join("m1", 0)
	b.join("m2")
	b.produce(0, 0, 4)
	b.do("m1", 0, 0, 2)
	b.group(history.Revoked, "m1", 0)
	b.wait(after)
	b.commit("m1", 0, 2)
	b.group(history.Assigned, "m2", 0)
	b.do("m2", 0, 2, 4)
	b.commit("m2", 0, 4)
	b.close("m1", "m2")
}

func TestFencing(t *testing.T) {
	runStories(t, fencing, []story{
		{name: "held", tell: soundZombie, only: true, want: "zombie_effects:3"},
		{name: "held-crash", tell: soundCrash, only: true},
		{name: "held-within-the-window", only: true, tell: func(b *book) {
			evicted(b, func() {
				b.life(history.Told, "m1")
				b.wait(29 * time.Second)
				b.do("m1", 0, 2, 3)
			})
		}},
		{name: "held-under-way-when-it-joined-anew", only: true, tell: func(b *book) {
			evicted(b, func() {
				b.life(history.Told, "m1")
				b.life(history.Joining, "m1")
				b.do("m1", 0, 2, 3) // sent before, arrives after
			})
		}},
		{name: "held-commit-on-its-way-when-it-gave-up", only: true, tell: func(b *book) { lateCommit(b, 0) }},
		{name: "violated-commit-after-revoke", count: 1, only: true, want: "m1 committed 2 510ms after it had given the partition up", tell: func(b *book) { lateCommit(b, 500*time.Millisecond) }},
		{name: "held-given-back", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 1)
			b.commit("m1", 0, 1)
			b.group(history.Revoked, "m1", 0)
			b.group(history.Assigned, "m1", 0)
			b.do("m1", 0, 1, 2)
			b.commit("m1", 0, 2)
			b.close("m1")
		}},
		{name: "held-answer-overtaken", only: true, tell: func(b *book) { // accepted before the partition moved, read after
			b.join("m1", 0)
			b.join("m2")
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 1)
			ref := b.request("m1", 0, 1)
			b.group(history.Revoked, "m1", 0)
			b.group(history.Assigned, "m2", 0)
			b.answer(ref, "")
			b.do("m2", 0, 1, 2)
			b.commit("m2", 0, 2)
			b.close("m1", "m2")
		}},
		{name: "violated", count: 1, want: "which had given the partition up", tell: func(b *book) {
			b.join("m1", 0)
			b.join("m2")
			b.produce(0, 0, 2)
			b.group(history.Revoked, "m1", 0)
			b.group(history.Assigned, "m2", 0)
			b.do("m1", 0, 0, 1)
			b.do("m2", 0, 0, 2)
			b.commit("m2", 0, 2)
			b.close("m1", "m2")
		}},
		{name: "violated-left", count: 1, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.life(history.Left, "m1")
			b.begin("m1", 0, 0)
			b.join("m2", 0)
			b.do("m2", 0, 0, 2)
			b.commit("m2", 0, 2)
			b.close("m2")
		}},
		{name: "violated-told-long-ago", count: 1, want: "was told longer ago", tell: func(b *book) {
			evicted(b, func() {
				b.life(history.Told, "m1")
				b.wait(31 * time.Second)
				b.do("m1", 0, 2, 3)
			})
		}},
		{name: "violated-told-again-and-again", count: 1, want: "was told longer ago", tell: func(b *book) {
			evicted(b, func() { // it heartbeats on while its poll loop sleeps
				for range 31 {
					b.life(history.Told, "m1")
					b.wait(time.Second)
				}
				b.do("m1", 0, 2, 3)
			})
		}},
		{name: "held-told-before-it-lost-the-partition", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.life(history.Told, "m1") // of an old generation; it joined again and kept the partition
			b.wait(31 * time.Second)
			evicted(b, func() {
				b.life(history.Told, "m1")
				b.do("m1", 0, 2, 3)
			})
		}},
		{name: "violated-joined-anew", count: 1, want: "had joined anew", tell: func(b *book) {
			evicted(b, func() {
				b.life(history.Told, "m1")
				b.life(history.Joining, "m1")
				b.wait(inFlight)
				b.do("m1", 0, 2, 3)
			})
		}},
		{name: "violated-commit", count: 1, want: "m1 committed 2 while m2 owned the partition, and it was accepted", only: true, tell: func(b *book) {
			evicted(b, func() { b.commit("m1", 0, 2) })
		}},
		{name: "violated-fenced-effects", count: 1, want: "done by m1 while m2 owned", only: true, tell: func(b *book) {
			b.h.Promises.FencedEffects = true
			evicted(b, func() { b.do("m1", 0, 2, 3) })
		}},
		{name: "unknown", tell: func(b *book) {
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 2)
			b.close("m1")
		}},
	})
}
