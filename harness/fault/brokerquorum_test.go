package fault

import (
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// A transaction that began before copies were seen to be too few, and does not end, is what the fault concerns; one that is
// committed meanwhile is not.
func TestOutputsMet(t *testing.T) {
	log := history.NewMemory(history.Header{})
	done := func(partition int32, offset int64, message string) {
		log.Append(history.Event{Kind: history.EffectDone, Partition: partition, Offset: offset, Message: message})
	}
	commit := func(partition int32, offset int64) {
		log.Append(history.Event{Kind: history.CommitRequested, Partition: partition, Offset: offset})
	}
	done(0, 0, "a")
	done(1, 0, "b")
	commit(0, 1)
	if e, ok := newestOpen(log.Events(0)); !ok || e.Message != "b" {
		t.Errorf("open is %v, %v", e.Message, ok)
	}
	commit(1, 1)
	if e, ok := newestOpen(log.Events(0)); ok {
		t.Errorf("%s is open, though all is committed", e.Message)
	}
	done(0, 1, "stuck")
	met, err := NotEnoughReplicas{Of: Outputs, For: time.Millisecond}.met(t.Context(), &Env{Log: log}, log.Last())
	if err != nil || met.Message != "stuck" {
		t.Errorf("met %v, %v", met.Message, err)
	}
	if coveredBy(log.Events(0), met) {
		t.Error("it is said to be committed")
	}
	commit(0, 2)
	if !coveredBy(log.Events(met.Seq), met) {
		t.Error("it is said not to be committed")
	}
}
