package check

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

func TestFaultsHappened(t *testing.T) {
	runStories(t, faultsHappened, []story{
		{name: "held", tell: soundCrash, only: true, want: "1 fault happened"},
		{name: "held-none-meant", tell: sound, only: true},
		{name: "held-twice", tell: func(b *book) {
			b.h.Faults = []string{"member-joins", "member-joins"}
			b.fault("member-joins", history.Happened, "")
			b.fault("member-joins", history.Happened, "")
			sound(b)
		}, only: true, want: "2 faults happened"},
		{name: "unknown", want: "the fault zombie did not happen: nobody took over", tell: func(b *book) {
			b.h.Faults = []string{"zombie"}
			b.fault("zombie", history.Missed, "nobody took over")
			sound(b)
		}},
		{name: "unknown-missing", want: "1 of 2 happened", tell: func(b *book) {
			b.h.Faults = []string{"member-joins", "member-joins"}
			b.fault("member-joins", history.Happened, "")
			sound(b)
		}},
		{name: "unknown-began-only", tell: func(b *book) {
			b.h.Faults = []string{"zombie"}
			b.add(history.Event{Kind: history.FaultBegan, Fault: "zombie"})
			sound(b)
		}},
		{name: "unknown-nothing-produced", want: "no record", tell: func(b *book) { b.join("m1", 0); b.close("m1") }},
		{name: "unknown-no-effect", want: "no effect", tell: func(b *book) { b.produce(0, 0, 3); b.close() }},
		{name: "unknown-truncated", want: "no end", tell: func(b *book) { b.produce(0, 0, 3); b.do("m1", 0, 0, 3) }},
	})
}
