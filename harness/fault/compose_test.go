package fault_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
)

// step is a fault that takes a while.
type step struct {
	name  string
	takes time.Duration
	err   error
}

func (s step) Name() string { return s.name }
func (step) Doc() string    { return "" }
func (step) Member() string { return "" }
func (s step) Inject(ctx context.Context, _ *fault.Env) (string, error) {
	select {
	case <-time.After(s.takes):
		return "done", s.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// play injects a fault into an empty run, and returns what the history then says of faults.
func play(t *testing.T, f fault.Fault, meanwhile func(*history.Log)) (*history.Log, []string, error) {
	t.Helper()
	log, err := history.Create(filepath.Join(t.TempDir(), "history.jsonl"), history.Header{Format: history.Format, Start: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	done := make(chan error)
	go func() { done <- fault.Run(t.Context(), &fault.Env{Log: log, Bound: 10 * time.Second}, f) }()
	synctest.Wait() // it waits now
	if meanwhile != nil {
		meanwhile(log)
	}
	err = <-done
	var lines []string
	for _, e := range log.Events(0) {
		if e.Kind == history.FaultBegan || e.Kind == history.FaultEnded {
			lines = append(lines, strings.TrimSpace(string(e.Kind)+" "+e.Fault+" "+string(e.Outcome)))
		}
	}
	return log, lines, err
}

func TestWhen(t *testing.T) {
	two := int32(2)
	commit := fault.Event{Kind: history.Committed, Member: "m1", Partition: &two, Outcome: history.Accepted, Count: 2}
	matching := history.Event{Kind: history.Committed, Member: "m1", Partition: 2, Outcome: history.Accepted}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		log, lines, err := play(t, fault.When{Fault: step{name: "a"}, Event: commit, After: time.Second}, func(log *history.Log) {
			for _, change := range []func(*history.Event){
				func(e *history.Event) { e.Kind = history.CommitRequested }, func(e *history.Event) { e.Member = "m2" },
				func(e *history.Event) { e.Partition = 1 }, func(e *history.Event) { e.Outcome = history.Refused }, func(*history.Event) {},
			} {
				e := matching
				change(&e)
				log.Append(e)
			}
			time.Sleep(3 * time.Second)
			log.Append(matching) // the second that counts
		})
		if err != nil || !slices.Equal(lines, []string{"fault-began a", "fault-ended a happened"}) {
			t.Errorf("%v, %v", lines, err)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("it took %s", took)
		}
		if events := log.Events(0); events[6].Kind != history.FaultBegan {
			t.Errorf("it began before what it waits for: %v", events)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		log, lines, err := play(t, fault.When{Fault: step{name: "a"}, Event: commit}, nil)
		if err != nil || !slices.Equal(lines, []string{"fault-began a", "fault-ended a missed"}) {
			t.Errorf("%v, %v", lines, err)
		}
		if note := log.Events(0)[1].Note; !strings.Contains(note, "waited for 2 × committed m1 accepted partition 2 and saw 0 of them") {
			t.Errorf("note is %q", note)
		}
	})
}

func TestTogether(t *testing.T) {
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := fault.Together{Faults: []fault.Fault{
			step{name: "a", takes: 3 * time.Second}, step{name: "b", takes: time.Second, err: fault.Missed("not there")},
			step{name: "c", takes: 2 * time.Second, err: broken},
		}}
		_, lines, err := play(t, f, nil)
		want := []string{"fault-began", "fault-began", "fault-began", "fault-ended b missed", "fault-ended c missed", "fault-ended a happened"}
		for i := range min(3, len(lines)) {
			lines[i], _, _ = strings.Cut(lines[i], " ")
		}
		if !errors.Is(err, broken) || !slices.Equal(lines, want) {
			t.Errorf("%v, %v", lines, err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %s", took)
		}
		if names := fault.Names([]fault.Fault{step{name: "x"}, f}); !slices.Equal(names, []string{"x", "a", "b", "c"}) {
			t.Errorf("names are %v", names)
		}
	})
}
