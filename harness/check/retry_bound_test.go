package check

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// retried has a record refused n times, with a wait before each next attempt, then done.
func retried(b *book, n int, wait time.Duration) {
	b.join("m1", 0)
	b.produceAs(0, 0, "transient", history.Acked)
	b.produce(0, 1, 3)
	for range n {
		b.refuse("m1", 0, 0)
		b.wait(wait)
	}
	b.do("m1", 0, 0, 3)
	b.commit("m1", 0, 3)
	b.close("m1")
}

// exits has a member exit on its own n times at the same record.
func exits(b *book, n int) {
	b.produceAs(0, 0, "permanent", history.Acked)
	b.produce(0, 1, 3)
	names := []string{"m1", "m1#2", "m1#3", "m1#4", "m1#5"}
	for _, who := range names[:n] {
		b.join(who, 0)
		b.refuse(who, 0, 0)
		b.end(who, history.Exited, "exit status 1")
	}
	b.giveUp()
}

// alternate has each of the lives attempt a record four times, one life after the other; the last one does it.
func alternate(b *book, lives ...string) {
	b.h.Promises.MaxAttempts = 5
	b.join("m1", 0)
	b.join("m2")
	b.produce(0, 0, 2)
	for i, who := range lives {
		if i > 0 {
			b.group(history.Revoked, lives[i-1], 0)
			b.group(history.Assigned, who, 0)
		}
		for range 4 {
			b.refuse(who, 0, 0)
		}
	}
	last := lives[len(lives)-1]
	b.do(last, 0, 0, 2)
	b.commit(last, 0, 2)
	b.close("m1", "m2")
}

// falls has members take a partition over and exit on their own before they begin an effect there. commit is what
// the first of them commits before that.
func falls(b *book, n int, commit int64) {
	b.produce(0, 0, 4)
	b.join("m1", 0)
	b.do("m1", 0, 0, commit)
	b.commit("m1", 0, commit)
	for _, who := range []string{"m1", "m2", "m1#2", "m2#2"}[:n] {
		if who != "m1" {
			b.join(who, 0)
		}
		b.end(who, history.Exited, "exit status 2")
	}
	b.giveUp()
}

// across has each of two members refused once, and a third attempt cut off by a crash, before the record is done.
func across(b *book, bound int) {
	b.h.Promises.MaxAttempts, b.h.Promises.MaxAttemptsAcross = 2, bound
	b.join("m1", 0)
	b.produce(0, 0, 2)
	b.refuse("m1", 0, 0)
	b.begin("m1", 0, 0)
	b.crash("m1", "m1#2", 0)
	b.refuse("m1#2", 0, 0)
	b.do("m1#2", 0, 0, 2)
	b.commit("m1#2", 0, 2)
	b.close("m1#2")
}

