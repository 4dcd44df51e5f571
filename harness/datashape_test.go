package harness_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/harness/workload"
)

// latest is sound, but goes to the end of a log in which its offset is not any more.
var latest = subject.Func{Label: "latest", Run: func(ctx context.Context, env subject.Env) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(env.BootstrapServers, ",")...), kgo.ConsumeTopics(env.Topic), kgo.ConsumerGroup(env.GroupID),
		kgo.SessionTimeout(env.SessionTimeout), kgo.RebalanceTimeout(env.MaxPollInterval), kgo.BlockRebalanceOnPoll(), kgo.DisableAutoCommit(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, env.BatchSize)
		for _, r := range fetches.Records() {
			req, err := http.NewRequest(http.MethodPost, env.SinkURL, strings.NewReader(string(r.Value)))
			if err != nil {
				return err
			}
			req.Header.Set(workload.HeaderRecord, fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			_ = resp.Body.Close()
		}
		if err := client.CommitRecords(context.WithoutCancel(ctx), fetches.Records()...); err != nil {
			return err
		}
		client.AllowRebalance()
	}
	return nil
}}

// logs are scenarios in which something happens to the log.
var logs = map[string]harness.Scenario{
	"offset-out-of-range":       {Faults: []fault.Fault{fault.OffsetOutOfRange{}}},
	"retention-passes-consumer": {TopicConfig: map[string]string{"segment.ms": "100"}, Faults: []fault.Fault{fault.RetentionPasses{Target: "m1"}}},
	"compacted":                 {Faults: []fault.Fault{fault.Compacted{}}},
}

// That each of these faults happened is proved by what the brokers say; the check faults-happened repeats it.
func TestLogsThatLoseRecords(t *testing.T) {
	for name, sc := range logs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc.Name = name
			r := harness.RunScenario(context.Background(), testConfig(t, sound), sc)
			if r.Err != nil || r.Verdict != check.Held {
				t.Fatalf("verdict %s, err %v, want held: %s", r.Verdict, r.Err, r.Reason)
			}
			if c := verdictOf(t, r, "no-loss"); c.Figures["removed_unread"] == 0 {
				t.Errorf("no record was removed before it was read: %+v", c.Figures)
			}
		})
	}
}

func TestResetToTheLatestIsViolated(t *testing.T) {
	t.Parallel()
	sc := logs["offset-out-of-range"]
	sc.Name = "reset-to-latest"
	r := harness.RunScenario(context.Background(), testConfig(t, latest), sc)
	if c := verdictOf(t, r, "no-loss"); r.Err != nil || c.Verdict != check.Violated {
		t.Fatalf("no-loss is %s, err %v, want violated: %s", c.Verdict, r.Err, c.Reason)
	}
}

// The sound consumer reads uncommitted, as most clients do by default.
func TestReadingUncommitted(t *testing.T) {
	for isolation, want := range map[string]check.Verdict{"": check.Held, history.ReadUncommitted: check.Held, history.ReadCommitted: check.Violated} {
		t.Run("promise "+isolation, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t, sound)
			cfg.Promises.Isolation = isolation
			r := harness.RunScenario(context.Background(), cfg, harness.Scenario{Name: "aborted", Mix: workload.Mix{Aborted: 24}})
			c := verdictOf(t, r, "no-invention")
			if r.Err != nil || c.Verdict != want || c.Figures["aborted"] != 24 || c.Figures["aborted_read"] == 0 {
				t.Fatalf("no-invention is %s, err %v, want %s: %s %v", c.Verdict, r.Err, want, c.Reason, c.Figures)
			}
			if l := verdictOf(t, r, "no-loss"); l.Verdict != check.Held {
				t.Errorf("no-loss is %s: %s", l.Verdict, l.Reason)
			}
		})
	}
}

// A client that keeps metadata for minutes has not found the new partitions when the run ends: nobody can
// say that it would not.
func TestPartitionsThatNobodyHasFoundYet(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, sound)
	cfg.FaultBound, cfg.StallBound = 12*time.Second, 2*time.Second
	r := harness.RunScenario(context.Background(), cfg, harness.Scenario{Name: "wider", Faults: []fault.Fault{fault.PartitionsAdded{N: 1}}})
	if c := verdictOf(t, r, "commit-progress"); r.Err != nil || r.Verdict != check.Unknown || !strings.Contains(c.Reason, "KSIM_METADATA_MAX_AGE_MS") {
		t.Fatalf("verdict %s, err %v, commit-progress %s: %s", r.Verdict, r.Err, c.Verdict, c.Reason)
	}
}

// lender counts who uses its Kafka at a time.
type lender struct {
	harness.Provider
	users chan struct{}
	alone func(others int)
}

func (l lender) Acquire(ctx context.Context) (backend.Kafka, func(), error) {
	k, release, err := l.Provider.Acquire(ctx)
	l.users <- struct{}{}
	l.alone(len(l.users) - 1)
	return k, func() { <-l.users; release() }, err
}

func TestExclusiveScenariosRunAlone(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, sound)
	cfg.Messages, cfg.Parallel = 50, 3
	exclusive := map[string]bool{"b": true, "d": true}
	var order []string
	var scenarios []harness.Scenario
	for _, name := range []string{"a", "b", "c", "d"} {
		scenarios = append(scenarios, harness.Scenario{Name: name, Exclusive: exclusive[name]})
	}
	var last atomic.Int64
	cfg.Kafka = lender{cfg.Kafka, make(chan struct{}, 9), func(others int) { last.Store(int64(others)) }}
	cfg.Progress = func(r harness.Result) {
		order = append(order, r.Scenario)
		if n := last.Load(); exclusive[r.Scenario] && n != 0 {
			t.Errorf("%s had %d beside it", r.Scenario, n)
		}
	}
	results, err := harness.RunScenarios(context.Background(), cfg, scenarios)
	if err != nil || len(results) != 4 || results[1].Scenario != "b" || results[2].Scenario != "c" {
		t.Fatalf("results %+v, err %v", results, err)
	}
	if len(order) != 4 || !exclusive[order[2]] || !exclusive[order[3]] {
		t.Errorf("they ended in the order %v: the exclusive ones come last", order)
	}
}

func TestUnkeepablePromisesAreNotJudged(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, sound)
	cfg.Messages, cfg.Promises.Recovery = 50, time.Nanosecond
	sc := harness.Scenario{Name: "slow", Faults: []fault.Fault{fault.RollingRestart{}}}
	r := harness.RunScenario(context.Background(), cfg, sc)
	if c := verdictOf(t, r, "recovery"); c.Verdict != check.Violated {
		t.Fatalf("recovery in a nanosecond is %s: %s", c.Verdict, c.Reason)
	}
	cfg.Dir = t.TempDir()
	sc.Unkeepable = []harness.Unkeepable{{Promise: "recovery", Why: "nothing is that fast"}, {Promise: "drain", Why: "it was not promised"}}
	r = harness.RunScenario(context.Background(), cfg, sc)
	if c := verdictOf(t, r, "recovery"); c.Verdict != check.Held || c.Promised {
		t.Errorf("recovery is %s, promised %v: %s", c.Verdict, c.Promised, c.Reason)
	}
	h, err := history.ReadFile(cfg.Dir + "/" + r.Dir + "/history.jsonl")
	if err = errors.Join(err, r.Err); err != nil || h.Header.Waived["recovery"] != "nothing is that fast" || len(h.Header.Waived) != 1 {
		t.Errorf("waived %v, %v", h.Header.Waived, err)
	}
}
