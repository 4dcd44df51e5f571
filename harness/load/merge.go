package load

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ksim-dev/ksim/harness/load/hlog"
)

// minTogether is which share of the time that any part measured all must have measured: throughputs of
// different times cannot be added.
const minTogether = 0.9

// Part is what one of several generators measured, or, as the outcome of Merge, all of them together.
type Part struct {
	Name   string // where it comes from, for reasons and errors
	Result Result
	Logs   map[Stage][]hlog.Interval // by wall time; they cover what Result.Intervals cover
	// Histograms are of the measured part, in µs. Merge fills them in; it takes them from Logs and does not ask for them.
	Histograms map[Stage]*hdrhistogram.Histogram
}

// Merge puts together what several generators measured at the same time and at the same setting. Messages, rates, throughputs and lag
// are sums, latencies are those of all messages, and what tells of trouble is the worst of all. The order of the parts does not matter,
// and one part stays what it is. The clocks of the machines must agree to half an interval.
//
// ClosedLoop is left out where there are several parts: it cannot be told from histograms.
func Merge(parts ...Part) (Part, error) {
	if len(parts) == 0 {
		return Part{}, errors.New("merge load: there is nothing to merge")
	}
	// One order, whatever the caller's: the first gives the grid, and sums of floats depend on theirs.
	parts = slices.SortedStableFunc(slices.Values(parts), func(a, b Part) int {
		return cmp.Or(a.Result.Started.Compare(b.Result.Started), cmp.Compare(a.Name, b.Name))
	})
	if err := alike(parts); err != nil {
		return Part{}, fmt.Errorf("merge load: %w", err)
	}
	merged := Part{Name: parts[0].Name, Logs: map[Stage][]hlog.Interval{}, Histograms: map[Stage]*hdrhistogram.Histogram{}}
	for _, p := range parts[1:] {
		merged.Name += ", " + p.Name
	}
	for _, stage := range Stages() {
		if _, has := parts[0].Logs[stage]; !has {
			continue
		}
		if err := mergeStage(&merged, parts, stage); err != nil {
			return Part{}, fmt.Errorf("merge load: %w", err)
		}
	}
	if err := mergeResults(&merged, parts); err != nil {
		return Part{}, fmt.Errorf("merge load: %w", err)
	}
	return merged, nil
}

// alike returns all that keeps the parts from being put together.
func alike(parts []Part) error {
	var errs []error
	first := parts[0]
	for _, p := range parts {
		if p.Result.Started.IsZero() || p.Logs[Total] == nil {
			errs = append(errs, fmt.Errorf("%s has no interval histograms, or not the time of its start: an older ksim measured it; measure again with this one", p.Name))
			continue
		}
		for _, d := range differences(first, p) {
			errs = append(errs, fmt.Errorf("%s and %s differ: %s", first.Name, p.Name, d))
		}
		for _, s := range p.Result.Stages {
			if !slices.ContainsFunc(Stages(), func(stage Stage) bool { return stage.String() == s.Stage && p.Logs[stage] != nil }) {
				errs = append(errs, fmt.Errorf("%s has no interval histograms of the stage %s", p.Name, s.Stage))
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if from, to := together(parts); !from.Before(to) {
		return fmt.Errorf("%s were not measured at the same time: start the generators together, and see that their clocks agree", names(parts))
	}
	return nil
}

// differences are the settings in which b is not as a.
func differences(a, b Part) (out []string) {
	for _, s := range []struct {
		what string
		a, b any
	}{
		{"batch size", a.Result.BatchSize, b.Result.BatchSize},
		{"profile", a.Result.Profile, b.Result.Profile},
		{"size", a.Result.Size, b.Result.Size},
		{"stages that were logged", strings.Join(logged(a), " "), strings.Join(logged(b), " ")},
	} {
		if s.a != s.b {
			out = append(out, fmt.Sprintf("%s %v and %v", s.what, s.a, s.b))
		}
	}
	return out
}

// logged are the names of the stages of which p has a log.
func logged(p Part) (out []string) {
	for _, stage := range Stages() {
		if p.Logs[stage] != nil {
			out = append(out, stage.String())
		}
	}
	return out
}

func names(parts []Part) string {
	var out []string
	for _, p := range parts {
		out = append(out, p.Name)
	}
	return strings.Join(out, " and ")
}

// mergeStage merges the logs of one stage, and adds what of them was measured.
func mergeStage(merged *Part, parts []Part, stage Stage) error {
	logs := make([][]hlog.Interval, len(parts))
	sum := NewHistogram()
	for i, p := range parts {
		logs[i] = p.Logs[stage]
		from, to := p.Result.span()
		for _, iv := range logs[i] {
			if inside(iv.Start, iv.Length, from, to) && !hlog.Add(sum, iv.Histogram) {
				return fmt.Errorf("stage %s of %s: its histograms have another range or precision than those of ksim, or too many values", stage, p.Name)
			}
		}
	}
	log, err := hlog.Merge(logs...)
	if err != nil {
		return fmt.Errorf("stage %s of %s, in this order: %w", stage, names(parts), err)
	}
	merged.Logs[stage], merged.Histograms[stage] = log, sum
	return nil
}

// span is the time that was measured.
func (r Result) span() (from, to time.Time) {
	return r.Started, r.Started.Add(duration(r.Seconds))
}

// inside tells whether an interval belongs to what was measured from one time to another: the middle decides,
// since no run ends on the grid to the nanosecond.
func inside(start time.Time, length time.Duration, from, to time.Time) bool {
	middle := start.Add(length / 2)
	return !middle.Before(from) && middle.Before(to)
}

// together is the time that all parts measured; it ends before it begins if there is none.
func together(parts []Part) (from, to time.Time) {
	from, to = parts[0].Result.span()
	for _, p := range parts[1:] {
		f, t := p.Result.span()
		if f.After(from) {
			from = f
		}
		if t.Before(to) {
			to = t
		}
	}
	return from, to
}

// duration turns seconds of a report into a time, to the nanosecond.
func duration(seconds float64) time.Duration {
	if seconds < 0 {
		return -duration(-seconds)
	}
	return time.Duration(seconds*float64(time.Second) + 0.5)
}
