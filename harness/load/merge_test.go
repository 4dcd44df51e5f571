package load_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"

	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/hlog"
)

var noon = time.Date(2026, 10, 18, 12, 0, 0, 123456789, time.UTC)

func micros(values ...int64) *hdrhistogram.Histogram {
	h := load.NewHistogram()
	for _, v := range values {
		if err := h.RecordValue(v); err != nil {
			panic(err)
		}
	}
	return h
}

// part is a measurement in steps of a second, of which the last may be one of crashes: what it says of itself is what its logs say.
// lag and latencies (µs) are by step; all that is measured counts from noon.
func part(name string, late time.Duration, measured int, lag []int64, latencies ...[]int64) load.Part {
	r := load.Result{
		Name: "load-batch-10", Started: noon.Add(late), BatchSize: 10, Rate: 100, Profile: "steady", Seconds: float64(measured),
		Size: 512, Through: 95.5, MBps: 0.05, LateMS: 1.5, Valid: true,
	}
	total := load.NewHistogram()
	log := []hlog.Interval{}
	for i, values := range latencies {
		h := micros(values...)
		log = append(log, hlog.Interval{Start: r.Started.Add(time.Duration(i) * time.Second), Length: time.Second, Histogram: h})
		s := load.Summary(h)
		r.Intervals = append(r.Intervals, load.Interval{
			From: float64(i), Seconds: 1, Offered: 100, Through: float64(len(values)), P50: s.P50, P99: s.P99, Max: s.Max, Lag: lag[i], Repeated: i,
		})
		if i < measured {
			total.Merge(h)
			r.Messages += len(values)
			r.PeakLag = max(r.PeakLag, lag[i])
		}
	}
	r.Latency = load.Summary(total)
	r.Stages = []load.StageLatency{
		{Stage: "queue", Count: total.TotalCount(), Latency: r.Latency},
		{Stage: "total", Count: total.TotalCount(), Latency: r.Latency},
	}
	return load.Part{Name: name, Result: r, Logs: map[load.Stage][]hlog.Interval{load.Total: log, load.Queue: log}}
}

