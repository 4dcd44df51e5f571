package tune

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

func same(a, b Recommendation) bool { return reflect.DeepEqual(a, b) }

// busy is a sweep as it comes out in practice: everything keeps up, bigger batches and longer waits are slower.
func busy() []Point {
	return points(
		run{batch: 10, wait: 50 * ms, p99: 300, noise: 0.1},
		run{batch: 50, wait: 50 * ms, p99: 24, noise: 0.1, crash: 60, predicted: 55},
		run{batch: 100, wait: 50 * ms, p99: 41, noise: 0.1, crash: 52},
		run{batch: 1000, wait: 50 * ms, p99: 120, noise: 0.1, crash: 520},
		run{batch: 1000, wait: time.Second, p99: 900, noise: 0.1, crash: 510},
	)
}

func TestRecommend(t *testing.T) {
	type c struct {
		name   string
		points []Point
		slo    SLO
	}
	cases := []c{
		{"everything is told", busy(), SLO{LatencyP99: 250 * ms}},
		{"with a bound for crashes", busy(), SLO{LatencyP99: 1000 * ms, MaxReprocessed: 20}},
		{"with all bounds", busy(), SLO{LatencyP50: 100 * ms, LatencyP99: 250 * ms, LatencyP999: time.Second, MaxReprocessed: 100, MinThroughput: 950}},
		{"without an SLO", busy(), SLO{}},
		{"without crashes", points(run{batch: 10, p99: 40, crash: -1, noise: 0.1}, run{batch: 100, p99: 42, crash: -1, noise: 0.1}), SLO{LatencyP99: 250 * ms}},
		{"crashes bounded and none made", points(run{batch: 10, p99: 40, crash: -1}), SLO{MaxReprocessed: 10}},
		{"more throughput wins", points(run{batch: 10, p99: 40, through: 1000}, run{batch: 500, p99: 90, through: 1400}), SLO{LatencyP99: 250 * ms}},
		{"concurrency", points(run{batch: 10, p99: 400, crash: 5, noise: 0.1}, run{batch: 10, p99: 40, concurrency: 8, crash: 5, noise: 0.1}), SLO{}},
		{"equal points", points(run{batch: 20, p99: 40, crash: 9, predicted: 9}, run{batch: 10, p99: 40, crash: 9, predicted: 9}, run{batch: 30, p99: 40, crash: 9, predicted: 9}), SLO{LatencyP99: 50 * ms}},
		{"nothing keeps it", busy(), SLO{LatencyP99: 5 * ms}},
		{"too slow for all", busy(), SLO{MinThroughput: 5000}},
		{"on the bound", points(run{batch: 10, p99: 100, noise: 0.2}), SLO{LatencyP99: 100 * ms}},
		{"a rival on the bound", points(run{batch: 10, p99: 100, noise: 0.2}, run{batch: 100, p99: 30, noise: 0.2}), SLO{LatencyP99: 100 * ms}},
		{"too close", points(run{batch: 10, p99: 100, noise: 0.09, crash: 5}, run{batch: 10, concurrency: 4, p99: 88, noise: 0.09, crash: 5}), SLO{LatencyP99: 250 * ms}},
		{"one trial", points(run{batch: 10, p99: 10, trials: 1}), SLO{LatencyP99: 100 * ms}},
		{"too few at a rival", points(run{batch: 10, p99: 40, trials: 3}, run{batch: 100, p99: 40}), SLO{LatencyP99: 100 * ms}},
		{"all invalid", []Point{spoil(run{batch: 10, p99: 10}.point(), 7, "the machine was busy with something else")}, SLO{}},
		{"one of two invalid", []Point{spoil(run{batch: 10, p99: 10}.point(), 7, "the machine was busy"), run{batch: 100, p99: 20}.point()}, SLO{}},
		{"no trials", []Point{NewPoint(Setting{10, 0, 1}, nil)}, SLO{}},
		{"no points", nil, SLO{}},
		{"never kept up", []Point{behind(run{batch: 1, p99: 10}.point(), 7)}, SLO{}},
		{"mostly behind", []Point{behind(run{batch: 1, p99: 10}.point(), 5), run{batch: 100, p99: 40}.point()}, SLO{}},
		{"behind once", []Point{behind(run{batch: 1, p99: 10, trials: 9}.point(), 1), run{batch: 100, p99: 40}.point()}, SLO{}},
	}
	var buf bytes.Buffer
	for _, c := range cases {
		r := Recommend(c.points, c.slo)
		fmt.Fprintf(&buf, "## %s\n%s\n", c.name, r.Sentence)
		if len(r.RunnersUp) > 0 {
			fmt.Fprintf(&buf, "  no worse: %s\n", r.RunnersUp)
		}
		for _, ch := range r.Changes {
			fmt.Fprintf(&buf, "  %s\n", ch.Text)
		}
		for _, x := range r.Excluded {
			fmt.Fprintf(&buf, "  out: %s: %s\n", x.Setting, x.Why)
		}
		buf.WriteByte('\n')
		if r.CannotTell == (r.Setting != nil) || r.CannotTell && (r.Reason == "" || r.Advice == "") || r.Sentence == "" {
			t.Errorf("%s: %+v", c.name, r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	check(t, "recommendations.txt", buf.Bytes())
}

// What is recommended keeps the SLO for sure and is on the front of those that do; and a change that is announced comes true.
func TestRecommendationHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := drawn(t)
		slo := SLO{LatencyP99: time.Duration(rapid.IntRange(0, 120).Draw(t, "slo")) * ms, MaxReprocessed: rapid.SampledFrom([]int{0, 60, 90}).Draw(t, "reprocessed")}
		r := Recommend(ps, slo)
		if r.CannotTell {
			if r.Setting != nil || r.Reason == "" {
				t.Fatalf("%+v", r)
			}
			return
		}
		for _, p := range ps {
			if p.Setting != *r.Setting {
				continue
			}
			if p.Valid < NeedTrials || slo.LatencyP99 > 0 && p.P99.High > inMS(slo.LatencyP99) || slo.MaxReprocessed > 0 && p.Reprocessed.High > float64(slo.MaxReprocessed) {
				t.Fatalf("%v breaks %+v: %+v", p.Setting, slo, p)
			}
		}
		for _, ch := range r.Changes {
			other := slo
			switch ch.Bound {
			case P99.String():
				other.LatencyP99 = fromMS(ch.Limit)
				if strings.Contains(ch.Text, "below") {
					other.LatencyP99--
				}
			case Reprocessed.String():
				other.MaxReprocessed = int(ch.Limit)
			default:
				other.MinThroughput = ch.Limit + 1e-9
			}
			if got := Recommend(ps, other); got.Setting == nil || *got.Setting != ch.Setting || *got.Setting == *r.Setting {
				t.Fatalf("%s: %+v", ch.Text, got)
			}
		}
	})
}

