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
		switch f.(type) {
		case fault.RollingRestart, fault.CoordinatorMoved, fault.BrokerRefuses, fault.OffsetOutOfRange, fault.Compacted:
			continue // they need nobody in particular, and so always happen
		}
		if strings.HasPrefix(f.Name(), "wire-") && f.Name() != "wire-error" {
			continue // one stands for all: they differ in what the tap does
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
	case fault.LeaderMoved:
		f.Target = idle
		return f
	case fault.LeaderDown:
		f.Target = idle
		return f
	case fault.RetentionPasses:
		f.Target = idle
		return f
	case fault.Leave:
		f.Target = idle
		return f
	case fault.SlowHandler:
		f.Target = idle
		return f
	case fault.Wire:
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

// What the embedded broker cannot do is missed, and said so.
func TestFaultThatTheBackendCannotDoIsUnknown(t *testing.T) {
	for _, f := range []fault.Fault{
		fault.CoordinatorDown{Of: fault.Group, How: fault.Kill}, fault.LeaderDown{Target: "m1", How: fault.Stop}, fault.BrokerRestart{How: fault.Pause},
		fault.BrokersRolling{}, fault.QuorumLost{}, fault.NotEnoughReplicas{Of: fault.DeadLetters},
	} {
		t.Run(f.Name(), func(t *testing.T) {
			t.Parallel()
			r := harness.RunScenario(context.Background(), testConfig(t, sound), harness.Scenario{Name: f.Name(), Faults: []fault.Fault{f}})
			if c := verdictOf(t, r, "faults-happened"); r.Err != nil || c.Verdict != check.Unknown || !strings.Contains(c.Reason, "the embedded backend cannot") {
				t.Fatalf("faults-happened is %s, err %v: %s", c.Verdict, r.Err, c.Reason)
			}
		})
	}
}

// What it can do happens: leaders and coordinators move, requests are refused.
func TestBrokerFaultsOnTheEmbeddedBroker(t *testing.T) {
	for _, f := range []fault.Fault{
		fault.LeaderMoved{Target: "m1"}, fault.CoordinatorMoved{},
		fault.BrokerRefuses{Request: "OffsetCommit", Error: "COORDINATOR_LOAD_IN_PROGRESS", Times: 3},
		fault.BrokerRefuses{Request: "Heartbeat", Error: "COORDINATOR_NOT_AVAILABLE", Times: 1},
	} {
		t.Run(f.Name(), func(t *testing.T) {
			t.Parallel()
			r := harness.RunScenario(context.Background(), testConfig(t, sound), harness.Scenario{Name: f.Name(), Faults: []fault.Fault{f}})
			if r.Err != nil || r.Verdict != check.Held {
				t.Fatalf("verdict %s, err %v, want held: %s", r.Verdict, r.Err, r.Reason)
			}
		})
	}
}