func TestMergeAdds(t *testing.T) {
	a := part("a", 0, 2, []int64{5, 9, 40}, []int64{1000, 2000}, []int64{3000}, []int64{900_000})
	b := part("b", 100*time.Millisecond, 2, []int64{7, 1, 2}, []int64{4000}, []int64{5000}, nil)
	a.Result.Reprocessed = load.Reprocessed{Measured: 6, Predicted: 5, Low: 0, High: 10, Crashes: 3, Each: []int{5, 6, 7}}
	b.Result.Reprocessed = load.Reprocessed{Measured: 10, Predicted: 9, Low: 1, High: 21, Crashes: 1, Each: []int{10}}
	a.Result.Machine = &load.Machine{Busy: 0.5, Steal: 0.2, GCPauseMS: 1, SubjectCPU: 2, Known: true}
	b.Result.Machine = &load.Machine{Busy: 0.9, Steal: 0.1, StealMaxMS: 4, SubjectCPU: 3, Known: true}
	a.Result.Ceiling, b.Result.Ceiling = &load.Ceiling{Through: 300, Ratio: 3.1}, &load.Ceiling{Through: 82, Ratio: 0.8}
	a.Result.ClosedLoop = &load.Latency{P50: 1}
	a.Result.Faults = []load.Span{{Name: "crash", From: 2, To: 2.5}}
	b.Result.Faults = []load.Span{{Name: "stall", From: 1, To: 1.5, Note: "of the sink"}}
	a.Result.Lag = []load.LagLine{{Partition: 0, Points: [][2]float64{{0, 1}, {1, 5}}}}
	b.Result.Lag = []load.LagLine{{Partition: 1, Points: [][2]float64{{0, 3}}}, {Partition: 0, Points: [][2]float64{{0.5, 2}, {1.5, 0}}}}
	a.Result.LateMS = 3
	m, err := load.Merge(b, a)
	if err != nil {
		t.Fatal(err)
	}
	r := m.Result
	if m.Name != "a, b" || r.Rate != 200 || r.Through != 191 || r.Messages != 5 || r.MBps != 0.1 || r.LateMS != 3 || !r.Valid || r.Reason != "" {
		t.Errorf("%s: %+v", m.Name, r)
	}
	if !r.Started.Equal(noon) || r.Seconds != 2.1 {
		t.Errorf("from %s for %g s", r.Started, r.Seconds)
	}
	if r.PeakLag != 12 { // 5+7, and not 9+7; the crash's 40 is not measured
		t.Errorf("peak lag %d", r.PeakLag)
	}
	if want := load.Summary(micros(1000, 2000, 3000, 4000, 5000)); !reflect.DeepEqual(r.Latency, want) || r.ClosedLoop != nil {
		t.Errorf("latency %+v, want %+v; closed loop %v", r.Latency, want, r.ClosedLoop)
	}
	if len(r.Stages) != 2 || r.Stages[0].Stage != "queue" || r.Stages[1].Count != 5 {
		t.Errorf("stages %+v", r.Stages)
	}
	if want := (load.Reprocessed{Measured: 7, Predicted: 6, Low: 0, High: 13, Crashes: 4, Each: []int{5, 6, 7, 10}}); !reflect.DeepEqual(r.Reprocessed, want) {
		t.Errorf("reprocessed %+v, want %+v", r.Reprocessed, want)
	}
	if want := (load.Machine{Busy: 0.9, Steal: 0.2, StealMaxMS: 4, GCPauseMS: 1, SubjectCPU: 5, Known: true}); *r.Machine != want {
		t.Errorf("machine %+v, want %+v", *r.Machine, want)
	}
	if want := (load.Ceiling{Through: 382, Ratio: 2}); *r.Ceiling != want {
		t.Errorf("ceiling %+v, want %+v", *r.Ceiling, want)
	}
	if want := []load.Span{{Name: "stall", From: 1.1, To: 1.6, Note: "b: of the sink"}, {Name: "crash", From: 2, To: 2.5, Note: "a"}}; !reflect.DeepEqual(r.Faults, want) {
		t.Errorf("faults %+v, want %+v", r.Faults, want)
	}
	if want := []load.LagLine{{Partition: 0, Points: [][2]float64{{0, 1}, {0.6, 3}, {1, 7}, {1.6, 5}}}, {Partition: 1, Points: [][2]float64{{0.1, 3}}}}; !reflect.DeepEqual(r.Lag, want) {
		t.Errorf("lag %+v, want %+v", r.Lag, want)
	}
	s := load.Summary(micros(1000, 2000, 4000))
	if want := (load.Interval{From: 0, Seconds: 1, Offered: 200, Through: 3, P50: s.P50, P99: s.P99, Max: s.Max, Lag: 12}); len(r.Intervals) != 3 || r.Intervals[0] != want {
		t.Errorf("intervals %+v, want %+v first", r.Intervals, want)
	}
}

