package load

import (
	"strings"
	"testing"
)

// sound is a measurement with nothing wrong.
func sound() Result {
	return Result{
		Rate: 1000, Through: 995, LateMS: 3, Valid: true, Latency: Latency{P50: 20, P99: 60, P999: 90},
		Stages:  []StageLatency{{Stage: "schedule", Count: 10_000, Latency: Latency{P99: 0.8}}},
		Machine: &Machine{Known: true, Steal: 0.01, StealMaxMS: 10, GCPauseMS: 2}, Ceiling: &Ceiling{Through: 5000, Ratio: 5},
	}
}

// Each thing that makes a measurement worth nothing is told, with what to change; nothing else makes it invalid.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name           string
		change         func(*Result)
		failed, undone int
		want           string // "" is valid
	}{
		{name: "sound", change: func(*Result) {}},
		{name: "nothing is known of the machine", change: func(r *Result) { r.Machine, r.Ceiling, r.Stages = nil, nil, nil }},
		{name: "late", change: func(r *Result) { r.LateMS = 51 }, want: "the generator fell 51ms behind its schedule"},
		{name: "late by a share", change: func(r *Result) { r.Stages[0].P99 = 7 }, want: "7.0 ms of p99, which is 60.0 ms, are the generator's own delay"},
		{name: "late by a share that is next to nothing", change: func(r *Result) { r.Latency.P50, r.Latency.P99, r.Latency.P999 = 2, 5, 6 }},
		{name: "refused by the broker", change: func(*Result) {}, failed: 3, want: "3 messages were not acknowledged"},
		{name: "never done", change: func(*Result) {}, undone: 2, want: "2 messages were never done"},
		{name: "does not keep up", change: func(r *Result) { r.Through = 899 }, want: "kept up with 899 of 1000"},
		{name: "keeps up", change: func(r *Result) { r.Through = 901 }},
		{name: "ceiling", change: func(r *Result) { r.Ceiling = &Ceiling{Through: 1400, Ratio: 1.407} }, want: "does nothing reaches 1400 messages/s here, 1.41 times"},
		{name: "ceiling is enough", change: func(r *Result) { r.Ceiling.Ratio = 1.5 }},
		{name: "steal", change: func(r *Result) { r.Machine.Steal = 0.08 }, want: "took 8 % of the machine"},
		{name: "steal at once", change: func(r *Result) { r.Machine.StealMaxMS = 40 }, want: "took 40 ms at once, and p99.9 is 70 ms above p50"},
		{name: "steal that explains nothing", change: func(r *Result) { r.Machine.StealMaxMS = 30 }},
		{name: "collector", change: func(r *Result) { r.Machine.GCPauseMS = 36 }, want: "garbage collector stopped it for 36 ms"},
		{name: "no tail to explain", change: func(r *Result) { r.Latency.P999, r.Machine.StealMaxMS, r.Machine.GCPauseMS = 20, 10, 10 }},
	} {
		r := sound()
		c.change(&r)
		r.Judge(c.failed, c.undone)
		if r.Valid != (c.want == "") || !strings.Contains(r.Reason, c.want) || r.Valid && r.Reason != "" {
			t.Errorf("%s: valid is %v, %q", c.name, r.Valid, r.Reason)
		}
	}
}

// All reasons are told, not only the first.
func TestJudgeTellsAll(t *testing.T) {
	r := sound()
	r.LateMS, r.Ceiling.Ratio = 100, 1
	r.Judge(1, 1)
	if n := strings.Count(r.Reason, "; ") + 1; n < 4 {
		t.Errorf("%d reasons: %s", n, r.Reason)
	}
}

func TestThin(t *testing.T) {
	var line [][2]float64
	for i := range 1000 {
		line = append(line, [2]float64{float64(i), 1})
	}
	if got := Thin(line, 400); len(got) != 400 || got[0] != line[0] || got[399] != line[999] {
		t.Errorf("%d points, from %v to %v", len(got), got[0], got[len(got)-1])
	}
	if got := Thin(line[:3], 400); len(got) != 3 {
		t.Errorf("%d points of 3", len(got))
	}
}

// Only a subject that did not keep up, on a machine on which something could be measured, fell behind.
func TestFellBehind(t *testing.T) {
	behind := func(change func(*Result)) bool {
		r := sound()
		r.Seconds, r.Through = 10, 500
		change(&r)
		r.Judge(0, 0)
		return r.FellBehind()
	}
	for name, c := range map[string]struct {
		change func(*Result)
		want   bool
	}{
		"behind":            {func(*Result) {}, true},
		"no ceiling":        {func(r *Result) { r.Ceiling = nil }, true},
		"late generator":    {func(r *Result) { r.LateMS = 80 }, false},
		"low ceiling":       {func(r *Result) { r.Ceiling.Ratio = 1.2 }, false},
		"kept up":           {func(r *Result) { r.Through = 1000 }, false},
		"nothing was heard": {func(r *Result) { r.Seconds = 0 }, false},
	} {
		if got := behind(c.change); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
