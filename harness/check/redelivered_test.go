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

func TestRedelivered(t *testing.T) {
	runStories(t, redelivered, []story{
		{name: "held", tell: soundCrash, only: true, want: "redelivered:3"},
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
		{name: "unknown", want: "nothing to redeliver", tell: func(b *book) {
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
