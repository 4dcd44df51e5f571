package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// wordless is a sound run of a subject that posts nothing: it commits, and dead-letters its poison.
func wordless(b *book, evidence string) {
	b.h.Evidence = evidence
	b.join("m1", 0)
	b.produce(0, 0, 4)
	b.produceAs(0, 4, "undecodable", history.Acked)
	b.commit("m1", 0, 4)
	b.letter(0, 4, "undecodable", nil)
	b.commit("m1", 0, 5)
}

// outputs shows outputs of records, appended at the given time.
func (b *book) outputs(at time.Duration, offsets ...int64) {
	for _, o := range offsets {
		e := of(history.Output, 0, o)
		e.Topic, e.Time = "orders.out", at
		b.add(e)
	}
}

func verdicts(b *book) map[string]Result {
	got := map[string]Result{}
	for _, r := range Run(b.history()).Checks {
		got[r.Check] = r
	}
	return got
}

func wantVerdicts(t *testing.T, b *book, want map[string]Verdict) {
	t.Helper()
	got := verdicts(b)
	for name, v := range want {
		if got[name].Verdict != v {
			t.Errorf("%s is %s, not %s: %s %+v", name, got[name].Verdict, v, got[name].Reason, got[name].Evidence)
		}
	}
}

func TestJudgedByCommits(t *testing.T) {
	b := newBook()
	wordless(b, history.EvidenceCommits)
	b.close("m1")
	wantVerdicts(t, b, map[string]Verdict{
		"no-loss": Held, "commit-progress": Held, "fencing": Held, "graceful-stop": Held, "dead-letter": Held, "rebalance": Held, "faults-happened": Held, "recovery": Held,
		"commit-safety": Unknown, "reprocessing": Unknown, "redelivered": Unknown, "partition-order": Unknown, "key-order": Unknown, "no-invention": Unknown,
		"retry-bound": Held, // not promised
	})
	if r := Run(b.history()); r.Verdict != Unknown {
		t.Errorf("what cannot be judged counts as %s", r.Verdict)
	}
	for name, r := range verdicts(b) {
		if r.Verdict == Unknown && (!strings.Contains(r.Reason, "no effects are seen") || r.Count != 0 || len(r.Evidence) != 0) {
			t.Errorf("%s does not say why it is unknown, or says more: %+v", name, r)
		}
	}
	b.h.Checks = Judgeable(history.EvidenceCommits)
	if r := Run(b.history()); r.Verdict != Held {
		t.Errorf("asked for what can be judged it is %s: %+v", r.Verdict, r.Checks)
	}
}

func TestJudgedByCommitsAndWrong(t *testing.T) {
	b := newBook() // never commits to the end
	wordless(b, history.EvidenceCommits)
	b.produce(0, 5, 7)
	b.giveUp("m1")
	wantVerdicts(t, b, map[string]Verdict{"commit-progress": Violated, "no-loss": Unknown})

	b = newBook() // passes poison without a dead letter
	b.h.Evidence = history.EvidenceCommits
	b.join("m1", 0)
	b.produceAs(0, 0, "undecodable", history.Acked)
	b.commit("m1", 0, 1)
	b.close("m1")
	wantVerdicts(t, b, map[string]Verdict{"dead-letter": Violated})

	b = newBook() // commits nothing
	b.h.Evidence = history.EvidenceCommits
	b.join("m1", 0)
	b.produce(0, 0, 1)
	b.close("m1")
	wantVerdicts(t, b, map[string]Verdict{"no-loss": Unknown, "faults-happened": Unknown})
}

func TestJudgedByOutputs(t *testing.T) {
	end := func(b *book, offsets ...int64) {
		b.phase(history.PhaseDrain, history.PhaseDrained, history.PhaseStop)
		b.stop("m1")
		b.outputs(time.Millisecond, offsets...)
		b.phase(history.PhaseOutputs, history.PhaseEnd)
	}
	b := newBook()
	wordless(b, history.EvidenceOutputs)
	end(b, 0, 1, 2, 3)
	wantVerdicts(t, b, map[string]Verdict{"no-loss": Held, "commit-safety": Held, "dead-letter": Held, "reprocessing": Unknown, "partition-order": Unknown})
	b.h.Checks = Judgeable(history.EvidenceOutputs)
	if !slices.Contains(b.h.Checks, "commit-safety") || Run(b.history()).Verdict != Held {
		t.Errorf("asked for %v it is not held: %+v", b.h.Checks, Run(b.history()).Checks)
	}

	b = newBook()
	wordless(b, history.EvidenceOutputs)
	end(b, 0, 1, 3)
	wantVerdicts(t, b, map[string]Verdict{"no-loss": Violated, "commit-safety": Violated})

	b = newBook() // the output is there, but the commit came first
	wordless(b, history.EvidenceOutputs)
	b.phase(history.PhaseDrain, history.PhaseDrained, history.PhaseStop)
	b.stop("m1")
	b.outputs(time.Millisecond, 0, 1, 2)
	b.outputs(time.Second, 3)
	b.phase(history.PhaseOutputs, history.PhaseEnd)
	wantVerdicts(t, b, map[string]Verdict{"no-loss": Held, "commit-safety": Violated})

	b = newBook() // nobody could read them
	wordless(b, history.EvidenceOutputs)
	b.close("m1")
	wantVerdicts(t, b, map[string]Verdict{"no-loss": Unknown, "commit-safety": Unknown, "commit-progress": Held})
}

// Who posts effects after all is judged by them.
func TestEffectsCountWhereTheyAreSeen(t *testing.T) {
	b := newBook()
	sound(b)
	b.h.Evidence = history.EvidenceCommits
	if r := Run(b.history()); r.Verdict != Held {
		t.Errorf("%s: %+v", r.Verdict, r.Checks)
	}
}

func TestNoEffectsButCommitsSuggestsEvidence(t *testing.T) {
	b := newBook()
	wordless(b, "")
	b.close("m1")
	if r := verdicts(b)["no-loss"]; r.Verdict != Unknown || !strings.Contains(r.Reason, "--evidence commits") {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

func TestOnlyWhatWasAskedForIsJudged(t *testing.T) {
	b := newBook()
	lossyCrash(b)
	b.h.Checks = []string{"key-order"}
	for name, r := range verdicts(b) {
		switch name {
		case "key-order", "faults-happened":
			if !r.Promised {
				t.Errorf("%s was asked for", name)
			}
		default:
			if r.Verdict != Held || r.Promised || r.Reason != "not asked for" {
				t.Errorf("%s was not asked for: %+v", name, r)
			}
		}
	}
}
