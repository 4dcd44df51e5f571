// Package judge runs the examples as subjects in tests, as a user would with
// `ksim run -- COMMAND`.
package judge

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/reexec"
	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/scenarios"
)

// Main is the TestMain of a package that runs subjects.
func Main(m *testing.M) {
	reexec.Main(containers.ReaperMode(), subject.GuardMode())
	os.Exit(m.Run())
}

// Embedded is a new embedded broker for each scenario.
func Embedded() harness.Provider {
	return harness.Fresh(func(ctx context.Context) (backend.Kafka, error) {
		return backend.NewEmbedded(ctx, backend.EmbeddedConfig{})
	})
}

// Containers is one real Kafka for all scenarios of the test; where there can be none the
// test is skipped, and in CI fails. It stops with the test.
func Containers(t *testing.T, name string) harness.Provider {
	t.Helper()
	containers.Require(t)
	k, err := containers.Start(context.Background(), containers.Config{RunID: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return harness.Shared(k)
}

// Run plays the scenarios that the patterns name. A failure of the harness ends the test.
func Run(t *testing.T, kafka harness.Provider, p subject.Process, patterns ...string) []harness.Result {
	t.Helper()
	return RunWith(t, kafka, p, nil, patterns...)
}

// RunWith is Run with a change to the configuration, which begins as harness.DefaultConfig.
func RunWith(t *testing.T, kafka harness.Provider, p subject.Process, change func(*harness.Config), patterns ...string) []harness.Result {
	t.Helper()
	chosen, err := scenarios.Select(patterns)
	if err != nil {
		t.Fatal(err)
	}
	cfg := harness.DefaultConfig()
	cfg.RunID, cfg.Dir, cfg.Kafka, cfg.Subject = fmt.Sprintf("ex%d", time.Now().UnixNano()), t.TempDir(), kafka, p
	if change != nil {
		change(&cfg)
	}
	results, err := harness.RunScenarios(t.Context(), cfg, chosen)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatalf("%s: %s: the harness failed: %v", p.Name(), r.Scenario, r.Err)
		}
	}
	return results
}

// Held wants every scenario to be held, and at least one.
func Held(t *testing.T, results []harness.Result) {
	t.Helper()
	if len(results) == 0 {
		t.Error("no scenario was played")
	}
	for _, r := range results {
		if r.Verdict != check.Held {
			t.Errorf("%s is %s: %s", r.Scenario, r.Verdict, r.Reason)
		}
	}
}

// Violated wants the check to be violated in the scenario, with evidence that says what happened.
func Violated(t *testing.T, r harness.Result, name string) {
	t.Helper()
	if r.Verdict != check.Violated {
		t.Errorf("%s is %s, want violated: %s", r.Scenario, r.Verdict, r.Reason)
	}
	i := slices.IndexFunc(r.Checks, func(c check.Result) bool { return c.Check == name })
	if i < 0 || r.Checks[i].Verdict != check.Violated {
		t.Errorf("%s does not violate %s", r.Scenario, name)
		return
	}
	if e := r.Checks[i].Evidence; len(e) == 0 || e[0].What == "" {
		t.Errorf("%s violates %s without evidence: %+v", r.Scenario, name, e)
	}
}

// Needs skips the test where something that it needs is missing, but not in CI.
func Needs(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	why := fmt.Sprintf("needs %s: %s", what, strings.TrimSpace(err.Error()))
	if os.Getenv(containers.RequireVariable) == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Built needs what `make examples` leaves at path. It fails where that is older than what it is built from
// (files or folders): an old program would be judged.
func Built(t *testing.T, path string, from ...string) {
	t.Helper()
	built, err := os.Stat(path)
	Needs(t, path+" (make examples)", err)
	for _, source := range from {
		err := filepath.WalkDir(source, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err == nil && info.ModTime().After(built.ModTime()) {
				t.Fatalf("%s is older than %s: run make examples", path, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
