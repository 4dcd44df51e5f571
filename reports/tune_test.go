package reports_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/tune"
	"github.com/ksim-dev/ksim/reports"
)

// sampleTune is a sweep over two settings, the smaller of which is quicker and repeats less; one of its trials does not count.
func sampleTune() *tune.Report {
	trials := func(p99 float64, repeated int) (out []load.Result) {
		for i := range 7 {
			out = append(out, load.Result{
				Rate: 1000, Through: 1000 + float64(i%3), Seconds: 10, Valid: true, Latency: load.Latency{P50: p99 / 3, P99: p99 + float64(i), P999: p99 * 1.2},
				Reprocessed: load.Reprocessed{Measured: repeated + i, Predicted: float64(repeated), Crashes: 1, Each: []int{repeated + i}},
				Machine:     &load.Machine{SubjectCPU: 1.2, Known: true},
			})
		}
		return out
	}
	small := append(trials(60, 5), load.Result{Rate: 1000, Reason: "the generator fell 80ms behind its schedule"})
	points := []tune.Point{
		tune.NewPoint(tune.Setting{BatchSize: 10, BatchWait: 50 * time.Millisecond}, small),
		tune.NewPoint(tune.Setting{BatchSize: 100, BatchWait: 50 * time.Millisecond}, trials(240, 50)),
	}
	return tune.NewReport(points, tune.SLO{LatencyP99: 250 * time.Millisecond}, "1000/s", nil)
}

// Every format tells which setting to run with, and the figures of all.
func TestTuneIsTold(t *testing.T) {
	run := harness.Run{ID: "r", Subject: "reference", Tune: sampleTune()}
	sentence := run.Tune.Recommendation.Sentence
	if run.Tune.Recommendation.Setting == nil || !strings.Contains(sentence, "batch size 10") {
		t.Fatalf("the sample recommends %q", sentence)
	}
	var text, md, page bytes.Buffer
	for name, err := range map[string]error{"text": reports.Text(&text, run, false), "markdown": reports.Markdown(&md, run), "HTML": reports.HTML(&page, run)} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, got := range map[string]string{"text": text.String(), "markdown": md.String(), "HTML": page.String()} {
		for _, want := range []string{"batch 10, wait 50ms", "batch 100, wait 50ms", "7 of 8", "63 (60", "80ms behind its schedule", sentence[:40]} {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not have %q:\n%s", name, want, got[:min(len(got), 3000)])
			}
		}
	}
	if n := strings.Count(text.String(), sentence); n != 1 {
		t.Errorf("the text says %d times what to run with", n)
	}
}

// Where two settings were compared there is a table in benchstat's form, and nothing is recommended.
func TestComparisonIsTold(t *testing.T) {
	run := harness.Run{ID: "r", Subject: "reference", Tune: sampleTune()}
	run.Tune.Comparison = tune.Compare(run.Tune.Points[0].Trials, run.Tune.Points[1].Trials)
	var text bytes.Buffer
	if err := reports.Text(&text, run, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"BenchmarkKsim", "n=7+7", "Two settings were compared"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	var md bytes.Buffer
	if err := reports.Markdown(&md, run); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"text": text.String(), "markdown": md.String()} {
		if strings.Contains(got, run.Tune.Recommendation.Sentence) {
			t.Errorf("%s recommends one all the same", name)
		}
		if !strings.Contains(got, "80ms behind its schedule") {
			t.Errorf("%s does not say why a trial does not count", name)
		}
	}
}

// A sweep is in report.json as the schema says, and comes back from it.
func TestTuneInJSON(t *testing.T) {
	dir := t.TempDir()
	run := sampleRun(t, dir)
	run.Tune = sampleTune()
	if err := compile(t, forbidUnknown).Validate(document(t, run)); err != nil {
		t.Error(err)
	}
	if _, err := reports.WriteAll(run); err != nil {
		t.Fatal(err)
	}
	back, err := reports.ReadJSON(dir)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(run.Tune)
	got, _ := json.Marshal(back.Tune)
	if !reflect.DeepEqual(want, got) {
		t.Errorf("came back as\n%s\nof\n%s", got, want)
	}
}
