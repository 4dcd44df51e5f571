package check

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// report has a member report its lag of a partition; it was asked 10 ms before.
func (b *book) report(who string, p int32, lag int64) {
	asked := b.at
	b.add(by(history.Event{Kind: history.LagReported, Topic: "orders", Partition: p, Offset: lag, Due: asked}, who))
}

func (b *book) scraped(who string, series int, text string) {
	b.add(by(history.Event{Kind: history.Scraped, Size: series, Error: text}, who))
}

// lagging is a run in which m1 falls behind by 6 and then, after tell, does all up to to.
func lagging(b *book, to int64, tell func()) {
	b.h.Promises.LagMetric = "kafka_consumergroup_lag"
	b.join("m1", 0)
	b.scraped("m1", 1, "")
	b.produce(0, 0, 10)
	b.do("m1", 0, 0, 4)
	b.commit("m1", 0, 4)
	tell()
	b.do("m1", 0, 4, to)
	b.commit("m1", 0, to)
	b.report("m1", 0, 0)
	b.close("m1")
}

// leaves has m1 give its partition to m2, and report on it after the time away.
func leaves(b *book, how history.Kind, away time.Duration) {
	b.h.Promises.LagMetric = "kafka_consumergroup_lag"
	b.join("m1", 0)
	b.scraped("m1", 1, "")
	b.produce(0, 0, 4)
	b.do("m1", 0, 0, 4)
	b.commit("m1", 0, 4)
	b.report("m1", 0, 0)
	b.join("m2")
	b.group(how, "m1", 0)
	b.group(history.Assigned, "m2", 0)
	b.wait(away)
	b.report("m1", 0, 0)
	b.report("m1", 0, 0)
	b.report("m2", 0, 0)
	b.close("m1", "m2")
}

func TestTruthfulLag(t *testing.T) {
	runStories(t, truthfulLag, []story{
		{name: "held", only: true, want: "3 reports of lag, each true within 5s", tell: func(b *book) {
			lagging(b, 10, func() { b.wait(10 * time.Second); b.report("m1", 0, 6); b.report("m1", 0, 6) })
		}},
		{name: "held-a-little-old", only: true, tell: func(b *book) {
			lagging(b, 10, func() { b.report("m1", 0, 10); b.report("m1", 0, 7); b.report("m1", 0, 0) })
		}},
		{name: "held-ahead-of-the-answer-to-the-producer", only: true, tell: func(b *book) {
			lagging(b, 12, func() { b.report("m1", 0, 8); b.produce(0, 10, 12) })
		}},
		{name: "held-given-up-a-moment-ago", only: true, tell: func(b *book) { leaves(b, history.Revoked, 4*time.Second) }},
		{name: "held-lost-and-not-told", only: true, tell: func(b *book) { leaves(b, history.Lost, time.Minute) }},
		{name: "held-just-thawed", only: true, tell: func(b *book) {
			lagging(b, 12, func() {
				b.report("m1", 0, 6)
				b.life(history.MemberFrozen, "m1")
				b.produce(0, 10, 12)
				b.wait(8 * time.Second)
				b.life(history.MemberThawed, "m1")
				b.report("m1", 0, 6)
			})
		}},
		{name: "held-as-old-as-the-fault", only: true, tell: func(b *book) {
			b.h.Faults = []string{"cut-off"}
			lagging(b, 12, func() {
				ref := b.add(by(history.Event{Kind: history.FaultBegan, Fault: "cut-off"}, "m1"))
				b.produce(0, 10, 12)
				b.wait(9 * time.Second)
				b.report("m1", 0, 6)
				b.add(by(history.Event{Kind: history.FaultEnded, Fault: "cut-off", Ref: ref, Outcome: history.Happened}, "m1"))
				b.wait(2 * time.Second)
				b.report("m1", 0, 6)
			})
		}},
		{name: "violated-fault-of-another", count: 1, want: "less than 8 or more than 8", tell: func(b *book) {
			lagging(b, 12, func() {
				b.add(by(history.Event{Kind: history.FaultBegan, Fault: "cut-off"}, "m2"))
				b.produce(0, 10, 12)
				b.wait(9 * time.Second)
				b.report("m1", 0, 6)
			})
		}},
		{name: "held-not-promised", want: "not promised; 1 untrue report of lag", tell: func(b *book) {
			lagging(b, 10, func() { b.report("m1", 0, 99) })
			b.h.Promises.LagMetric = ""
		}},
		{name: "violated", count: 1, want: "m1 reports a lag of 0 for a partition that it knows to be no longer its own", only: true,
			tell: func(b *book) { leaves(b, history.Revoked, 6*time.Second) }},
		{name: "violated-joined-anew", count: 1, want: "no longer its own", only: true, tell: func(b *book) {
			b.h.Promises.LagMetric = "kafka_consumergroup_lag"
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.group(history.Lost, "m1", 0)
			b.join("m2", 0)
			b.life(history.Joining, "m1")
			b.wait(6 * time.Second)
			b.report("m1", 0, 0)
			b.close("m1", "m2")
		}},
		{name: "violated-zero-while-behind", count: 1, want: "m1 reports a lag of 0, though it was at least 6 all of the last 5s", only: true, tell: func(b *book) {
			lagging(b, 10, func() { b.wait(10 * time.Second); b.report("m1", 0, 0); b.report("m1", 0, 0) })
		}},
		{name: "violated-too-much", count: 2, want: "m1 reports a lag of 11", only: true, tell: func(b *book) {
			lagging(b, 10, func() { b.report("m1", 0, 11); b.report("m1", 0, 6); b.report("m1", 0, 12) })
		}},
		{name: "violated-older-than-promised", count: 1, want: "less than 6 or more than 6", only: true, tell: func(b *book) {
			b.h.Promises.LagWindow = time.Second
			lagging(b, 10, func() { b.wait(2 * time.Second); b.report("m1", 0, 10) })
		}},
		{name: "unknown", want: "could be read (connection refused)", tell: func(b *book) {
			b.h.Promises.LagMetric = "kafka_consumergroup_lag"
			b.join("m1", 0)
			b.scraped("m1", 0, "connection refused")
			b.produce(0, 0, 2)
			b.close("m1")
		}},
		{name: "unknown-other-name", want: "show no series lag_of_mine", tell: func(b *book) {
			b.h.Promises.LagMetric = "lag_of_mine"
			b.join("m1", 0)
			b.scraped("m1", 0, "")
			b.produce(0, 0, 2)
			b.close("m1")
		}},
		{name: "unknown-does-not-know", want: "at a time when it could be judged", tell: func(b *book) {
			b.h.Promises.LagMetric = "kafka_consumergroup_lag"
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.report("m1", 0, -1)
			b.close("m1")
		}},
	})
}