func TestRetryBound(t *testing.T) {
	runStories(t, retryBound, []story{
		{name: "held", only: true, tell: func(b *book) {
			b.h.Promises.MaxAttempts, b.h.Promises.MinBackoff = 3, 100*time.Millisecond
			retried(b, 2, 100*time.Millisecond)
		}},
		{name: "held-not-promised", tell: func(b *book) { retried(b, 9, 0) }, want: "max_attempts:10 max_attempts_across:10 min_backoff_ms:10", only: true},
		{name: "held-repeats-are-no-attempts", only: true, tell: func(b *book) {
			b.h.Promises.MaxAttempts = 2
			b.join("m1", 0)
			b.produce(0, 0, 3)
			b.do("m1", 0, 0, 2)
			b.refuse("m1", 0, 2)
			b.do("m1", 0, 0, 2)
			b.do("m1", 0, 2, 3)
			b.commit("m1", 0, 3)
			b.close("m1")
		}},
		{name: "held-counted-for-each-incarnation", only: true, tell: func(b *book) {
			b.h.Promises.MaxAttempts = 2
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.refuse("m1", 0, 0)
			b.refuse("m1", 0, 0)
			b.crash("m1", "m1#2", 0)
			b.refuse("m1#2", 0, 0)
			b.do("m1#2", 0, 0, 2)
			b.commit("m1#2", 0, 2)
			b.close("m1#2")
		}},
		{name: "held-two-exits", tell: func(b *book) { exits(b, 2) }},
		{name: "violated", count: 1, want: "more often than 3 times", only: true, tell: func(b *book) {
			b.h.Promises.MaxAttempts = 3
			retried(b, 5, 0)
		}},
		{name: "violated-anew-after-a-rebalance", count: 1, only: true, tell: func(b *book) {
			b.h.Promises.MaxAttempts = 2
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.refuse("m1", 0, 0)
			b.refuse("m1", 0, 0)
			b.group(history.Revoked, "m1", 0)
			b.group(history.Assigned, "m1", 0)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.close("m1")
		}},
		{name: "violated-lives-alternate", count: 1, want: "attempted more often than 5 times by m1", only: true, tell: func(b *book) {
			alternate(b, "m1", "m2", "m1")
		}},
		{name: "held-another-life-goes-on", want: "at most 5 attempts", only: true, tell: func(b *book) { alternate(b, "m1", "m2") }},
		{name: "held-repeat-by-the-life-before", want: "at most 4 attempts", only: true, tell: func(b *book) {
			b.h.Promises.MaxAttempts = 5
			b.join("m1", 0)
			b.join("m2")
			b.produce(0, 0, 2)
			for range 4 {
				b.refuse("m1", 0, 0)
			}
			b.life(history.MemberFrozen, "m1")
			b.group(history.Lost, "m1", 0)
			b.group(history.Assigned, "m2", 0)
			b.do("m2", 0, 0, 2)
			b.life(history.MemberThawed, "m1")
			b.refuse("m1", 0, 0)
			b.do("m1", 0, 0, 1)
			b.commit("m2", 0, 2)
			b.close("m1", "m2")
		}},
		{name: "violated-hot-loop", count: 2, want: "after it was refused", only: true, tell: func(b *book) {
			b.h.Promises.MinBackoff = 100 * time.Millisecond
			retried(b, 2, 50*time.Millisecond)
		}},
		{name: "violated-crash-loop", count: 1, want: "3 members exited on their own with this record begun last", tell: func(b *book) { exits(b, 5) }},
		{name: "violated-crash-loop-before-an-effect", count: 1, want: "with this record the next to be read", tell: func(b *book) { falls(b, 4, 2) }},
		{name: "held-two-exits-before-an-effect", tell: func(b *book) { falls(b, 2, 2) }},
		{name: "held-exits-with-nothing-to-do", tell: func(b *book) { falls(b, 4, 4) }},
		{name: "held-exits-with-progress", tell: func(b *book) {
			b.produce(0, 0, 6)
			for i, who := range []string{"m1", "m1#2", "m1#3"} {
				b.join(who, 0)
				b.do(who, 0, int64(i), int64(i)+1)
				b.commit(who, 0, int64(i)+1)
				b.end(who, history.Exited, "exit status 1")
			}
			b.giveUp()
		}},
		{name: "held-exits-at-poison-that-may-wait", tell: func(b *book) {
			b.h.Promises.Poison = history.PoisonStop
			b.produceAs(0, 0, "undecodable", history.Acked)
			b.produce(0, 1, 3)
			for _, who := range []string{"m1", "m1#2", "m1#3"} {
				b.join(who, 0)
				b.end(who, history.Exited, "exit status 1")
			}
			b.giveUp()
		}},
		{name: "held-across", only: true, want: "max_attempts_across:3", tell: func(b *book) { across(b, 3) }},
		{name: "violated-across", count: 1, only: true, want: "attempted more often than 2 times by all members together", tell: func(b *book) { across(b, 2) }},
		{name: "violated-crash-loop-before-any-effect", count: 1, want: "with this record the next to be read", tell: func(b *book) {
			b.produce(0, 0, 3)
			b.join("m1", 0)
			b.do("m1", 0, 0, 1)
			b.commit("m1", 0, 1)
			b.end("m1", history.Exited, "exit status 2")
			for _, who := range []string{"m1#2", "m1#3", "m1#4"} {
				b.join(who, 0)
				b.end(who, history.Exited, "exit status 2")
			}
			b.giveUp()
		}},
		{name: "held-exits-until-it-could-go-on", only: true, tell: func(b *book) {
			b.produce(0, 0, 3)
			for _, who := range []string{"m1", "m1#2", "m1#3", "m1#4"} {
				b.join(who, 0)
				b.end(who, history.Exited, "exit status 2")
			}
			b.join("m1#5", 0)
			b.do("m1#5", 0, 0, 3)
			b.commit("m1#5", 0, 3)
			b.close("m1#5")
		}},
		{name: "held-exits-before-it-had-anything", tell: func(b *book) {
			b.produce(0, 0, 3)
			for _, who := range []string{"m1", "m1#2", "m1#3", "m1#4"} {
				b.life(history.MemberStarted, who)
				b.end(who, history.Exited, "exit status 2")
			}
			b.join("m2", 0)
			b.do("m2", 0, 0, 3)
			b.commit("m2", 0, 3)
			b.close("m2")
		}},
		{name: "unknown", tell: func(b *book) { b.h.Promises.MaxAttempts = 3; b.produce(0, 0, 1); b.close() }},
	})
}
