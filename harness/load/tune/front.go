package tune

import "slices"

// axes are what the front trades against each other.
var axes = [...]Metric{Throughput, P99, Reprocessed}

// Front returns the settings that no other setting dominates, ordered by setting. Those without a valid trial are no candidates.
//
// One setting beats another if it is better for sure in throughput, p99 or
// records reprocessed per crash, and in none of them worse for sure. What overlaps is neither better nor worse, and that
// is not transitive: a and b may overlap, b and c too, and yet a be better than c. Three settings could beat each other in a circle, and
// none would be left. So one *dominates* another only if it beats it and all
// that the other beats (in social choice this is called covering). That is a strict partial
// order: some setting is always left, and each of the others is dominated by one of them.
func Front(points []Point) []Point {
	t := newTable(points)
	var out []Point
	for _, i := range t.front(t.measured()) {
		out = append(out, t.points[i])
	}
	return out
}

// table holds the points in the order of their settings, whatever order they came in, and the comparisons of all with each other. They are made once.
type table struct {
	points []Point
	better [numMetrics][][]bool // better[m][i][j]: i is better than j for sure
	beats  [][]bool
	// lenient is the same with what the test alone tells apart; nil in that table itself.
	lenient *table
}

// newTable compares by below.
func newTable(points []Point) *table {
	t := compared(points, below)
	t.lenient = compared(points, perhapsBelow)
	return t
}

func compared(points []Point, less func(a, b Summary) bool) *table {
	points = slices.Clone(points)
	slices.SortStableFunc(points, func(a, b Point) int { return a.Setting.compare(b.Setting) })
	t := &table{points: points, beats: square(len(points))}
	for _, m := range axes {
		t.better[m] = square(len(points))
		for i := range points {
			for j := range points {
				a, b := points[i].Of(m), points[j].Of(m)
				if kinds[m].higher {
					a, b = b, a
				}
				t.better[m][i][j] = less(a, b)
			}
		}
	}
	for i := range points {
		for j := range points {
			t.beats[i][j] = t.beat(i, j)
		}
	}
	return t
}

func square(n int) [][]bool {
	out := make([][]bool, n)
	for i := range out {
		out[i] = make([]bool, n)
	}
	return out
}

func (t *table) beat(i, j int) bool {
	a, b, better := t.points[i], t.points[j], false
	for _, m := range axes {
		if t.better[m][j][i] || blind(a.Of(m), b.Of(m)) {
			return false
		}
		better = better || t.better[m][i][j]
	}
	// A few crashes say little, since where they cut the batch is chance. So the model has a say, too, but only for a setting: what is expected to repeat less is not
	// beaten by what is expected to repeat more.
	return better && !expectsMore(a, b)
}

// blind tells whether two summaries cannot be compared though one of them was measured: the other might be better there.
func blind(a, b Summary) bool { return (!a.Known || !b.Known) && a.N+b.N > 0 }

// expectsMore tells whether a crash is expected to repeat more at a than at b.
func expectsMore(a, b Point) bool {
	pa, pb := a.Predicted, b.Predicted
	return pa.N > 0 && pb.N > 0 && pa.Median-pb.Median > matters*pa.Median
}

// measured lists the points that have a valid trial.
func (t *table) measured() (out []int) {
	for i, p := range t.points {
		if p.Valid > 0 {
			out = append(out, i)
		}
	}
	return out
}

// front returns those of the given points that no other of them dominates.
func (t *table) front(among []int) (out []int) {
	for _, j := range among {
		if !slices.ContainsFunc(among, func(i int) bool { return t.dominates(i, j, among) }) {
			out = append(out, j)
		}
	}
	return out
}

// dominates tells whether i beats j, and whatever j beats among the given points.
func (t *table) dominates(i, j int, among []int) bool {
	if !t.beats[i][j] {
		return false
	}
	for _, k := range among {
		if t.beats[j][k] && !t.beats[i][k] {
			return false
		}
	}
	return true
}
