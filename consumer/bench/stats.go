package main

import (
	"fmt"
	"slices"
)

// spread is a figure that was measured several times.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	mid := v[len(v)/2]
	if len(v)%2 == 0 {
		mid = (v[len(v)/2-1] + mid) / 2
	}
	return spread{mid, v[0], v[len(v)-1]}
}

// of is a figure of all results of a subject.
func (b *bench) of(name string, figure func(result) float64) spread {
	values := make([]float64, 0, len(b.results[name]))
	for _, r := range b.results[name] {
		values = append(values, figure(r))
	}
	return spreadOf(values)
}

// ratio compares two subjects round by round, so that what slowed down a whole round
// drops out.
func (b *bench) ratio(name, other string) (spread, bool) {
	mine, theirs := b.results[name], b.results[other]
	n := min(len(mine), len(theirs))
	values := make([]float64, n)
	for i := range n {
		values[i] = mine[i].rate() / theirs[i].rate()
	}
	return spreadOf(values), n > 0
}

func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.low, s.high)
}

// thousands writes a number with separators: 3,013,287.
func thousands(f float64) string {
	s := fmt.Sprintf("%.0f", f)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
