package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ksim-dev/ksim/harness/load/hlog"
)

// grid is the intervals of several parts, by slot.
type grid struct {
	origin time.Time
	step   time.Duration
	from   string // the part that origin and step are of
	slots  map[int64]*slot
}

type slot struct {
	Interval
	measured bool // at least one part counts it as measured
}

// mergeIntervals puts the intervals of all parts on the grid of the first that has any: what happened in the same slot is added,
// and latencies are those of total, the merged log.
func mergeIntervals(parts []Part, total []hlog.Interval) (*grid, error) {
	g := grid{slots: map[int64]*slot{}}
	for _, p := range parts {
		for i, iv := range p.Result.Intervals {
			if g.step == 0 {
				g.origin, g.step, g.from = p.Result.Started.Add(duration(iv.From)), duration(iv.Seconds), p.Name
			}
			length, last := duration(iv.Seconds), i == len(p.Result.Intervals)-1
			if length <= 0 || length > g.step || length < g.step && !last {
				return nil, fmt.Errorf("%s has an interval of %s, %s of %s: measure all with the same", p.Name, length, g.from, g.step)
			}
			g.put(p, iv, parts[0].Result.Started)
		}
	}
	if len(g.slots) == 0 {
		return &g, nil
	}
	if logged, err := hlog.Step(total); err != nil || logged > g.step {
		return nil, fmt.Errorf("the intervals of %s are %s long, and those of their logs %s: the files do not belong together", names(parts), g.step, logged)
	}
	return &g, g.summarize(total)
}

// put adds an interval of p; started is what the times of the merged result count from.
func (g *grid) put(p Part, iv Interval, started time.Time) {
	start := p.Result.Started.Add(duration(iv.From))
	n := hlog.Slot(g.origin, start, g.step)
	there := g.slots[n]
	if there == nil {
		there = &slot{Interval: Interval{From: g.origin.Add(time.Duration(n) * g.step).Sub(started).Seconds(), Seconds: iv.Seconds}}
		g.slots[n] = there
	}
	there.add(iv)
	from, to := p.Result.span()
	there.measured = there.measured || inside(start, duration(iv.Seconds), from, to)
}

// inOrder are the intervals by time.
func (g *grid) inOrder() (out []Interval) {
	for _, n := range slices.Sorted(maps.Keys(g.slots)) {
		out = append(out, g.slots[n].Interval)
	}
	return out
}

// peak is the most lag of one measured interval, if the intervals of all parts are known.
func (g *grid) peak(parts []Part) (peak int64, known bool) {
	if slices.ContainsFunc(parts, func(p Part) bool { return len(p.Result.Intervals) == 0 }) {
		return 0, false
	}
	for _, s := range g.slots {
		if s.measured {
			peak, known = max(peak, s.Lag), true
		}
	}
	return peak, known
}

// add adds what happened in iv. Rates of intervals of different lengths are averages over different times.
func (i *Interval) add(iv Interval) {
	if i.Seconds == iv.Seconds {
		i.Offered += iv.Offered
		i.Through += iv.Through
	} else {
		length := max(i.Seconds, iv.Seconds)
		i.Offered = (i.Offered*i.Seconds + iv.Offered*iv.Seconds) / length
		i.Through = (i.Through*i.Seconds + iv.Through*iv.Seconds) / length
		i.Seconds = length
	}
	i.Lag += iv.Lag
	i.Repeated += iv.Repeated
	i.Rebalances += iv.Rebalances
}

// summarize puts the latencies of the log into the slots of the same time.
func (g *grid) summarize(log []hlog.Interval) error {
	sums := map[int64]*hdrhistogram.Histogram{}
	for _, iv := range log {
		n := hlog.Slot(g.origin, iv.Start, g.step)
		if g.slots[n] == nil {
			continue
		}
		if sums[n] == nil {
			sums[n] = NewHistogram()
		}
		if !hlog.Add(sums[n], iv.Histogram) {
			return fmt.Errorf("the interval at %s has more values than can be counted", iv.Start.UTC().Format(time.RFC3339Nano))
		}
	}
	for n, h := range sums {
		s := Summary(h)
		g.slots[n].P50, g.slots[n].P99, g.slots[n].Max = s.P50, s.P99, s.Max
	}
	return nil
}

// mergeFaults are the faults of all parts by time, each with the name of its part.
func mergeFaults(parts []Part) (out []Span) {
	for _, p := range parts {
		shift := p.shift(parts[0])
		for _, s := range p.Result.Faults {
			s.From, s.To = s.From+shift, s.To+shift
			if len(parts) > 1 {
				s.Note = strings.TrimSuffix(p.Name+": "+s.Note, ": ")
			}
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	return out
}

// shift is what is added to times of p, in s, to count from the start of first.
func (p Part) shift(first Part) float64 { return p.Result.Started.Sub(first.Result.Started).Seconds() }

// mergeLag adds the lags of the parts by partition. A lag counts from the look that told it to the next.
func mergeLag(parts []Part) (out []LagLine) {
	type look struct {
		part  int
		at    float64
		value float64
	}
	looks := map[int32][]look{}
	for i, p := range parts {
		for _, line := range p.Result.Lag {
			for _, point := range line.Points {
				looks[line.Partition] = append(looks[line.Partition], look{i, point[0] + p.shift(parts[0]), point[1]})
			}
		}
	}
	for _, partition := range slices.Sorted(maps.Keys(looks)) {
		line := LagLine{Partition: partition}
		latest := make([]float64, len(parts))
		all := looks[partition]
		slices.SortStableFunc(all, func(a, b look) int { return cmp.Compare(a.at, b.at) })
		for _, l := range all {
			latest[l.part] = l.value
			var sum float64
			for _, v := range latest {
				sum += v
			}
			line.Points = append(line.Points, [2]float64{l.at, sum})
		}
		out = append(out, line)
	}
	return out
}
