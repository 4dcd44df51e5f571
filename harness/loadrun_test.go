package harness_test

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/hlog"
	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/harness/workload"
	"github.com/ksim-dev/ksim/harness/workload/rate"
)

// offer runs a short load and returns what came of it, and where.
func offer(t *testing.T, s subject.Subject, lc harness.LoadConfig, adjust func(*harness.Config)) (load.Result, string) {
	t.Helper()
	cfg := testConfig(t, s)
	adjust(&cfg)
	lc.BatchSize, lc.Duration, lc.Warmup = 10, cmp.Or(lc.Duration, time.Second), 300*time.Millisecond
	r, err := harness.RunLoad(context.Background(), cfg, lc)
	if err != nil {
		t.Fatal(err)
	}
	return r, filepath.Join(cfg.Dir, "load", r.Name)
}

// A load run counts every message that was due, knows each stage of its way, crashes the member so often as asked, and
// leaves histograms that add up to what it says.
func TestLoad(t *testing.T) {
	t.Parallel()
	profile, err := rate.Parse("steps:300/s@800ms,600/s@10s")
	if err != nil {
		t.Fatal(err)
	}
	sizes, err := workload.ParseSizes("uniform:150-400")
	if err != nil {
		t.Fatal(err)
	}
	r, dir := offer(t, sound, harness.LoadConfig{Name: "steps", Profile: profile, Sizes: sizes, Crashes: 2, Ceiling: true}, func(*harness.Config) {})
	// What is measured begins 300 ms into the run, which has its first rate then: 800 ms of 300/s, 200 ms of 600/s.
	const due = 240 + 120
	if r.Messages != due || r.Rate != due || r.Profile != profile.String() || r.Size != 275 || r.Started.IsZero() {
		t.Errorf("%d messages at %g (%s) of %d bytes, begun %s", r.Messages, r.Rate, r.Profile, r.Size, r.Started)
	}
	for i, s := range load.Stages() {
		if len(r.Stages) <= i || r.Stages[i].Stage != s.String() || r.Stages[i].Count != due {
			t.Fatalf("stage %s is not known of all: %+v", s, r.Stages)
		}
	}
	if n := len(r.Reprocessed.Each); r.Reprocessed.Crashes != 2 || n != 2 || len(r.Faults) != 2 {
		t.Errorf("crashes: %+v, %+v", r.Reprocessed, r.Faults)
	}
	if r.Ceiling == nil || r.Ceiling.Through <= 0 || r.ClosedLoop == nil || r.Machine == nil || len(r.Lag) != 4 {
		t.Errorf("ceiling %+v, closed loop %v, machine %v, %d lines of lag", r.Ceiling, r.ClosedLoop, r.Machine, len(r.Lag))
	}
	offered, rebalances := 0.0, 0
	for _, in := range r.Intervals {
		if in.From < r.Seconds {
			offered += in.Offered * in.Seconds
		}
		rebalances += in.Rebalances
	}
	if int(offered+0.5) != due || rebalances == 0 {
		t.Errorf("%g were due by the intervals; %d rebalances after two crashes", offered, rebalances)
	}
	log, _, err := hlog.ReadFile(filepath.Join(dir, "total.hlog"))
	if err != nil {
		t.Fatal(err)
	}
	whole := load.NewHistogram()
	for _, in := range log {
		whole.Merge(in.Histogram)
	}
	if whole.TotalCount() != due || load.Summary(whole).P99 != r.Latency.P99 {
		t.Errorf("the log has %d messages and p99 %g, the result %g", whole.TotalCount(), load.Summary(whole).P99, r.Latency.P99)
	}
	if _, err := os.Stat(filepath.Join(dir, "commit.hgrm")); err != nil {
		t.Error(err)
	}
	h, err := history.ReadFile(filepath.Join(dir, "history.jsonl"))
	if err != nil || !h.Header.Load {
		t.Errorf("the history is not that of a load run: %v, %v", h.Header.Load, err)
	}
}

// A subject that does not post its effects is measured by its commits.
func TestLoadByCommits(t *testing.T) {
	t.Parallel()
	r, _ := offer(t, wordless, harness.LoadConfig{Rate: 200, Crashes: 1}, func(c *harness.Config) { c.Evidence = history.EvidenceCommits })
	if r.Messages != 200 || r.Latency.P50 <= 0 || r.Reprocessed.Crashes != 0 {
		t.Errorf("%d messages, p50 %g, crashes %+v", r.Messages, r.Latency.P50, r.Reprocessed)
	}
	for _, s := range r.Stages {
		if s.Stage == load.Handling.String() || s.Stage == load.Wait.String() {
			t.Errorf("stage %s is known, of effects that nobody saw", s.Stage)
		}
	}
}

// A consumer that ends makes the measurement invalid: the brittle one does after 2 s, in the middle of it.
func TestLoadIsInvalid(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]subject.Subject{"ends": brittle, "never starts well": subject.Process{Command: []string{"sh", "-c", "exit 7"}}} {
		r, _ := offer(t, s, harness.LoadConfig{Rate: 100, Duration: 5 * time.Second}, func(c *harness.Config) { c.MaxRestarts = 0 })
		if r.Valid || r.Reason == "" {
			t.Errorf("%s: valid, %q", name, r.Reason)
		}
	}
}
