package tune

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/internal/golden"
)

// check compares got with testdata/name.
func check(t *testing.T, name string, got []byte) {
	t.Helper()
	golden.Check(t, filepath.Join("testdata", name), got)
}

// run is what a made-up setting does on average.
type run struct {
	batch       int
	wait        time.Duration
	concurrency int
	trials      int     // 7 if 0
	through     float64 // messages/s; 1000 if 0
	p99         float64 // ms
	noise       float64 // of p99 and throughput as a share, one way and the other
	crash       float64 // records; -1 without crashes, half a batch if 0
	predicted   float64 // half a batch if 0
}

// swing is how far from the average each trial is, as a share of the noise. It goes both ways and repeats no value.
var swing = []float64{0, -0.9, 0.8, -0.5, 0.4, -0.2, 0.3, 1, -1, 0.6, -0.7, 0.1}

func (r run) setting() Setting {
	return Setting{r.batch, r.wait, max(1, r.concurrency)}
}

func (r run) results() []load.Result {
	orElse := func(v, d float64) float64 {
		if v == 0 {
			return d
		}
		return v
	}
	var out []load.Result
	for i := range int(orElse(float64(r.trials), 7)) {
		off := r.noise * swing[i%len(swing)]
		res := load.Result{
			Name: fmt.Sprintf("batch-%d-trial-%d", r.batch, i+1), BatchSize: r.batch, Rate: 1000, Seconds: 10, Messages: 10000,
			Through: orElse(r.through, 1000) * (1 - off/10), Valid: true,
			Latency: load.Latency{P50: r.p99 * (1 + off) / 4, P99: r.p99 * (1 + off), P999: r.p99 * (1 + off) * 2},
			Machine: &load.Machine{SubjectCPU: 3 + float64(i)/100, Known: true},
		}
		if r.crash >= 0 {
			// Where a crash cuts a batch is chance: anywhere in it.
			about := orElse(r.crash, float64(r.batch)/2)
			each := []int{int(about * (1 + 0.8*swing[i%len(swing)])), int(about * (1 - 0.7*swing[i%len(swing)]))}
			res.Reprocessed = load.Reprocessed{Crashes: 2, Each: each, Measured: (each[0] + each[1]) / 2, Predicted: orElse(r.predicted, float64(r.batch)/2)}
		}
		out = append(out, res)
	}
	return out
}

func (r run) point() Point { return NewPoint(r.setting(), r.results()) }

func points(runs ...run) (out []Point) {
	for _, r := range runs {
		out = append(out, r.point())
	}
	return out
}

// spoil makes the first n trials of a point invalid.
func spoil(p Point, n int, reason string) Point {
	for i := range n {
		p.Trials[i].Valid, p.Trials[i].Reason = false, reason
	}
	return NewPoint(p.Setting, p.Trials)
}

// behind makes the first n trials of a point those of a subject that did not keep up.
func behind(p Point, n int) Point {
	for i := range n {
		p.Trials[i].Through = 600
	}
	return spoil(p, n, "the consumer kept up with 600 of 1000 messages/s")
}
