package harness_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/subject"
)

var steady = harness.Scenario{Name: "steady", Doc: "nothing goes wrong"}

func verdictOf(t *testing.T, r harness.Result, name string) check.Result {
	t.Helper()
	for _, c := range r.Checks {
		if c.Check == name {
			return c
		}
	}
	t.Fatalf("the result has no check %s: %+v", name, r)
	return check.Result{}
}

func TestSoundConsumerIsHeld(t *testing.T) {
	t.Parallel()
	r := harness.RunScenario(context.Background(), testConfig(t, sound), steady)
	if r.Err != nil || r.Verdict != check.Held {
		t.Fatalf("verdict %s, want held: %s, %v", r.Verdict, r.Reason, r.Err)
	}
	if r.Counts.Produced != 120 || r.Counts.Effects != 120 {
		t.Errorf("produced %d and effects %d, want 120 of both", r.Counts.Produced, r.Counts.Effects)
	}
}

func TestSubjectThatCannotStartIsAnError(t *testing.T) {
	t.Parallel()
	r := harness.RunScenario(context.Background(), testConfig(t, subject.Process{Command: []string{"no-such-program-anywhere"}}), steady)
	var subj *harness.SubjectError
	if !errors.As(r.Err, &subj) || !subj.CannotStart {
		t.Fatalf("err is %v, want one that says that the subject cannot start", r.Err)
	}
	if !strings.Contains(r.Err.Error(), "no-such-program-anywhere") {
		t.Errorf("the error does not name the program: %v", r.Err)
	}
}

func TestSubjectThatExitsAtOnceIsUnknown(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, subject.Process{Command: []string{"sh", "-c", "echo no licence found; exit 7"}})
	cfg.MaxRestarts = 1
	r := harness.RunScenario(context.Background(), cfg, steady)
	if r.Err != nil || r.Verdict != check.Unknown {
		t.Fatalf("verdict %s, err %v, want unknown", r.Verdict, r.Err)
	}
	for _, want := range []string{"exited on its own 2 times", "exit status 7", "no licence found"} {
		if !strings.Contains(r.Reason, want) {
			t.Errorf("the reason does not say %q: %s", want, r.Reason)
		}
	}
	keepsHistory(t, cfg, r)
}

func TestSubjectThatNeverJoinsIsUnknown(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, subject.Process{Command: []string{"sh", "-c", "echo waiting for a leap second; exec sleep 600"}})
	cfg.ReadyBound = 2 * time.Second
	r := harness.RunScenario(context.Background(), cfg, steady)
	if r.Err != nil || r.Verdict != check.Unknown || !strings.Contains(r.Reason, "did not form a group") {
		t.Fatalf("verdict %s, reason %q, err %v; want unknown because no group formed", r.Verdict, r.Reason, r.Err)
	}
	if !strings.Contains(r.Reason, "leap second") {
		t.Errorf("the reason does not show the last output: %s", r.Reason)
	}
	keepsHistory(t, cfg, r)
}

func TestSubjectThatIgnoresSIGTERMIsViolated(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, stubborn)
	cfg.StopDeadline = time.Second
	r := harness.RunScenario(context.Background(), cfg, steady)
	if r.Err != nil || r.Verdict != check.Violated {
		t.Fatalf("verdict %s, err %v, want violated", r.Verdict, r.Err)
	}
	if c := verdictOf(t, r, "graceful-stop"); c.Verdict != check.Violated {
		t.Errorf("graceful-stop is %s: %s", c.Verdict, c.Reason)
	}
	if c := verdictOf(t, r, "no-loss"); c.Verdict != check.Held {
		t.Errorf("no-loss is %s: %s", c.Verdict, c.Reason)
	}
}

func TestSubjectThatInventsEffectsIsViolated(t *testing.T) {
	t.Parallel()
	r := harness.RunScenario(context.Background(), testConfig(t, babbler), steady)
	if c := verdictOf(t, r, "no-invention"); r.Err != nil || c.Verdict != check.Violated {
		t.Fatalf("no-invention is %s, err %v, want violated", c.Verdict, r.Err)
	}
}

func TestSubjectThatFloodsItsLogIsBounded(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, subject.Process{Command: []string{"sh", "-c", "yes a line of no interest to anybody at all"}})
	cfg.Members, cfg.ReadyBound = 1, 3*time.Second
	r := harness.RunScenario(context.Background(), cfg, steady)
	if r.Err != nil || r.Verdict != check.Unknown {
		t.Fatalf("verdict %s, err %v, want unknown", r.Verdict, r.Err)
	}
	logs, err := filepath.Glob(filepath.Join(cfg.Dir, r.Dir, "logs", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	info, err := os.Stat(logs[0])
	if err != nil || info.Size() > 2<<20 {
		t.Errorf("the log has %d bytes, want at most 2 MiB (%v)", info.Size(), err)
	}
}

func TestCancelKeepsTheHistory(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, sound)
	cfg.Messages, cfg.Rate = 20_000, 100
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	r := harness.RunScenario(ctx, cfg, steady)
	if r.Err != nil || r.Verdict != check.Unknown || !strings.Contains(r.Reason, "interrupted") || len(r.Checks) == 0 {
		t.Fatalf("verdict %s (%s), err %v and %d checks, want what was seen until then judged, and unknown at best", r.Verdict, r.Reason, r.Err, len(r.Checks))
	}
	keepsHistory(t, cfg, r)
}

// keepsHistory: what was seen is kept, and can be read.
func keepsHistory(t *testing.T, cfg harness.Config, r harness.Result) {
	t.Helper()
	h, err := history.ReadFile(filepath.Join(cfg.Dir, r.Dir, "history.jsonl"))
	if err != nil || len(h.Events) == 0 {
		t.Errorf("the history has %d events: %v", len(h.Events), err)
	}
}

// A subject that ends by itself while a fault is aimed at it is the subject's
// doing: never a failure of the harness.
func TestSubjectThatExitsDuringAFaultIsNoHarnessFailure(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, brittle)
	cfg.FaultBound = 5 * time.Second
	sc := harness.Scenario{Name: "brittle", Faults: []fault.Fault{fault.CrashMidBatch{Target: "m1"}, fault.RollingRestart{}}}
	r := harness.RunScenario(context.Background(), cfg, sc)
	if r.Err != nil {
		t.Fatalf("the harness failed: %v", r.Err)
	}
	if r.Verdict == check.Held {
		t.Fatalf("a consumer that exits every few records is held")
	}
}
