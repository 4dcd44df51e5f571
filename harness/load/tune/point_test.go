package tune

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/ksim-dev/ksim/harness/load"
)

func TestSummary(t *testing.T) {
	cases := []struct {
		name              string
		values            []float64
		median, low, high float64
		note              string
	}{
		{"none", nil, 0, math.Inf(-1), math.Inf(1), "not measured"},
		{"one", []float64{4}, 4, math.Inf(-1), math.Inf(1), "need >= 6 samples"},
		{"five", []float64{5, 1, 2, 3, 4}, 3, math.Inf(-1), math.Inf(1), "need >= 6 samples"},
		{"six", []float64{6, 5, 1, 2, 3, 4}, 3.5, 1, 6, ""},
		{"equal", []float64{2, 2, 2, 2, 2, 2, 2}, 2, 2, 2, ""},
		{"nine", []float64{9, 8, 7, 6, 5, 4, 3, 2, 1}, 5, 2, 8, ""},
	}
	for _, c := range cases {
		before := append([]float64(nil), c.values...)
		s := summarize(c.values)
		if s.N != len(c.values) || s.Median != c.median || s.Low != c.low || s.High != c.high || s.Known != (c.note == "") || !strings.Contains(s.Note, c.note) {
			t.Errorf("%s: %+v", c.name, s)
		}
		if s.Known && s.Confidence < Confidence || !s.Known && s.Confidence != 0 {
			t.Errorf("%s: confidence %g", c.name, s.Confidence)
		}
		if !reflect.DeepEqual(c.values, before) {
			t.Errorf("%s: the values were moved", c.name)
		}
	}
}

func TestPointInJSON(t *testing.T) {
	for name, p := range map[string]Point{
		"enough":  run{batch: 100, p99: 40, noise: 0.1}.point(),
		"too few": run{batch: 100, p99: 40, trials: 2, crash: -1}.point(),
		"none":    NewPoint(Setting{1, 0, 1}, nil),
	} {
		text, err := json.MarshalIndent(p, "", " ")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, key := range []string{`"batch_wait_ms"`, `"p99_ms"`, `"cpu_s_per_1000"`, `"reprocessed_per_crash"`, `"predicted_per_crash"`} {
			if !strings.Contains(string(text), key) {
				t.Errorf("%s: no %s", name, key)
			}
		}
		var back Point
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(p, back) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, p, back)
		}
	}
	var s Summary
	if json.Unmarshal([]byte(`{"n":"x"}`), &s) == nil {
		t.Error("nonsense was read")
	}
}

// What is no number counts nowhere, and can be written.
func TestFiguresThatAreNone(t *testing.T) {
	spoilers := map[string]func(*load.Result){
		"NaN p99":        func(r *load.Result) { r.Latency.P99 = math.NaN() },
		"infinite p50":   func(r *load.Result) { r.Latency.P50 = math.Inf(1) },
		"no throughput":  func(r *load.Result) { r.Through, r.MBps = math.NaN(), math.NaN() },
		"negative":       func(r *load.Result) { r.Latency.P999 = -1 },
		"CPU":            func(r *load.Result) { r.Machine.SubjectCPU = math.Inf(1) },
		"prediction":     func(r *load.Result) { r.Reprocessed.Predicted = math.NaN() },
		"rate":           func(r *load.Result) { r.Rate = math.NaN() },
		"infinite rate":  func(r *load.Result) { r.Rate = math.Inf(1) },
		"less than zero": func(r *load.Result) { r.Reprocessed.Each = []int{-5, 1} },
	}
	for name, spoil := range spoilers {
		trials := run{batch: 10, p99: 40}.results()
		spoil(&trials[0])
		p := NewPoint(Setting{10, 0, 1}, trials)
		if p.Valid != 6 || p.Invalid != 1 || p.P99.N != 6 || p.Trials[0].Valid || p.Trials[0].Reason == "" || p.Behind != 0 {
			t.Errorf("%s: %d valid, %d invalid", name, p.Valid, p.Invalid)
		}
		if _, err := json.Marshal(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := Compare(trials, trials); d[0].A.N != 6 {
			t.Errorf("%s: compared %d", name, d[0].A.N)
		}
	}
}

func TestPointCounts(t *testing.T) {
	p := spoil(run{batch: 10, p99: 40}.point(), 2, "the machine was busy")
	if p.Valid != 5 || p.Invalid != 2 || p.Behind != 0 || p.P99.Known || p.Rate != 1000 {
		t.Errorf("%+v", p)
	}
	if p = behind(p, 3); p.Valid != 4 || p.Behind != 3 {
		t.Errorf("%d valid, %d behind", p.Valid, p.Behind)
	}
	late := run{batch: 10, p99: 40}.results()
	late[0].Valid, late[0].Through, late[0].LateMS = false, 600, 80
	if p = NewPoint(Setting{}, late); p.Behind != 0 {
		t.Error("a late generator is held against the subject")
	}
	if p.CPU.Median < 0.3 || p.CPU.Median > 0.31 {
		t.Errorf("%g CPU seconds per 1000 messages", p.CPU.Median)
	}
	rough := load.Result{Valid: true, Reprocessed: load.Reprocessed{Measured: 7, Crashes: 3}}
	if p = NewPoint(Setting{}, []load.Result{rough}); p.Reprocessed.Median != 7 || p.CPU.N != 0 {
		t.Errorf("%+v", p.Reprocessed)
	}
}
