package tune

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/perf/benchfmt"

	"github.com/ksim-dev/ksim/harness/load"
)

func TestCompare(t *testing.T) {
	a := run{batch: 100, p99: 41.2, noise: 0.1}.results()
	slower := run{batch: 1000, p99: 120, noise: 0.1}.results()
	ds := Compare(a, slower)
	if len(ds) != int(numMetrics) {
		t.Fatalf("%d metrics", len(ds))
	}
	if d := ds[P99]; !d.Differ || d.Better != "a" || d.P >= 0.05 || d.Change < 150 || d.Delta == "~" {
		t.Errorf("%+v", d)
	}
	if d := ds[Throughput]; d.Differ || d.Better != "" || d.Delta != "~" || d.Change != 0 || d.P != 1 {
		t.Errorf("%+v", d)
	}
	if d := Compare(slower, a)[P99]; d.Better != "b" {
		t.Errorf("%+v", d)
	}
	if d := Compare(a, run{batch: 100, p99: 44, noise: 0.1}.results())[P99]; d.Differ {
		t.Errorf("noise differs: %+v", d)
	}
	if ds := Compare(nil, nil); len(ds) != 0 {
		t.Errorf("nothing differs from nothing: %+v", ds)
	}
	if ds := Compare(a, nil); ds[P99].Differ || ds[P99].Note == "" || ds[P99].B.N != 0 {
		t.Errorf("%+v", ds[P99])
	}
	if d := Compare(a[:2], slower[:2])[P99]; d.Differ || d.Note == "" {
		t.Errorf("two trials: %+v", d)
	}
	none := run{batch: 100, p99: 41.2, predicted: 1e-9}.results()
	for i := range none {
		none[i].Reprocessed.Predicted = 0
	}
	if d := Compare(none, a)[Predicted]; !d.Differ || d.Delta != "?" || d.Change != 0 || d.Better != "a" {
		t.Errorf("from nothing: %+v", d)
	}
}

func TestBenchstat(t *testing.T) {
	a := run{batch: 100, p99: 41.2, noise: 0.1}.results()
	b := run{batch: 1000, p99: 120, noise: 0.1, crash: -1}.results()
	b[6].Valid = false
	var buf bytes.Buffer
	if err := Benchstat(&buf, "batch=100", a, "batch 1000", b); err != nil {
		t.Fatal(err)
	}
	check(t, "benchstat.txt", buf.Bytes())

	var few bytes.Buffer
	if err := Benchstat(&few, "a", a[:1], "b", nil); err != nil {
		t.Fatal(err)
	}
	check(t, "benchstat-few.txt", few.Bytes())

	// The reader of benchstat takes every trial, and stumbles over nothing.
	trials := 0
	for r := benchfmt.NewReader(&buf, "tune"); r.Scan(); {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			trials++
			if len(rec.Values) < int(numMetrics)-2 {
				t.Errorf("%s: %v", rec.Name, rec.Values)
			}
		case *benchfmt.SyntaxError:
			t.Error(rec)
		}
	}
	if trials != 13 {
		t.Errorf("%d trials were read", trials)
	}
}

func TestBenchmarkLines(t *testing.T) {
	var buf bytes.Buffer
	if err := BenchmarkLines(&buf, points(run{batch: 10, p99: 5, trials: 1}, run{batch: 20, wait: 5 * ms, p99: 6, trials: 2})); err != nil {
		t.Fatal(err)
	}
	check(t, "lines.txt", buf.Bytes())
	full := writer{}
	if BenchmarkLines(full, points(run{batch: 10})) == nil || Benchstat(full, "a", []load.Result{}, "b", nil) == nil {
		t.Error("a writer that fails goes unnoticed")
	}
}

// writer is one that has no room.
type writer struct{}

func (writer) Write([]byte) (int, error) { return 0, errors.New("no room") }
