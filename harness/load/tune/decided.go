package tune

import (
	"fmt"
	"slices"
)

// enough is the relative half-width of an interval from which on more trials would tell little more.
const enough = 0.05

// Decided lists the settings that need no more trials, in the order of the settings, and why. None is decided before it has minTrials trials (and at
// least 3), valid or not. Whoever looks after each round has more chances to stop by luck than one
// who looks once; so a setting is given up only for what an interval that is known rules out.
func Decided(points []Point, slo SLO, minTrials int) []Ruling {
	t := newTable(points)
	c := t.choose(slo)
	var out []Ruling
	for i, p := range t.points {
		if len(p.Trials) < max(3, minTrials) {
			continue
		}
		if why := t.decided(i, c); why != "" {
			out = append(out, Ruling{p.Setting, why})
		}
	}
	return out
}

// decided says why a setting needs no more trials; "" if it does.
func (t *table) decided(i int, c choice) string {
	p, j := t.points[i], c.judged[i]
	if j.verdict == breaks {
		return "it breaks the SLO: " + j.why
	}
	if p.Valid == 0 {
		return p.unmeasured()
	}
	// One that is better in all that the front trades may still break a bound of p50 or p99.9. So only one that keeps the SLO counts.
	among := append(slices.Clone(c.kept), i)
	for _, k := range c.kept {
		if t.dominates(k, i, among) {
			return t.name(k) + " is better"
		}
	}
	if c.close >= 0 && (i == c.picked || i == c.close) {
		return "" // which of the two is to be preferred is open
	}
	// While it is open whether it keeps the SLO, more trials are worth it, however narrow the intervals are.
	if j.verdict == keeps && p.P99.narrow(enough) && p.Throughput.narrow(enough) {
		return fmt.Sprintf("its p99 and throughput are known to %g %%", 100*enough)
	}
	return ""
}
