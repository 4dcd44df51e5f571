package tune

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Change is a bound that would make the recommendation another one: the next step in its direction, not all that could follow.
type Change struct {
	Bound   string  `json:"bound"` // the metric: "p99", "reprocessed" or "throughput"
	Limit   float64 `json:"limit"` // in its unit
	Setting Setting `json:"setting"`
	Text    string  `json:"text"` // all of it, for people
}

// String is the change as a sentence.
func (c Change) String() string { return capital(c.Text) }

// changes looks for the next bound in each direction by choosing again under it. So it tells what Recommend would really say.
func (t *table) changes(slo SLO, c choice) (out []Change) {
	for _, look := range []func(SLO, choice) (Change, bool){t.fasterP99, t.slowerP99, t.fewerRepeats, t.moreRepeats, t.moreThroughput} {
		if ch, ok := look(slo, c); ok {
			out = append(out, ch)
		}
	}
	return out
}

// instead returns what is chosen under another SLO, if that is sure and another setting.
func (t *table) instead(slo SLO, c choice) (int, bool) {
	d := t.choose(slo)
	return d.picked, d.sure() && d.picked != c.picked
}

// fasterP99 tries a p99 that the picked setting is sure to break.
func (t *table) fasterP99(slo SLO, c choice) (Change, bool) {
	limit := down(t.points[c.picked].P99.Low)
	if limit <= 0 {
		return Change{}, false
	}
	slo.LatencyP99 = fromMS(limit) - time.Nanosecond
	i, ok := t.instead(slo, c)
	return t.change(P99, limit, i, ok, "a p99 bound below %s ms would make it %s")
}

// slowerP99 tries the bounds that those which are out would keep, from the strictest on.
func (t *table) slowerP99(slo SLO, c choice) (Change, bool) {
	if slo.LatencyP99 == 0 {
		return Change{}, false
	}
	for _, limit := range t.ends(P99, inMS(slo.LatencyP99)) {
		slo.LatencyP99 = fromMS(limit)
		if i, ok := t.instead(slo, c); ok {
			return t.change(P99, limit, i, ok, "a p99 bound of %s ms would make it %s")
		}
	}
	return Change{}, false
}

// fewerRepeats tries a number of records that the picked setting is sure to exceed.
func (t *table) fewerRepeats(slo SLO, c choice) (Change, bool) {
	s := t.points[c.picked].Reprocessed
	limit := math.Ceil(s.Low) - 1
	if !s.Known || limit < 1 {
		return Change{}, false
	}
	slo.MaxReprocessed = int(limit)
	i, ok := t.instead(slo, c)
	return t.change(Reprocessed, limit, i, ok, "if a crash may repeat no more than %s records: %s")
}

func (t *table) moreRepeats(slo SLO, c choice) (Change, bool) {
	if slo.MaxReprocessed == 0 {
		return Change{}, false
	}
	for _, limit := range t.ends(Reprocessed, float64(slo.MaxReprocessed)) {
		slo.MaxReprocessed = int(math.Ceil(limit))
		if i, ok := t.instead(slo, c); ok {
			return t.change(Reprocessed, float64(slo.MaxReprocessed), i, ok, "if a crash may repeat %s records: %s")
		}
	}
	return Change{}, false
}

// moreThroughput tries a throughput that the picked setting is sure not to reach.
func (t *table) moreThroughput(slo SLO, c choice) (Change, bool) {
	limit := up(t.points[c.picked].Throughput.High)
	slo.MinThroughput = math.Nextafter(limit, math.Inf(1))
	i, ok := t.instead(slo, c)
	return t.change(Throughput, limit, i, ok, "if more than %s messages/s are asked for: %s")
}

func (t *table) change(m Metric, limit float64, i int, ok bool, format string) (Change, bool) {
	if !ok {
		return Change{}, false
	}
	return Change{m.String(), limit, t.points[i].Setting, fmt.Sprintf(format, figure(limit), t.name(i))}, true
}

// ends lists the upper ends of a metric's intervals above a limit, rounded up to what figure shows.
func (t *table) ends(m Metric, above float64) (out []float64) {
	for _, p := range t.points {
		if s := p.Of(m); s.Known && s.High > above {
			out = append(out, up(s.High))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// up and down round to the digits that figure shows, so that what is said of a bound is true of the figure that is read.
func up(v float64) float64   { return math.Ceil(v*step(v)-1e-9) / step(v) }
func down(v float64) float64 { return math.Floor(v*step(v)+1e-9) / step(v) }

func step(v float64) float64 {
	switch a := math.Abs(v); {
	case a >= 10:
		return 1
	case a >= 1:
		return 10
	}
	return 100
}
