package fault

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

func done(member string, partition int32, offset int64) history.Event {
	return history.Event{Kind: history.EffectDone, Member: member, Incarnation: 1, Partition: partition, Offset: offset}
}

func asked(member string, partition int32, offset int64) history.Event {
	return history.Event{Kind: history.CommitRequested, Member: member, Partition: partition, Offset: offset}
}

func TestOpenWork(t *testing.T) {
	log := history.NewMemory(history.Header{})
	w := &openWork{log: log, member: "m1", size: 20}
	expect := func(where int32, open, batch int) {
		t.Helper()
		if o, b := w.now(where); o != open || b != batch {
			t.Errorf("%d open, batches of %d; want %d and %d", o, b, open, batch)
		}
	}
	expect(anywhere, 0, 20)
	log.AppendAll([]history.Event{done("m1", 0, 4), done("m1", 0, 5), done("m1", 1, 9), done("m2", 1, 8), done("m1", 0, -1)})
	expect(anywhere, 3, 20)
	expect(0, 2, 20)
	log.Append(asked("m1", 0, 5)) // 4 is covered
	expect(anywhere, 2, 20)
	log.Append(asked("m2", 1, 10)) // by whomever
	expect(anywhere, 1, 20)
	for n := range int64(enough) {
		log.Append(asked("m1", 0, 6+n))
	}
	expect(anywhere, 0, 3) // the largest batch that it has committed
	next := done("m1", 0, 20)
	next.Incarnation = 2
	log.AppendAll([]history.Event{done("m1", 0, 19), next})
	expect(anywhere, 1, 3) // what a former life did is not this one's
}

func TestKOfABatch(t *testing.T) {
	for _, c := range []struct{ k, batch, want int }{{1, 20, 0}, {7, 20, 6}, {Middle, 20, 10}, {Middle, 1, 0}, {Last, 20, 19}, {Last, 1, 0}} {
		if got := (CrashAt{K: c.k}).before(c.batch); got != c.want {
			t.Errorf("K %d of %d: %d before it, want %d", c.k, c.batch, got, c.want)
		}
	}
}

func TestHurried(t *testing.T) {
	at := func(kind history.Kind, ms int, life int) history.Event {
		return history.Event{Kind: kind, At: time.Duration(ms) * time.Millisecond, Member: "m1", Incarnation: life, Message: "m-1", Error: "unavailable"}
	}
	events := []history.Event{
		at(history.EffectStarted, 0, 1), at(history.EffectRefused, 1, 1),
		at(history.EffectStarted, 500, 1), at(history.EffectRefused, 501, 1), // too early
		at(history.EffectStarted, 2600, 1), at(history.EffectRefused, 2601, 1),
		at(history.EffectStarted, 2700, 2), // another life, which was not told
	}
	if refused, early := hurried(events, 2*time.Second); refused != 3 || early != 1 {
		t.Errorf("%d refused, %d early; want 3 and 1", refused, early)
	}
}

func TestWaiting(t *testing.T) {
	log := history.NewMemory(history.Header{})
	record := func(id string, partition int32, outcome history.Outcome, poison string) history.Event {
		return history.Event{Kind: history.Produced, Message: id, Partition: partition, Outcome: outcome, Poison: poison}
	}
	log.AppendAll([]history.Event{
		{Kind: history.Assigned, Member: "m1", Partition: 0}, {Kind: history.Assigned, Member: "m2", Partition: 1}, {Kind: history.Assigned, Member: "m1", Partition: 1},
		record("a", 0, history.Acked, ""), record("b", 1, history.Acked, ""), record("c", 0, history.Failed, ""), record("d", 0, history.Acked, "permanent"), record("e", 2, history.Acked, ""),
		record("f", 0, history.Acked, ""), {Kind: history.EffectStarted, Message: "f"},
	})
	if n := waiting(log, "m1"); n != 2 {
		t.Errorf("%d records wait for m1, want a and b", n)
	}
}

// Names tell faults apart: a scenario with two of them waits for both.
func TestNamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range All() {
		if seen[f.Name()] {
			t.Errorf("two faults are called %s", f.Name())
		}
		if seen[f.Name()] = true; len(f.Doc()) < 60 {
			t.Errorf("%s is told as %q", f.Name(), f.Doc())
		}
	}
}
