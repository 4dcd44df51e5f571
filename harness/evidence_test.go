package harness_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/subject"
)

// The subjects of these tests have not a line of code for ksim: they read, make an output of each record if they
// were told where to, and commit. The forgetful one makes none of every seventh.
var (
	wordless  = subject.Func{Label: "wordless", Run: func(ctx context.Context, env subject.Env) error { return copies(ctx, env, 0) }}
	forgetful = subject.Func{Label: "forgetful", Run: func(ctx context.Context, env subject.Env) error { return copies(ctx, env, 7) }}
)

func copies(ctx context.Context, env subject.Env, forget int64) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(env.BootstrapServers, ",")...), kgo.ConsumerGroup(env.GroupID), kgo.ConsumeTopics(env.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(env.SessionTimeout), kgo.RebalanceTimeout(env.MaxPollInterval), kgo.HeartbeatInterval(100*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for {
		fetches := client.PollRecords(ctx, env.BatchSize)
		if ctx.Err() != nil {
			return nil
		}
		records := fetches.Records()
		var out []*kgo.Record
		for _, r := range records {
			if env.OutputTopic != "" && (forget == 0 || r.Offset%forget != forget-1) {
				out = append(out, &kgo.Record{Topic: env.OutputTopic, Key: r.Key, Value: r.Value})
			}
		}
		if err := client.ProduceSync(ctx, out...).FirstErr(); err != nil && ctx.Err() == nil {
			return err
		}
		if len(records) > 0 && ctx.Err() == nil {
			if err := client.CommitRecords(context.WithoutCancel(ctx), records...); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
		}
		client.AllowRebalance()
	}
}

// What can be told from commits is judged, crashes at the commit included, and the rest says that it is unknown.
func TestZeroCodeByCommits(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, wordless)
	cfg.Evidence = history.EvidenceCommits
	r := harness.RunScenario(context.Background(), cfg, harness.Scenario{Name: "restart", Faults: []fault.Fault{fault.RollingRestart{}}})
	if r.Err != nil || r.Verdict != check.Unknown || !strings.Contains(r.Reason, "--checks no-loss,") {
		t.Fatalf("verdict %s (%v), want unknown, and how to ask: %s", r.Verdict, r.Err, r.Reason)
	}
	for _, name := range check.Judgeable(history.EvidenceCommits) {
		if c := verdictOf(t, r, name); c.Verdict != check.Held {
			t.Errorf("%s is %s: %s %+v", name, c.Verdict, c.Reason, c.Evidence)
		}
	}
	cfg.Checks = check.Judgeable(history.EvidenceCommits)
	r = harness.RunScenario(context.Background(), cfg, harness.Scenario{Name: "crash", Faults: []fault.Fault{fault.CrashAtCommit{Target: "m1"}}})
	if r.Err != nil || r.Verdict != check.Held {
		t.Fatalf("verdict %s, err %v, want held: %s", r.Verdict, r.Err, r.Reason)
	}
}

// A fault that works at the sink says at once that it cannot happen.
func TestZeroCodeFaultAtTheSinkIsMissedAtOnce(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, wordless)
	cfg.Evidence, cfg.Checks = history.EvidenceCommits, check.Judgeable(history.EvidenceCommits)
	for _, f := range []fault.Fault{fault.CrashMidBatch{Target: "m1"}, fault.SlowHandler{Target: "m1"}, fault.Refusals{Label: "poison", Kinds: []string{"permanent"}}} {
		r := harness.RunScenario(context.Background(), cfg, harness.Scenario{Name: f.Name(), Faults: []fault.Fault{f}})
		if c := verdictOf(t, r, "faults-happened"); r.Err != nil || c.Verdict != check.Unknown || !strings.Contains(c.Reason, "works at the sink") {
			t.Errorf("%s: %s, %v: %s", f.Name(), c.Verdict, r.Err, c.Reason)
		}
		if r.Seconds > 30 {
			t.Errorf("%s took %.0f s to say so", f.Name(), r.Seconds)
		}
	}
}

func TestZeroCodeByOutputs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subject subject.Func
		want    check.Verdict
	}{{wordless, check.Held}, {forgetful, check.Violated}} {
		cfg := testConfig(t, c.subject)
		cfg.Evidence, cfg.Checks = history.EvidenceOutputs, check.Judgeable(history.EvidenceOutputs)
		r := harness.RunScenario(context.Background(), cfg, steady)
		if r.Err != nil || r.Verdict != c.want {
			t.Errorf("%s is %s, want %s: %s, %v", c.subject.Label, r.Verdict, c.want, r.Reason, r.Err)
		}
		if l := verdictOf(t, r, "no-loss"); l.Verdict != c.want {
			t.Errorf("no-loss of %s is %s: %s", c.subject.Label, l.Verdict, l.Reason)
		}
	}
}
