package check

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// recovering has a fault end, then a wait, then the rest of the plan, then another wait before the run has drained.
func recovering(b *book, healing, draining time.Duration) {
	b.h.Faults = []string{"member-joins"}
	b.join("m1", 0)
	b.produce(0, 0, 3)
	b.fault("member-joins", history.Happened, "")
	b.phase(history.PhaseHeal)
	if healing > 0 {
		b.wait(healing)
		b.produce(0, 3, 4)
	} else {
		b.do("m1", 0, 0, 3)
		b.commit("m1", 0, 3)
	}
	b.phase(history.PhaseDrain)
	if healing > 0 {
		b.do("m1", 0, 0, 4)
		b.commit("m1", 0, 4)
	}
	b.wait(draining)
	b.phase(history.PhaseDrained, history.PhaseStop)
	b.stop("m1")
	b.phase(history.PhaseEnd)
}

func TestRecovery(t *testing.T) {
	promised := func(tell func(*book)) func(*book) {
		return func(b *book) {
			b.h.Promises.Recovery = 10 * time.Second
			tell(b)
		}
	}
	runStories(t, recovery, []story{
		{name: "held", only: true, want: "recovered in 9.11s", tell: promised(func(b *book) { recovering(b, 0, 9*time.Second) })},
		{name: "held-exactly", only: true, want: "recovery_ms:10000", tell: promised(func(b *book) {
			recovering(b, 0, 10*time.Second-110*time.Millisecond)
		})},
		{name: "held-counted-from-the-last-produce", only: true, want: "recovery_ms:9120", tell: promised(func(b *book) {
			recovering(b, time.Minute, 9*time.Second)
		})},
		{name: "held-no-fault", only: true, want: "nothing to recover from", tell: promised(sound)},
		{name: "held-not-promised", only: true, want: "recovery_ms:60110", tell: func(b *book) { recovering(b, 0, time.Minute) }},
		{name: "violated", count: 1, only: true, want: "1 recovery that took longer than promised: 12.11s, not 10s", tell: promised(func(b *book) {
			recovering(b, 0, 12*time.Second)
		})},
		{name: "violated-after-the-last-produce", count: 1, only: true, want: "after the last message was produced", tell: promised(func(b *book) {
			recovering(b, 2*time.Second, 12*time.Second)
		})},
		{name: "unknown", want: "did not drain", tell: promised(func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.fault("member-joins", history.Happened, "")
			b.giveUp("m1")
		})},
		{name: "unknown-no-fault-ended", want: "no fault ended", tell: promised(func(b *book) {
			b.h.Faults = []string{"zombie"}
			sound(b)
		})},
		{name: "unknown-truncated", want: "did not drain", tell: promised(func(b *book) {
			recovering(b, 0, 0)
			b.events = b.events[:len(b.events)-6]
		})},
	})
}
