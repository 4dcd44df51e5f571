package tune

import (
	"cmp"
	"slices"
)

// choice is what the points say under one SLO. All numbers are places in the table.
type choice struct {
	judged []judgement
	kept   []int // keep the SLO
	open   []int // may keep it
	picked int   // the best of those that keep it, -1 for none
	// rivals are open ones that would change what is picked if they kept the SLO.
	rivals []int
	// close is what would be picked if settings were told apart by the test alone, -1 if that is the same.
	close int
}

// sure tells whether there is one to recommend.
func (c choice) sure() bool { return c.picked >= 0 && len(c.rivals) == 0 && c.close < 0 }

// choose judges all points and picks. A setting of which it is open whether it keeps the SLO is
// not picked; but if it would change the pick, a second sweep might say otherwise.
func (t *table) choose(slo SLO) choice {
	c := choice{judged: make([]judgement, len(t.points)), picked: -1, close: -1}
	for i, p := range t.points {
		c.judged[i] = slo.judge(p)
		switch {
		case p.Valid == 0:
		case c.judged[i].verdict == keeps:
			c.kept = append(c.kept, i)
		case c.judged[i].verdict == unsure:
			c.open = append(c.open, i)
		}
	}
	if len(c.kept) == 0 {
		return c
	}
	c.picked = t.pick(c.kept)
	if i := t.lenient.pick(c.kept); i != c.picked {
		c.close = i
	}
	for _, i := range c.open {
		if t.pick(append(slices.Clone(c.kept), i)) != c.picked {
			c.rivals = append(c.rivals, i)
		}
	}
	return c
}

// pick returns the best of the given points, of which there is at least one: of those on the
// front, the highest throughput; of those with the same, the smallest blast radius; then the smallest
// batch, which comes first in the table. What cannot be told apart is the same, so that a second sweep picks the same.
func (t *table) pick(among []int) int {
	left := t.front(among)
	left = t.unbeaten(left, Throughput)
	left = t.unbeaten(left, Reprocessed)
	// The prediction has no noise, so it decides where the measurement cannot.
	predicted := !slices.ContainsFunc(left, func(i int) bool { return t.points[i].Predicted.N == 0 })
	return slices.MinFunc(left, func(i, j int) int {
		if predicted {
			if d := cmp.Compare(t.points[i].Predicted.Median, t.points[j].Predicted.Median); d != 0 {
				return d
			}
		}
		return cmp.Compare(i, j)
	})
}

// unbeaten returns those to which none of the others is preferable for sure in one metric. There is always one, since medians can be in no circle.
func (t *table) unbeaten(among []int, m Metric) (out []int) {
	for _, j := range among {
		if !slices.ContainsFunc(among, func(i int) bool { return t.better[m][i][j] }) {
			out = append(out, j)
		}
	}
	return out
}

// alike lists the others that keep the SLO and cannot be told apart from the picked one on any axis of the front.
func (t *table) alike(c choice) (out []int) {
	for _, i := range c.kept {
		apart := i == c.picked
		for _, m := range axes {
			apart = apart || t.better[m][i][c.picked] || t.better[m][c.picked][i]
		}
		if !apart {
			out = append(out, i)
		}
	}
	return out
}
