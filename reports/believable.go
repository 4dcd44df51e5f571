package reports

import (
	"slices"

	"github.com/ksim-dev/ksim/harness/load"
)

// believable returns l, or, where one of its figures is no number, l without
// such figures and marked invalid: JSON has no NaN, and a chart no place for it.
func believable(l load.Result) load.Result {
	l = separate(l)
	wrong := false
	for _, f := range figuresOf(&l) {
		if !finite(*f) {
			*f, wrong = 0, true
		}
	}
	pairs := []*[][2]float64{&l.Latency.Percentiles}
	if l.ClosedLoop != nil {
		pairs = append(pairs, &l.ClosedLoop.Percentiles)
	}
	for i := range l.Stages {
		pairs = append(pairs, &l.Stages[i].Percentiles)
	}
	for i := range l.Lag {
		pairs = append(pairs, &l.Lag[i].Points)
	}
	for _, p := range pairs {
		all := len(*p)
		*p = slices.DeleteFunc(slices.Clone(*p), func(p [2]float64) bool { return !finite(p[0], p[1]) })
		wrong = wrong || len(*p) != all
	}
	if wrong {
		if l.Valid || l.Reason == "" {
			l.Reason = "a figure of this measurement was not a number and is left out"
		}
		l.Valid = false
	}
	return l
}

// separate copies what l shares with the caller's result.
func separate(l load.Result) load.Result {
	l.Intervals, l.Stages, l.Lag, l.Faults = slices.Clone(l.Intervals), slices.Clone(l.Stages), slices.Clone(l.Lag), slices.Clone(l.Faults)
	if l.ClosedLoop != nil {
		c := *l.ClosedLoop
		l.ClosedLoop = &c
	}
	if l.Machine != nil {
		m := *l.Machine
		l.Machine = &m
	}
	if l.Ceiling != nil {
		c := *l.Ceiling
		l.Ceiling = &c
	}
	return l
}

// figuresOf are the numbers of l that could be none.
func figuresOf(l *load.Result) []*float64 {
	out := append([]*float64{&l.Rate, &l.Seconds, &l.Through, &l.MBps, &l.LateMS, &l.Reprocessed.Predicted}, latencyFigures(&l.Latency)...)
	if l.ClosedLoop != nil {
		out = append(out, latencyFigures(l.ClosedLoop)...)
	}
	for i := range l.Stages {
		out = append(out, latencyFigures(&l.Stages[i].Latency)...)
	}
	for i := range l.Intervals {
		n := &l.Intervals[i]
		out = append(out, &n.From, &n.Seconds, &n.Offered, &n.Through, &n.P50, &n.P99, &n.Max)
	}
	for i := range l.Faults {
		out = append(out, &l.Faults[i].From, &l.Faults[i].To)
	}
	if m := l.Machine; m != nil {
		out = append(out, &m.Busy, &m.Steal, &m.StealMaxMS, &m.GCPauseMS, &m.SubjectCPU)
	}
	if c := l.Ceiling; c != nil {
		out = append(out, &c.Through, &c.Ratio)
	}
	return out
}

func latencyFigures(t *load.Latency) []*float64 {
	return []*float64{&t.P50, &t.P90, &t.P99, &t.P999, &t.Max, &t.Mean}
}
