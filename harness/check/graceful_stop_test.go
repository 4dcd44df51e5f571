package check

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

// restarted stops m1 after it did five records and committed some, and lets m1#2 go on from the commit.
func restarted(b *book, committed int64, stop func()) {
	b.join("m1", 0)
	b.produce(0, 0, 8)
	b.do("m1", 0, 0, 5)
	b.commit("m1", 0, committed)
	b.life(history.MemberStopping, "m1")
	stop()
	b.join("m1#2", 0)
	b.do("m1#2", 0, committed, 8)
	b.commit("m1#2", 0, 8)
	b.close("m1#2")
}

// lastWord stops m1, the only member, which did five records and committed three.
func lastWord(b *book, then func()) {
	b.join("m1", 0)
	b.produce(0, 0, 5)
	b.do("m1", 0, 0, 5)
	b.commit("m1", 0, 3)
	b.phase(history.PhaseDrain, history.PhaseDrained, history.PhaseStop)
	b.life(history.MemberStopping, "m1")
	then()
	b.group(history.Revoked, "m1", 0)
	b.life(history.Left, "m1")
	b.end("m1", history.Stopped, "exit status 0")
	b.phase(history.PhaseEnd)
}

func TestGracefulStop(t *testing.T) {
	leave := func(b *book) {
		b.group(history.Revoked, "m1", 0)
		b.life(history.Left, "m1")
	}
	orderly := func(b *book, status string) func() {
		return func() { leave(b); b.end("m1", history.Stopped, status) }
	}
	runStories(t, gracefulStop, []story{
		{name: "held", tell: func(b *book) { restarted(b, 5, orderly(b, "exit status 0")) }, only: true},
		{name: "violated-nobody-was-left-to-do-it-again", count: 1, only: true, want: "m1 had done it when it stopped, and left without committing it: the last commit is 3", tell: func(b *book) {
			lastWord(b, func() {})
		}},
		{name: "held-last-commit-refused", only: true, tell: func(b *book) {
			lastWord(b, func() { b.answer(b.request("m1", 0, 5), "REBALANCE_IN_PROGRESS") })
		}},
		{name: "held-last-commit-unanswered", only: true, tell: func(b *book) { lastWord(b, func() { b.request("m1", 0, 5) }) }},
		{name: "held-committed-on-the-way-out", only: true, tell: func(b *book) { lastWord(b, func() { b.commit("m1", 0, 5) }) }},
		{name: "held-behind-what-was-not-done", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 5)
			b.do("m1", 0, 0, 3)
			b.commit("m1", 0, 3)
			b.do("m1", 0, 4, 5)
			b.phase(history.PhaseDrain, history.PhaseStop)
			b.stop("m1")
			b.phase(history.PhaseEnd)
		}},
		{name: "held-143", tell: func(b *book) { restarted(b, 5, orderly(b, "exit status 143")) }, only: true},
		{name: "held-sigterm", tell: func(b *book) { restarted(b, 5, orderly(b, "signal terminated")) }, only: true},
		{name: "held-leave-read-after-the-end", only: true, tell: func(b *book) {
			restarted(b, 5, func() {
				b.end("m1", history.Stopped, "exit status 0")
				b.life(history.Left, "m1")
			})
		}},
		{name: "held-out-of-the-group-already", only: true, tell: func(b *book) {
			restarted(b, 5, func() {
				b.life(history.Told, "m1")
				b.end("m1", history.Stopped, "exit status 0")
			})
		}},
		{name: "held-static", only: true, tell: func(b *book) {
			b.add(by(history.Event{Kind: history.Joining, Note: "static"}, "m1"))
			restarted(b, 5, func() { b.end("m1", history.Stopped, "exit status 0") })
		}},
		{name: "held-never-joined", only: true, tell: func(b *book) {
			sound(b)
			b.events = b.events[:len(b.events)-1]
			b.life(history.MemberStarted, "m2")
			b.life(history.MemberStopping, "m2")
			b.end("m2", history.Stopped, "exit status 0")
			b.phase(history.PhaseEnd)
		}},
		{name: "held-not-promised", want: "violations:2", tell: func(b *book) {
			b.h.Promises.GracefulStop = false
			restarted(b, 3, orderly(b, "exit status 0"))
		}},
		{name: "violated", count: 2, want: "because m1 stopped without committing it", only: true, tell: func(b *book) {
			restarted(b, 3, orderly(b, "exit status 0"))
		}},
		{name: "violated-drain-promised-too", count: 2, tell: func(b *book) {
			b.h.Promises.Drain = true
			restarted(b, 3, orderly(b, "exit status 0"))
		}},
		{name: "violated-deadline", count: 1, want: "was killed", tell: func(b *book) {
			restarted(b, 5, func() {
				b.add(by(history.Event{Kind: history.MemberEnded, Outcome: history.Killed, Note: "deadline"}, "m1"))
			})
		}},
		{name: "violated-status", count: 1, want: "exit status 1", tell: func(b *book) { restarted(b, 5, orderly(b, "exit status 1")) }},
		{name: "violated-did-not-leave", count: 1, want: "did not leave", tell: func(b *book) {
			restarted(b, 5, func() { b.end("m1", history.Stopped, "exit status 0") })
		}},
		{name: "unknown", want: "no member was asked", tell: func(b *book) { b.join("m1", 0); b.close() }},
		{name: "unknown-no-end-of-the-member", tell: func(b *book) {
			b.join("m1", 0)
			b.life(history.MemberStopping, "m1")
			b.phase(history.PhaseEnd)
		}},
		{name: "unknown-truncated", tell: func(b *book) {
			b.join("m1", 0)
			b.stop("m1")
		}},
	})
}