func TestDecided(t *testing.T) {
	ps := append(busy(),
		spoil(run{batch: 2, wait: 50 * ms, p99: 10}.point(), 7, "the machine was busy"),
		behind(run{batch: 1, wait: 50 * ms, p99: 10}.point(), 7),
		run{batch: 60, wait: 50 * ms, p99: 60, noise: 0.01}.point(),
		run{batch: 70, wait: 50 * ms, p99: 20, trials: 2}.point(),
		run{batch: 80, wait: 50 * ms, p99: 250, noise: 0.02}.point(),
	)
	var buf bytes.Buffer
	for _, v := range Decided(ps, SLO{LatencyP99: 250 * ms}, 6) {
		fmt.Fprintf(&buf, "%s: %s\n", v.Setting, v.Why)
	}
	check(t, "decided.txt", buf.Bytes())
	if got := Decided(ps, SLO{LatencyP99: 250 * ms}, 8); len(got) != 0 {
		t.Errorf("decided with too few trials: %v", got)
	}
	if got := Decided(nil, SLO{}, 0); len(got) != 0 {
		t.Errorf("decided about nothing: %v", got)
	}
	// Two of which the choice is open need more trials, however narrow their intervals are.
	tight := points(run{batch: 10, p99: 100, noise: 0.04, crash: 5}, run{batch: 10, concurrency: 4, p99: 95, noise: 0.04, crash: 5})
	if got := Decided(tight, SLO{}, 6); len(got) != 0 || !Recommend(tight, SLO{}).CannotTell {
		t.Errorf("%v", got)
	}
	// A better one that breaks a bound is no reason to give up the other.
	pair := points(run{batch: 10, p99: 40, noise: 0.1}, run{batch: 100, p99: 60, noise: 0.1})
	for i := range pair[0].Trials {
		pair[0].Trials[i].Latency.P999 = 500
	}
	pair[0] = NewPoint(pair[0].Setting, pair[0].Trials)
	if got := Decided(pair, SLO{LatencyP999: 300 * ms}, 6); len(got) != 1 || got[0].Setting.BatchSize != 10 {
		t.Errorf("%v", got)
	}
}
