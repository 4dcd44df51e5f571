package matrix_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/mutant"
	"github.com/ksim-dev/ksim/harness/mutant/matrix"
	"github.com/ksim-dev/ksim/harness/reexec"
	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/scenarios"
)

func TestMain(m *testing.M) {
	reexec.Main(append(mutant.Modes(), subject.GuardMode())...)
	os.Exit(m.Run())
}

func byName(t *testing.T, name string) mutant.Mutant {
	t.Helper()
	for _, m := range append(mutant.All(), mutant.Careful()...) {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("there is no mutant %s", name)
	return mutant.Mutant{}
}

func run(t *testing.T, p matrix.Plan) matrix.Matrix {
	t.Helper()
	p.Config = matrix.Config()
	p.Config.RunID, p.Config.Dir = fmt.Sprintf("t%d", time.Now().UnixNano()), t.TempDir()
	p.Config.Kafka = harness.Fresh(func(ctx context.Context) (backend.Kafka, error) {
		return backend.NewEmbedded(ctx, backend.EmbeddedConfig{})
	})
	if p.Scenario == nil {
		p.Scenario = func(name string) (harness.Scenario, bool) {
			all := slices.Concat(scenarios.All(), scenarios.Provocations())
			i := slices.IndexFunc(all, func(s harness.Scenario) bool { return s.Name == name })
			return all[max(i, 0)], i >= 0
		}
	}
	m, err := matrix.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The matrix can fail: a correct consumer in the place of a mutant survives, and a mutant in
// the place of a correct one is accused.
func TestSurvivorsAndAccused(t *testing.T) {
	survivor := byName(t, "log-and-continue")
	survivor.Subject = byName(t, "careful").Subject
	guilty := matrix.Correct{Name: "guilty", Subject: byName(t, "log-and-continue").Subject, Takes: func(m mutant.Mutant) (history.Promises, map[string]string, bool) {
		return m.Promised(), nil, true
	}}
	m := run(t, matrix.Plan{Mutants: []mutant.Mutant{survivor}, Correct: append(matrix.Careful(), guilty)})
	if r := m.Mutants[0]; r.Status != matrix.Survived || len(r.Caught) > 0 {
		t.Errorf("a careful consumer as a mutant is %s: %s", r.Status, r.Reason)
	}
	if len(m.Correct) != 2 { // the transactional one takes no part
		t.Fatalf("%d correct consumers were run", len(m.Correct))
	}
	if r := m.Correct[0]; r.Status != matrix.Held {
		t.Errorf("the careful consumer is %s: %s", r.Status, r.Reason)
	}
	if r := m.Correct[1]; r.Status != matrix.Accused || !slices.Contains(r.Stray, "no-loss") {
		t.Errorf("a mutant as a correct consumer is %s: %s %v", r.Status, r.Reason, r.Stray)
	}
	if m.Verdict() != check.Violated || m.Ok() {
		t.Errorf("the matrix is %s", m.Verdict())
	}
	for name, text := range written(t, m) {
		for _, want := range []string{"survived", "accused", "log-and-continue", "no-loss"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q:\n%s", name, want, text)
			}
		}
	}
}

// What could not be seen is neither killed nor survived, and is tried twice.
func TestWhatIsNotSeenIsUnknown(t *testing.T) {
	missed := byName(t, "log-and-continue")
	missed.Subject, missed.Scenarios = byName(t, "careful").Subject, []string{"nothing-refused"}
	waiting := byName(t, "commit-on-poll")
	waiting.Waits = "better days"
	foreign := byName(t, "commit-on-poll")
	foreign.Name, foreign.Missing = "foreign", func() string { return "cobol is not installed" }
	told := 0
	m := run(t, matrix.Plan{
		Mutants: []mutant.Mutant{missed, waiting, foreign},
		Scenario: func(string) (harness.Scenario, bool) { // nothing in its workload is ever refused
			return harness.Scenario{Name: "nothing-refused", Faults: []fault.Fault{fault.Leave{Target: "m9"}}}, true
		},
		Progress: func(string, harness.Result) { told++ },
	})
	for i, want := range []matrix.Status{matrix.Unknown, matrix.Waits, matrix.Missing} {
		if r := m.Mutants[i]; r.Status != want || r.Reason == "" {
			t.Errorf("%s is %s (%s), want %s", r.Name, r.Status, r.Reason, want)
		}
	}
	if told != 1 {
		t.Errorf("progress was told %d times", told)
	}
	if dir := m.Mutants[0].Runs[0].Result.Dir; !strings.Contains(dir, "again") {
		t.Errorf("it was run once only: %s", dir)
	}
	if m.Verdict() != check.Unknown {
		t.Errorf("the matrix is %s", m.Verdict())
	}
	for name, text := range written(t, m) {
		if !strings.Contains(text, "not provoked yet") {
			t.Errorf("%s does not say what waits:\n%s", name, text)
		}
	}
}

func written(t *testing.T, m matrix.Matrix) map[string]string {
	t.Helper()
	var text, markdown strings.Builder
	if err := m.Text(&text); err != nil {
		t.Fatal(err)
	}
	if err := m.Markdown(&markdown); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"text": text.String(), "markdown": markdown.String()}
}

func TestScenarioThatIsNotThere(t *testing.T) {
	m := byName(t, "commit-on-poll")
	_, err := matrix.Run(t.Context(), matrix.Plan{Mutants: []mutant.Mutant{m}, Scenario: func(string) (harness.Scenario, bool) { return harness.Scenario{}, false }})
	if err == nil || !strings.Contains(err.Error(), "commit-on-poll needs the scenario \"crash-mid-batch\"") {
		t.Fatalf("got %v", err)
	}
}
