package tune

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ksim-dev/ksim/harness/load"
)

func batches(ps []Point) (out []int) {
	for _, p := range ps {
		out = append(out, p.Setting.BatchSize)
	}
	return out
}

func TestFront(t *testing.T) {
	cases := []struct {
		name   string
		points []Point
		want   []int
	}{
		{"nothing", nil, nil},
		{"all invalid", []Point{spoil(run{batch: 1, p99: 1}.point(), 7, "x")}, nil},
		{"one trial each", points(run{batch: 1, p99: 1, trials: 1}, run{batch: 10, p99: 900, trials: 1}), []int{1, 10}},
		{"equal", points(run{batch: 1, p99: 5, crash: 4, predicted: 4}, run{batch: 2, p99: 5, crash: 4, predicted: 4}), []int{1, 2}},
		{"within noise", points(run{batch: 20, p99: 40, noise: 0.2, crash: 10, predicted: 10}, run{batch: 21, p99: 45, noise: 0.2, crash: 10, predicted: 10}), []int{20, 21}},
		{"dominated", points(run{batch: 20, p99: 40, noise: 0.05}, run{batch: 400, p99: 90, noise: 0.05}), []int{20}},
		{"a trade", points(run{batch: 20, p99: 90, noise: 0.05}, run{batch: 400, p99: 40, noise: 0.05}), []int{20, 400}},
		{"three, one out", points(run{batch: 20, p99: 90, noise: 0.05}, run{batch: 400, p99: 40, noise: 0.05}, run{batch: 500, p99: 95, noise: 0.02}), []int{20, 400}},
		{"the model expects less", points(run{batch: 20, p99: 90, crash: 30, predicted: 10}, run{batch: 40, p99: 40, crash: 30, predicted: 20}), []int{20, 40}},
		{"a difference of nothing", points(run{batch: 20, p99: 40, through: 1000}, run{batch: 400, p99: 90, through: 1001}), []int{20}},
		{"no crashes anywhere", points(run{batch: 20, p99: 40, crash: -1}, run{batch: 400, p99: 90, crash: -1}), []int{20}},
		{"no crashes at one", points(run{batch: 20, p99: 40}, run{batch: 400, p99: 90, crash: -1}), []int{20, 400}},
	}
	for _, c := range cases {
		if got := batches(Front(c.points)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// drawn makes points whose intervals overlap, touch and are apart in all ways; some are short of trials, crashes or both.
func drawn(t *rapid.T) (out []Point) {
	for i := range rapid.IntRange(0, 9).Draw(t, "points") {
		trials := make([]load.Result, rapid.SampledFrom([]int{0, 1, 5, 6, 7, 9}).Draw(t, "trials"))
		level := func(name string) int { return rapid.IntRange(1, 6).Draw(t, name) }
		through, p99, crash, wide := level("through"), level("p99"), level("crash"), rapid.IntRange(0, 3).Draw(t, "wide")
		crashes := rapid.IntRange(0, 4).Draw(t, "crashes") > 0
		for k := range trials {
			off := float64(wide) * float64(k%5-2) / 2
			trials[k] = load.Result{
				Valid: rapid.IntRange(0, 19).Draw(t, "valid") > 0, Rate: 100, Seconds: 1, Messages: 100,
				Through: 100 + float64(through)*10 + off*10, Latency: load.Latency{P50: 1, P99: 40 + float64(p99)*10 + off*10, P999: 200},
			}
			if crashes {
				trials[k].Reprocessed = load.Reprocessed{Measured: 40 + crash*10 + int(off*10), Predicted: float64(rapid.IntRange(1, 2).Draw(t, "predicted")), Crashes: 1}
			}
		}
		out = append(out, NewPoint(Setting{10 * (i + 1), time.Duration(i%2) * time.Second, 1}, trials))
	}
	return out
}

func TestFrontIsAFront(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := drawn(t)
		tab := newTable(ps)
		among := tab.measured()
		front := tab.front(among)
		if len(among) > 0 && len(front) == 0 {
			t.Fatal("the front is empty")
		}
		for _, j := range among {
			dominators := 0
			for _, i := range among {
				if !tab.dominates(i, j, among) {
					continue
				}
				if slices.Contains(front, i) {
					dominators++
				}
				if slices.Contains(front, j) {
					t.Fatalf("%v is on the front, and %v dominates it", ps[j].Setting, ps[i].Setting)
				}
				if tab.dominates(j, i, among) {
					t.Fatalf("%v and %v dominate each other", ps[i].Setting, ps[j].Setting)
				}
				if !apart(ps[i], ps[j]) {
					t.Fatalf("%v and %v cannot be told apart, and one dominates", ps[i].Setting, ps[j].Setting)
				}
			}
			if dominators == 0 && !slices.Contains(front, j) {
				t.Fatalf("no member of the front dominates %v", ps[j].Setting)
			}
		}
	})
}

// apart tells by the figures alone whether some axis tells two points apart.
func apart(a, b Point) bool {
	for _, m := range axes {
		x, y := a.Of(m), b.Of(m)
		if x.Known && y.Known && (x.Low > y.High || x.High < y.Low) {
			return true
		}
	}
	return false
}

// Neither the front, nor what is recommended, nor what is decided depends on the order of the points.
func TestOrderMeansNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := drawn(t)
		slo := SLO{LatencyP99: time.Duration(rapid.IntRange(0, 120).Draw(t, "slo")) * time.Millisecond, MaxReprocessed: rapid.SampledFrom([]int{0, 60, 90}).Draw(t, "reprocessed")}
		mixed := rapid.Permutation(ps).Draw(t, "order")
		if a, b := batches(Front(ps)), batches(Front(mixed)); !slices.Equal(a, b) {
			t.Fatalf("front: %v, then %v", a, b)
		}
		if a, b := Recommend(ps, slo), Recommend(mixed, slo); !same(a, b) {
			t.Fatalf("recommended: %+v, then %+v", a, b)
		}
		if a, b := Decided(ps, slo, 3), Decided(mixed, slo, 3); !slices.Equal(a, b) {
			t.Fatalf("decided: %v, then %v", a, b)
		}
	})
}

// Dominance is transitive though "cannot be told apart" is not.
func TestDominanceIsTransitive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "points")
		tab := &table{points: make([]Point, n), beats: square(n)}
		var all []int
		for i := range n {
			all = append(all, i)
			for j := range i { // any tournament with draws, circles included
				switch rapid.IntRange(0, 2).Draw(t, "beats") {
				case 1:
					tab.beats[i][j] = true
				case 2:
					tab.beats[j][i] = true
				}
			}
		}
		for _, i := range all {
			for _, j := range all {
				for _, k := range all {
					if tab.dominates(i, j, all) && tab.dominates(j, k, all) && !tab.dominates(i, k, all) {
						t.Fatalf("%d, %d, %d: %v", i, j, k, tab.beats)
					}
				}
			}
		}
		if len(tab.front(all)) == 0 {
			t.Fatalf("an empty front: %v", tab.beats)
		}
	})
}
