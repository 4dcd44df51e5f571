package hlog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

type place struct {
	slot int64
	tag  string
}

// Merge puts the logs of several generators together. Their intervals go to the nearest slot of the grid that begins with the first log
// that has any, and histograms that meet there are added: no count is lost. A slot without an interval stays a gap. The
// result is in the order of time, then of tags, and shares nothing with what was given.
//
// All logs must go by the same step and have the same tags; but the last interval of a log may be shorter, as a run seldom
// ends on the grid. A log without intervals adds nothing. In errors logs are counted from 1.
func Merge(logs ...[]Interval) ([]Interval, error) {
	step, err := stepOf(logs)
	if err == nil {
		err = sameTags(logs)
	}
	if err != nil {
		return nil, fmt.Errorf("merge interval logs: %w", err)
	}
	origin := originOf(logs)
	at := make(map[place]*Interval)
	for n, log := range logs {
		for _, iv := range log {
			key := place{Slot(origin, iv.Start, step), iv.Tag}
			there := at[key]
			if there == nil {
				at[key] = &Interval{
					Tag: iv.Tag, Start: origin.Add(time.Duration(key.slot) * step), Length: iv.Length, Histogram: iv.Histogram.Clone(),
				}
				continue
			}
			there.Length = max(there.Length, iv.Length)
			if !Add(there.Histogram, iv.Histogram) {
				return nil, fmt.Errorf("merge interval logs: the interval of log %d at %s does not fit those of the others: its histogram has another range or precision, or too many values",
					n+1, iv.Start.UTC().Format(time.RFC3339Nano))
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(at), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.tag, b.tag))
	})
	merged := make([]Interval, len(keys))
	for i, k := range keys {
		merged[i] = *at[k]
	}
	return merged, nil
}

// originOf is where the grid begins.
func originOf(logs [][]Interval) time.Time {
	for _, log := range logs {
		if len(log) > 0 {
			return slices.MinFunc(log, byStart).Start.UTC()
		}
	}
	return time.Time{}
}

func byStart(a, b Interval) int { return a.Start.Compare(b.Start) }

// Step is the length of the intervals of a log: of all but the last, which may be shorter. It is 0 if there are none.
func Step(log []Interval) (time.Duration, error) {
	if len(log) == 0 {
		return 0, nil
	}
	last := slices.MaxFunc(log, byStart).Start
	step := slices.MaxFunc(log, func(a, b Interval) int { return cmp.Compare(a.Length, b.Length) }).Length
	for _, iv := range log {
		if iv.Length <= 0 || iv.Length != step && !iv.Start.Equal(last) {
			return 0, fmt.Errorf("intervals of %s and of %s: they must be equal, the last apart", iv.Length, step)
		}
	}
	return step, nil
}

// stepOf is the step that all logs have in common. A log of one interval may have ended early.
func stepOf(logs [][]Interval) (time.Duration, error) {
	steps := make([]time.Duration, len(logs))
	longest := 0
	for n, log := range logs {
		var err error
		if steps[n], err = Step(log); err != nil {
			return 0, fmt.Errorf("log %d has %w", n+1, err)
		}
		if steps[n] > steps[longest] {
			longest = n
		}
	}
	if len(logs) == 0 {
		return 0, nil
	}
	step := steps[longest]
	for n, log := range logs {
		alone := len(log) == 0 || !slices.ContainsFunc(log, func(iv Interval) bool { return !iv.Start.Equal(log[0].Start) })
		if steps[n] != step && !alone {
			return 0, fmt.Errorf("log %d has intervals of %s, log %d of %s: measure all with the same", n+1, steps[n], longest+1, step)
		}
	}
	return step, nil
}

// sameTags refuses logs of which one has a tag that another has not: its part would be missing in the sum without a sign.
func sameTags(logs [][]Interval) error {
	var first []string
	from := 0
	for n, log := range logs {
		if len(log) == 0 {
			continue
		}
		seen := map[string]bool{}
		for _, iv := range log {
			seen[iv.Tag] = true
		}
		tags := slices.Sorted(maps.Keys(seen))
		if from == 0 {
			first, from = tags, n+1
		}
		if !slices.Equal(tags, first) {
			return fmt.Errorf("log %d has the tags %s, log %d %s", n+1, quoted(tags), from, quoted(first))
		}
	}
	return nil
}

func quoted(tags []string) string { return fmt.Sprintf(`"%s"`, strings.Join(tags, `", "`)) }
