package check

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

func TestNoInvention(t *testing.T) {
	runStories(t, noInvention, []story{
		{name: "held", tell: sound, only: true},
		{name: "held-effect-before-the-producer-knows", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.do("m1", 0, 0, 1)
			b.produce(0, 0, 2)
			b.do("m1", 0, 1, 2)
			b.commit("m1", 0, 2)
			b.close("m1")
		}},
		{name: "held-failed-produce-that-was-read", tell: func(b *book) {
			b.produceAs(0, 12, "", history.Failed)
			b.do("m1", 0, 12, 13)
			sound(b)
		}},
		{name: "violated", count: 1, want: "matches no produced record", tell: func(b *book) {
			b.add(by(history.Event{Kind: history.EffectUnmatched, Note: `{"id":"m-8x"`, Size: 20}, "m1"))
			sound(b)
		}},
		{name: "violated-never-produced", count: 1, want: "never produced", tell: func(b *book) {
			b.do("m1", 0, 99, 100)
			sound(b)
		}},
		{name: "violated-bytes", count: 1, want: "other bytes", tell: func(b *book) {
			b.produce(0, 12, 13)
			ref := b.begin("m1", 0, 12)
			b.events[ref-1].Hash = "00"
			b.finish(history.EffectDone, ref, "")
			sound(b)
		}},
		{name: "held-aborted-and-not-read", only: true, want: "aborted:2", tell: func(b *book) {
			b.h.Promises.Isolation = history.ReadCommitted
			b.produceAs(0, 12, "", history.Voided)
			b.produceAs(0, 13, "", history.Voided)
			sound(b)
		}},
		{name: "held-aborted-and-read-where-not-promised", only: true, want: "aborted_read:1", tell: func(b *book) {
			b.h.Promises.Isolation = history.ReadUncommitted
			readAborted(b)
		}},
		{name: "violated-aborted-and-read", count: 1, only: true, want: "aborted", tell: func(b *book) {
			b.h.Promises.Isolation = history.ReadCommitted
			readAborted(b)
		}},
		{name: "violated-aborted-and-read-exactly-once", count: 1, want: "aborted", tell: func(b *book) {
			b.h.Promises.Delivery = history.ExactlyOnce
			readAborted(b)
		}},
		{name: "violated-aborted-and-dead-lettered", count: 1, want: "aborted", tell: func(b *book) {
			b.h.Promises.Isolation = history.ReadCommitted
			b.produceAs(0, 12, "undecodable", history.Voided)
			b.letter(0, 12, "undecodable", nil)
			sound(b)
		}},
		{name: "unknown-aborted-and-no-effect", want: "no effect", tell: func(b *book) {
			b.h.Promises.Isolation = history.ReadCommitted
			b.produce(0, 0, 3)
			b.produceAs(0, 3, "", history.Voided)
			b.close("m1")
		}},
		{name: "unknown", tell: func(b *book) {
			b.produce(0, 0, 3)
			b.close("m1")
		}},
		{name: "unknown-truncated", want: "cut off", tell: func(b *book) {
			b.produce(0, 0, 3)
			b.do("m1", 0, 3, 4)
		}},
	})
}

// readAborted is a sound run but for one effect of an aborted transaction.
func readAborted(b *book) {
	b.join("m1", 0)
	b.produce(0, 0, 2)
	b.produceAs(0, 2, "", history.Voided)
	b.do("m1", 0, 0, 3)
	b.commit("m1", 0, 4) // 3 is the control record
	b.close("m1")
}
