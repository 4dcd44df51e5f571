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
