package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/hlog"
	"github.com/ksim-dev/ksim/reports"
)

// generator is the directory of a load run as one of several generators leaves it: measured for two seconds from late after noon,
// with all messages of a second done in so many milliseconds.
func generator(t *testing.T, late time.Duration, change func(*harness.Run), millis ...int64) (dir string) {
	t.Helper()
	dir = t.TempDir()
	started := time.Date(2026, 10, 18, 12, 0, 0, 0, time.UTC).Add(late)
	r := load.Result{
		Name: "load-batch-10", Started: started, BatchSize: 10, Rate: 100, Seconds: float64(len(millis)), Messages: 100 * len(millis),
		Size: 512, Through: 100, PeakLag: 9, Valid: true,
	}
	total := load.NewHistogram()
	var log []hlog.Interval
	for i, ms := range millis {
		h := load.NewHistogram()
		if err := h.RecordValues(ms*1000, 100); err != nil {
			t.Fatal(err)
		}
		total.Merge(h)
		log = append(log, hlog.Interval{Start: started.Add(time.Duration(i) * time.Second), Length: time.Second, Histogram: h})
		r.Intervals = append(r.Intervals, load.Interval{From: float64(i), Seconds: 1, Offered: 100, Through: 100, Lag: int64(9 - i)})
	}
	r.Latency = load.Summary(total)
	r.Stages = []load.StageLatency{{Stage: "total", Count: total.TotalCount(), Latency: r.Latency}}
	run := harness.Run{
		ID: filepath.Base(dir) + late.String(), Dir: dir, Version: "test", Command: []string{"ksim", "load"}, Subject: "reference", Kafka: "embedded",
		Started: started.Add(-time.Second), Seconds: 4, Members: 2, Partitions: 4, BatchSize: 10, Machine: thisMachine(), Load: []load.Result{r},
	}
	if change != nil {
		change(&run)
	}
	if _, err := reports.WriteAll(run); err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(dir, "load", r.Name)
	if err := os.MkdirAll(files, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, stage := range []load.Stage{load.Total, load.Commit} {
		if err := hlog.WriteFile(filepath.Join(files, stage.String()+".hlog"), hlog.Header{StartTime: started}, log); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMergeRuns(t *testing.T) {
	a, b := generator(t, 0, nil, 2, 4), generator(t, 100*time.Millisecond, func(r *harness.Run) { r.Subject = "./billing" }, 8, 16)
	out := filepath.Join(t.TempDir(), "both")
	status, stdout, stderr := ksim("merge", b, a, "--out", out)
	if status != exitHeld {
		t.Fatalf("exit status %d\n%s%s", status, stdout, stderr)
	}
	for _, want := range []string{"./billing + reference", "10        200        200", filepath.Join(out, "report.html")} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the summary does not say %q:\n%s", want, stdout)
		}
	}
	run, err := reports.ReadJSON(out)
	if err != nil {
		t.Fatal(err)
	}
	r := run.Load[0]
	if r.Messages != 400 || r.Seconds != 2.1 || r.PeakLag != 18 || r.Latency.P50 != 4.001 || r.Latency.Max != 16.007 || len(r.Intervals) != 2 {
		t.Errorf("merged: %+v", r)
	}
	if run.Seconds != 4.1 || run.Members != 2 || run.Command[1] != "merge" {
		t.Errorf("merged: %+v", run)
	}
	log, _, err := hlog.ReadFile(filepath.Join(out, "load/load-batch-10/total.hlog"))
	if err != nil || len(log) != 2 || log[0].Histogram.TotalCount() != 200 {
		t.Errorf("%v: %+v", err, log)
	}
	text, err := os.ReadFile(filepath.Join(out, "load/load-batch-10/commit.hgrm"))
	if err != nil || !strings.Contains(string(text), "Total count    =          400]") {
		t.Errorf("%v:\n%s", err, text)
	}
	// What was merged can be merged again.
	c := generator(t, 50*time.Millisecond, nil, 3, 3)
	if status, stdout, stderr := ksim("merge", out, c, "--out", filepath.Join(out, "three")); status != exitHeld || !strings.Contains(stdout, "10        300        300") {
		t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
	}
}

func TestMergeOfInvalidRunsIsUnknown(t *testing.T) {
	bad := generator(t, 0, func(r *harness.Run) { r.Load[0].Valid, r.Load[0].Reason = false, "the machine was busy" }, 2, 4)
	status, stdout, _ := ksim("merge", bad, generator(t, 0, nil, 2, 4), "--out", filepath.Join(t.TempDir(), "m"))
	if status != exitUnknown || !strings.Contains(stdout, "invalid: "+bad[:20]) {
		t.Errorf("exit status %d, want %d, and the reason with the directory\n%s", status, exitUnknown, stdout)
	}
}

func TestMergeRefusesRuns(t *testing.T) {
	a := generator(t, 0, nil, 2, 4)
	with := func(change func(*harness.Run)) string { return generator(t, 0, change, 2, 4) }
	old := with(nil)
	broken := with(nil)
	outside := with(func(r *harness.Run) { r.Load[0].Name = "../load-batch-10" })
	if err := os.RemoveAll(filepath.Join(old, "load")); err != nil {
		t.Fatal(err)
	}
	truncate(t, filepath.Join(broken, "load/load-batch-10/total.hlog"))
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"nothing":        {nil, []string{"merge takes the directories"}},
		"no run":         {[]string{t.TempDir()}, []string{"report.json"}},
		"twice":          {[]string{a, a}, []string{"the same run", "count twice"}},
		"older":          {[]string{a, old}, []string{old, "total.hlog", "measure again"}},
		"without a name": {[]string{a, with(func(r *harness.Run) { r.Load[0].Name = "" })}, []string{"measure again"}},
		"without start":  {[]string{a, with(func(r *harness.Run) { r.Load[0].Started = time.Time{} })}, []string{"measure again"}},
		"no load":        {[]string{a, with(func(r *harness.Run) { r.Load = nil })}, []string{"has no load measurement"}},
		"others":         {[]string{a, with(func(r *harness.Run) { r.Load[0].Name = "load-batch-100" })}, []string{"measured load-batch-10, and", "load-batch-100: measure the same"}},
		"members":        {[]string{a, with(func(r *harness.Run) { r.Members, r.Partitions = 3, 8 })}, []string{"members 2 and 3", "partitions 4 and 8"}},
		"settings":       {[]string{a, with(func(r *harness.Run) { r.Load[0].Size = 9 })}, []string{"load-batch-10: ", "size 512 and 9"}},
		"broken":         {[]string{a, broken}, []string{filepath.Join(broken, "load/load-batch-10/total.hlog"), "line "}},
		"leads out":      {[]string{outside}, []string{"leads out"}},
		"another time":   {[]string{a, generator(t, time.Hour, nil, 2, 4)}, []string{"not measured at the same time"}},
	} {
		status, _, stderr := ksim(append([]string{"merge", "--out", filepath.Join(t.TempDir(), "m")}, c.args...)...)
		if status != exitFailed {
			t.Errorf("%s: exit status %d, want %d", name, status, exitFailed)
		}
		for _, w := range c.want {
			if !strings.Contains(stderr, w) {
				t.Errorf("%s: the error does not say %q:\n%s", name, w, stderr)
			}
		}
	}
	if status, _, stderr := ksim("merge", a, "--out", a); status != exitFailed || !strings.Contains(stderr, "not empty") {
		t.Errorf("into a run: exit status %d: %s", status, stderr)
	}
}
