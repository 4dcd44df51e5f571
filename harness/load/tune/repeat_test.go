package tune

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/load"
)

// measure makes up a sweep of a consumer whose true figures are known, with noise as on a busy machine: one trial differs from the next by 8 % in p99, a crash
// cuts the batch anywhere, and 1 trial in 30 is invalid. The dearer a call is, in ms, the slower are small batches.
func measure(r *rand.Rand, settings []Setting, base, call float64) (out []Point) {
	for _, s := range settings {
		p99 := truth(s, base, call)
		trials := make([]load.Result, 8)
		for k := range trials {
			noisy := p99 * math.Exp(0.08*r.NormFloat64())
			res := load.Result{
				Rate: 1000, Seconds: 10, Messages: 10000, Through: 1000 * (1 + 0.003*r.NormFloat64()), Valid: r.IntN(30) > 0, Reason: "the machine was busy",
				Latency: load.Latency{P50: noisy / 3, P99: noisy, P999: noisy * 2},
			}
			each := []int{r.IntN(s.BatchSize + 1), r.IntN(s.BatchSize + 1), r.IntN(s.BatchSize + 1)}
			res.Reprocessed = load.Reprocessed{Each: each, Crashes: 3, Predicted: float64(s.BatchSize) / 2}
			trials[k] = res
		}
		out = append(out, NewPoint(s, trials))
	}
	return out
}

// truth is the p99 of a setting without noise, in ms.
func truth(s Setting, base, call float64) float64 {
	return base + inMS(s.BatchWait) + 0.02*float64(s.BatchSize) + call/float64(s.BatchSize*s.Concurrency)
}

// Two sweeps of the same consumer recommend the same, or one of them says that it cannot tell. No rule can promise that for every noise, so few may differ. And
// what is recommended does keep the SLO.
func TestTwoSweepsAgree(t *testing.T) {
	settings := Grid([]int{1, 10, 100, 1000}, []time.Duration{0, 50 * ms}, []int{1, 4})
	r := rand.New(rand.NewPCG(1, 2))
	const pairs = 200
	told, differ, broken, settingsTold := 0, 0, 0, make(map[Setting]int)
	for range pairs {
		base, call, slo := 5+50*r.Float64(), math.Pow(10, 1+4*r.Float64()), SLO{LatencyP99: time.Duration(20+r.IntN(300)) * ms}
		if r.IntN(2) == 0 {
			slo.MaxReprocessed = 1 + r.IntN(600)
		}
		a, b := Recommend(measure(r, settings, base, call), slo), Recommend(measure(r, settings, base, call), slo)
		if a.CannotTell || b.CannotTell {
			continue
		}
		told++
		settingsTold[*a.Setting]++
		if truth(*a.Setting, base, call) > inMS(slo.LatencyP99) {
			broken++
		}
		if *a.Setting != *b.Setting {
			differ++
			t.Logf("%+v: %v, then %v", slo, *a.Setting, *b.Setting)
		}
	}
	t.Logf("of %d pairs %d told both times, %d of them differ, %d break the SLO: %v", pairs, told, differ, broken, settingsTold)
	if told < pairs/2 || len(settingsTold) < 3 || differ*50 > told || broken*50 > told {
		t.Errorf("of %d pairs %d told both times, %d of them differ, %d break the SLO", pairs, told, differ, broken)
	}
}
