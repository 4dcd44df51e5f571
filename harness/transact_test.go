package harness_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/observe"
	"github.com/ksim-dev/ksim/harness/subject"
)

// Consumers with transactions: a sound one, on plain franz-go, and two that make
// classic mistakes.
var (
	transacting = subject.Func{Label: "transacting", Run: transactor{}.run}
	// outside: the outputs are produced by another producer, outside of the transaction.
	outside = subject.Func{Label: "outside", Run: transactor{outside: true}.run}
	// hasty: what was polled is committed before it was done.
	hasty = subject.Func{Label: "hasty", Run: transactor{hasty: true}.run}
)

type transactor struct{ outside, hasty bool }

// run polls, posts effects, produces outputs and commits, all in one transaction for each poll.
func (x transactor) run(ctx context.Context, env subject.Env) error {
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(env.BootstrapServers, ",")...), kgo.ClientID(env.Member), kgo.DefaultProduceTopic(env.OutputTopic)}
	s, err := kgo.NewGroupTransactSession(append(opts,
		kgo.TransactionalID(env.TransactionalID), kgo.TransactionTimeout(10*time.Second),
		kgo.ConsumeTopics(env.Topic), kgo.ConsumerGroup(env.GroupID), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.SessionTimeout(env.SessionTimeout), kgo.RebalanceTimeout(env.MaxPollInterval),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.BlockRebalanceOnPoll(), // until the transaction has ended
	)...)
	if err != nil {
		return err
	}
	defer s.CloseAllowingRebalance()
	produce := s.Client()
	if x.outside {
		if produce, err = kgo.NewClient(opts...); err != nil {
			return err
		}
		defer produce.Close()
	}
	for {
		fetches := s.PollRecords(ctx, env.BatchSize)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err0(); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if fetches.Empty() {
			s.AllowRebalance()
			continue
		}
		if err := s.Begin(); err != nil {
			return err
		}
		work := func() error { return x.work(env, produce, fetches.Records()) }
		if !x.hasty {
			if err := work(); err != nil {
				return err
			}
		}
		if _, err := s.End(context.WithoutCancel(ctx), kgo.TryCommit); err != nil {
			return err
		}
		if x.hasty {
			if err := work(); err != nil {
				return err
			}
		}
		s.AllowRebalance()
	}
}

func (x transactor) work(env subject.Env, produce *kgo.Client, records []*kgo.Record) error {
	for _, r := range records {
		source := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
		req, err := http.NewRequest(http.MethodPost, env.SinkURL, strings.NewReader(string(r.Value)))
		if err != nil {
			return err
		}
		req.Header.Set("Ksim-Record", source)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", source, resp.Status)
		}
		if x.hasty {
			continue
		}
		out := &kgo.Record{Key: r.Key, Value: []byte("done"), Headers: []kgo.RecordHeader{{Key: observe.HeaderRecord, Value: []byte(source)}}}
		if err := produce.ProduceSync(context.Background(), out).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

func transactConfig(t *testing.T, s subject.Subject) harness.Config {
	cfg := testConfig(t, s)
	cfg.Promises.Delivery = history.ExactlyOnce
	cfg.AutoCommit = 100 * time.Millisecond // these commit by no clock
	cfg.SessionTimeout = 3 * time.Second
	return cfg
}

func TestTransactions(t *testing.T) {
	for _, sc := range []harness.Scenario{
		steady,
		{Name: "crash-mid-batch", Faults: []fault.Fault{fault.CrashMidBatch{Target: "m1"}}},
		{Name: "crash-before-commit", Faults: []fault.Fault{fault.CrashAtCommit{Target: "m1"}}},
		{Name: "crash-after-commit", Faults: []fault.Fault{fault.CrashAtCommit{Target: "m1", After: true}}},
		{Name: "churn", Faults: []fault.Fault{fault.Join{}, fault.Leave{Target: "m1"}}},
	} {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			cfg := transactConfig(t, transacting)
			r := harness.RunScenario(context.Background(), cfg, sc)
			if r.Err != nil || r.Verdict != check.Held {
				t.Errorf("verdict %s, want held: %s, %v\n%s", r.Verdict, r.Reason, r.Err, evidence(r))
				keep(t, cfg, r)
			}
			c := verdictOf(t, r, "exactly-once")
			if !c.Promised || c.Figures["outputs"] < 120 {
				t.Errorf("exactly-once: %+v", c)
			}
		})
	}
}

func TestOutputsOutsideOfTheTransactionAreViolated(t *testing.T) {
	t.Parallel()
	sc := harness.Scenario{Name: "crash-mid-batch", Faults: []fault.Fault{fault.CrashMidBatch{Target: "m1"}}}
	r := harness.RunScenario(context.Background(), transactConfig(t, outside), sc)
	if c := verdictOf(t, r, "exactly-once"); r.Err != nil || c.Verdict != check.Violated || !strings.Contains(fmt.Sprint(c.Evidence), "2 outputs of it can be seen") {
		t.Errorf("exactly-once is %s, err %v: %+v", c.Verdict, r.Err, c)
	}
	if c := verdictOf(t, r, "no-loss"); c.Verdict != check.Held {
		t.Errorf("no-loss is %s: %s", c.Verdict, c.Reason)
	}
}

func TestTransactionsThatCommitFirstAreViolated(t *testing.T) {
	t.Parallel()
	r := harness.RunScenario(context.Background(), transactConfig(t, hasty), steady)
	for _, name := range []string{"commit-safety", "exactly-once"} { // it makes no outputs either
		if c := verdictOf(t, r, name); r.Err != nil || c.Verdict != check.Violated {
			t.Errorf("%s is %s, err %v: %s", name, c.Verdict, r.Err, c.Reason)
		}
	}
}

// Outputs in a store of the caller's, seen by a function of the caller's.
func TestOutputsElsewhere(t *testing.T) {
	t.Parallel()
	cfg := transactConfig(t, sound)
	asked := ""
	cfg.Outputs = func(_ context.Context, topic string) ([]observe.Output, error) {
		asked = topic
		return []observe.Output{{Record: topic + "/0/0"}, {Record: topic + "/0/0"}}, nil
	}
	r := harness.RunScenario(context.Background(), cfg, steady)
	c := verdictOf(t, r, "exactly-once")
	if r.Err != nil || !strings.Contains(asked, "steady") || c.Verdict != check.Violated || c.Figures["outputs"] != 2 {
		t.Errorf("exactly-once is %s, err %v, asked for %q: %+v", c.Verdict, r.Err, asked, c)
	}
	cfg = transactConfig(t, sound)
	cfg.Outputs = func(context.Context, string) ([]observe.Output, error) { return nil, errors.New("no such table") }
	if r := harness.RunScenario(context.Background(), cfg, steady); r.Err == nil || !strings.Contains(r.Err.Error(), "no such table") {
		t.Errorf("err is %v, want that of the query", r.Err)
	}
}

func evidence(r harness.Result) (text string) {
	for _, c := range r.Checks {
		if c.Verdict != check.Held {
			text += fmt.Sprintf("%s %s: %s %+v\n", c.Check, c.Verdict, c.Reason, c.Evidence)
		}
	}
	return text
}

// keep copies the history of a run to where KSIM_KEEP says, for a look.
func keep(t *testing.T, cfg harness.Config, r harness.Result) {
	dir := os.Getenv("KSIM_KEEP")
	if dir == "" {
		return
	}
	if err := os.CopyFS(filepath.Join(dir, r.Scenario), os.DirFS(filepath.Join(cfg.Dir, r.Dir))); err != nil {
		t.Log(err)
	}
}