func TestMergeValidOnlyIfAllAre(t *testing.T) {
	plain := func(name string, late time.Duration, reason string) load.Part {
		p := part(name, late, 2, []int64{1, 1}, []int64{1000}, []int64{1000})
		p.Result.Valid, p.Result.Reason = reason == "", reason
		return p
	}
	for name, c := range map[string]struct {
		parts []load.Part
		want  string
	}{
		"all valid": {[]load.Part{plain("a", 0, ""), plain("b", 0, "")}, ""},
		"two wrong": {[]load.Part{plain("a", 0, "late"), plain("b", 0, ""), plain("c", 0, "busy")}, "a: late; c: busy"},
		"one alone": {[]load.Part{plain("a", 0, "late")}, "late"},
		"apart":     {[]load.Part{plain("a", 0, ""), plain("b", time.Second, "")}, "a and b measured together for 1.0 of 3.0 s only: start the generators closer to each other, or measure longer"},
	} {
		m, err := load.Merge(c.parts...)
		if err != nil || m.Result.Valid != (c.want == "") || m.Result.Reason != c.want {
			t.Errorf("%s: %v, valid %v, %q, want %q", name, err, m.Result.Valid, m.Result.Reason, c.want)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	fine := func() load.Part { return part("a", 0, 2, []int64{1, 1}, []int64{1000}, []int64{1000}) }
	change := func(f func(*load.Part)) []load.Part { p := fine(); p.Name = "b"; f(&p); return []load.Part{fine(), p} }
	for name, c := range map[string]struct {
		parts []load.Part
		want  []string
	}{
		"nothing": {nil, []string{"nothing to merge"}},
		"settings": {change(func(p *load.Part) { p.Result.BatchSize, p.Result.Profile, p.Result.Size = 100, "spike", 9 }),
			[]string{"a and b differ: batch size 10 and 100", "profile steady and spike", "size 512 and 9"}},
		"older":        {change(func(p *load.Part) { p.Result.Started = time.Time{} }), []string{"b has no interval histograms", "measure again"}},
		"no total":     {change(func(p *load.Part) { delete(p.Logs, load.Total) }), []string{"b has no interval histograms", "measure again"}},
		"a stage less": {change(func(p *load.Part) { delete(p.Logs, load.Queue) }), []string{"stages that were logged queue total and total", "b has no interval histograms of the stage queue"}},
		"another time": {change(func(p *load.Part) { p.Result.Started = noon.Add(time.Hour) }), []string{"a and b were not measured at the same time"}},
		"other steps":  {change(func(p *load.Part) { p.Result.Intervals[0].Seconds = 0.5 }), []string{"b has an interval of 500ms, a of 1s"}},
		"other logs": {change(func(p *load.Part) {
			log := slices.Clone(p.Logs[load.Total])
			for i := range log {
				log[i].Length = 2 * time.Second
			}
			p.Logs[load.Total] = log
		}), []string{"stage total of a and b, in this order", "log 1 has intervals of 1s, log 2 of 2s"}},
		"coarse": {change(func(p *load.Part) {
			p.Logs[load.Total] = []hlog.Interval{{Start: noon, Length: time.Second, Histogram: hdrhistogram.New(1, 1000, 2)}}
		}), []string{"stage total of b", "another range"}},
	} {
		_, err := load.Merge(c.parts...)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

// One part stays what it is; the order of several does not matter; every message is in the sum.
func TestMergeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts []load.Part
		messages := 0
		for i := range rapid.IntRange(1, 3).Draw(t, "parts") {
			steps := rapid.IntRange(3, 4).Draw(t, "steps")
			lag := rapid.SliceOfN(rapid.Int64Range(0, 1000), steps, steps).Draw(t, "lag")
			latencies := rapid.SliceOfN(rapid.SliceOfN(rapid.Int64Range(1, 20_000), 0, 5), steps, steps).Draw(t, "latencies")
			late := time.Duration(rapid.Int64Range(0, 1.9e9).Draw(t, "late"))
			p := part(string(rune('a'+i)), late, steps-1, lag, latencies...)
			p.Result.Rate, p.Result.Through = rapid.Float64Range(0, 1e5).Draw(t, "rate"), rapid.Float64Range(0, 1e5).Draw(t, "throughput")
			alone, err := load.Merge(p)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(alone.Result, p.Result) || len(alone.Logs) != 2 {
				t.Fatalf("alone\n%+v, want\n%+v", alone.Result, p.Result)
			}
			messages += p.Result.Messages
			parts = append(parts, p)
		}
		m, err := load.Merge(parts...)
		if err != nil {
			t.Fatal(err)
		}
		if n := m.Histograms[load.Total].TotalCount(); n != int64(messages) || m.Result.Messages != messages {
			t.Fatalf("%d messages became %d", messages, n)
		}
		var most, sum int64
		for _, p := range parts {
			most, sum = max(most, p.Result.PeakLag), sum+p.Result.PeakLag
		}
		if m.Result.PeakLag < most || m.Result.PeakLag > sum {
			t.Fatalf("peak lag %d, of parts with %d to %d", m.Result.PeakLag, most, sum)
		}
		other, err := load.Merge(rapid.Permutation(parts).Draw(t, "order")...)
		if err != nil || !reflect.DeepEqual(m, other) {
			t.Fatalf("%v: in another order\n%+v, not\n%+v", err, other.Result, m.Result)
		}
	})
}
