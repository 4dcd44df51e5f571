package harness_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
)

// That every fault does happen is shown by the catalogue in scenarios/spec: the check
// faults-happened must be held there. Here: one that does not happen is never held.
func TestFaultThatDoesNotHappenIsUnknown(t *testing.T) {
	for _, f := range fault.All() {
		if f.Name() == "rolling-restart" {
			continue // it needs nobody in particular, and so always happens
		}
		t.Run(f.Name(), func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t, sound)
			cfg.FaultBound, cfg.Partitions = 4*time.Second, 2
			r := harness.RunScenario(context.Background(), cfg, harness.Scenario{Name: f.Name(), Faults: []fault.Fault{away(f)}})
			if r.Err != nil || r.Verdict != check.Unknown {
				t.Fatalf("verdict %s, err %v, want unknown: %s", r.Verdict, r.Err, r.Reason)
			}
			if c := verdictOf(t, r, "faults-happened"); c.Verdict != check.Unknown || !strings.Contains(c.Reason, f.Name()) {
				t.Errorf("faults-happened is %s: %s", c.Verdict, c.Reason)
			}
		})
	}
}

// away aims a fault at a member that has nothing to do: with two partitions,
// the third. What the downstream system is to refuse is not in the workload at all.
func away(f fault.Fault) fault.Fault {
	const idle = "m9"
	switch f := f.(type) {
	case fault.CrashMidBatch:
		f.Target = idle
		return f
	case fault.CrashAtCommit:
		f.Target = idle
		return f
	case fault.CrashUnderLoad:
		f.Target = idle
		return f
	case fault.Zombie:
		f.Target = idle
		return f
	case fault.Leave:
		f.Target = idle
		return f
	case fault.SlowHandler:
		f.Target = idle
		return f
	case fault.HungEffect:
		f.Target = idle
		return f
	case fault.RebalanceMidBatch:
		f.Target = idle
		return f
	case fault.StopMidBatch:
		f.Target = idle
		return f
	case fault.RebalanceDuringRetry:
		f.Target = idle
		return f
	case fault.Join:
		f.Target = "m3" // two partitions for three members: one is given none
		return f
	}
	return f
}

func TestScenarioThatTheBackendCannotRunIsUnknown(t *testing.T) {
	t.Parallel()
	sc := harness.Scenario{Name: "broker-paused", Needs: []harness.Need{{
		What: "pause a broker", OK: func(c backend.Capabilities) bool { return c.PauseBroker },
	}}}
	r := harness.RunScenario(context.Background(), testConfig(t, sound), sc)
	if r.Err != nil || r.Verdict != check.Unknown || !strings.Contains(r.Reason, "embedded backend cannot pause a broker") {
		t.Fatalf("verdict %s, reason %q, err %v", r.Verdict, r.Reason, r.Err)
	}
}
