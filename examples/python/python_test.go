// Package python judges the two Python consumers of this folder, as a user
// would with `ksim run -- python3 …`: the one in the style of the client's minimal example must be
// violated, the careful one held, on the embedded broker and on real Kafka.
package python

import (
	"context"
	"fmt"
	"os"
	"os/exec"
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

func TestMain(m *testing.M) {
	reexec.Main(containers.ReaperMode(), subject.GuardMode())
	os.Exit(m.Run())
}

func TestEmbedded(t *testing.T) {
	needsPython(t)
	judge(t, harness.Fresh(func(ctx context.Context) (backend.Kafka, error) {
		return backend.NewEmbedded(ctx, backend.EmbeddedConfig{})
	}))
}

func TestContainers(t *testing.T) {
	needsPython(t)
	containers.Require(t)
	k, err := containers.Start(context.Background(), containers.Config{RunID: "python"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}()
	judge(t, harness.Shared(k))
}

func judge(t *testing.T, kafka harness.Provider) {
	careful := run(t, kafka, "careful.py") // the whole catalogue
	for _, r := range careful {
		if r.Verdict != check.Held {
			t.Errorf("careful.py: %s is %s: %s", r.Scenario, r.Verdict, r.Reason)
		}
	}
	naive := run(t, kafka, "naive.py", "crash-mid-batch", "transient-failures")
	for _, r := range naive {
		if r.Verdict != check.Violated {
			t.Errorf("naive.py: %s is %s, want violated: %s", r.Scenario, r.Verdict, r.Reason)
		}
		for _, name := range []string{"no-loss", "commit-safety"} {
			i := slices.IndexFunc(r.Checks, func(c check.Result) bool { return c.Check == name })
			if i < 0 || r.Checks[i].Verdict != check.Violated {
				t.Errorf("naive.py: %s does not violate %s", r.Scenario, name)
			} else if e := r.Checks[i].Evidence; len(e) == 0 || e[0].Where == "" || e[0].Message == "" {
				t.Errorf("naive.py: %s violates %s and no record is named: %+v", r.Scenario, name, e)
			}
		}
	}
}

func run(t *testing.T, kafka harness.Provider, script string, names ...string) []harness.Result {
	t.Helper()
	chosen, err := scenarios.Select(names)
	if err != nil {
		t.Fatal(err)
	}
	cfg := harness.DefaultConfig()
	cfg.RunID, cfg.Dir, cfg.Kafka = fmt.Sprintf("py%d", time.Now().UnixNano()), t.TempDir(), kafka
	cfg.Subject = subject.Process{Command: []string{"python3", script}}
	results, err := harness.RunScenarios(t.Context(), cfg, chosen)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatalf("%s: %s: the harness failed: %v", script, r.Scenario, r.Err)
		}
	}
	return results
}

// needsPython skips where the client library is not installed, but not in CI.
func needsPython(t *testing.T) {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import confluent_kafka").CombinedOutput()
	if err == nil {
		return
	}
	why := fmt.Sprintf("needs confluent-kafka (pip install -r examples/python/requirements.txt): %s", strings.TrimSpace(string(out)))
	if os.Getenv(containers.RequireVariable) == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}
