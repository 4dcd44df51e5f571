package reports_test

import (
	"math"

	"github.com/ksim-dev/ksim/harness/load"
)

// The crash of the sample load, and how long the group needs to go on.
const (
	sampleCrash = 3.0
	sampleBack  = 4.2
)

// tail is a latency whose curve rises with every nine.
func tail(base float64) load.Latency {
	v := func(n float64) float64 { return base * (0.6 + 0.4*n + 0.12*n*n*n) }
	t := load.Latency{P50: v(0.301), P90: v(1), P99: v(2), P999: v(3), Max: v(4), Mean: base}
	for n := 0.0; n <= 4; n += 0.05 {
		t.Percentiles = append(t.Percentiles, [2]float64{100 * (1 - math.Pow(10, -n)), v(n)})
	}
	return t
}

// sampleLoad is a load at three batch sizes. In each, a member crashes and for a while nothing is done.
func sampleLoad() []load.Result {
	var out []load.Result
	for i, batch := range []int{10, 100, 1000} {
		base := []float64{3.1, 7.4, 46}[i]
		closed := tail(base)
		closed.Percentiles, closed.P99, closed.P999 = nil, closed.P50*1.4, closed.P50*2
		out = append(out, load.Result{
			Name: []string{"batch-10", "batch-100", "batch-1000"}[i], Profile: "2000",
			BatchSize: batch, Rate: 2000, Seconds: 5, Messages: 10000, Size: 256, Through: []float64{1712.4, 1998.7, 1999.2}[i], MBps: 0.51,
			Latency: tail(base), ClosedLoop: &closed, Stages: sampleStages(base),
			PeakLag: []int64{4120, 230, 1900}[i], LateMS: []float64{312, 1.2, 0.8}[i], Valid: i != 0,
			Reprocessed: load.Reprocessed{Measured: []int{6, 71, 480}[i], Predicted: []float64{5.5, 50.5, 500.5}[i], Low: 1, High: batch, Crashes: 2, Each: []int{batch / 4, batch * 3 / 4}},
			Intervals:   sampleIntervals(base), Lag: sampleLag(4, float64(batch)),
			Faults:  []load.Span{{Name: "crash", From: sampleCrash, To: sampleBack, Note: "m1 was killed in the middle of a batch"}, {Name: "broker-slow", From: 5.5, To: 6.2}},
			Machine: &load.Machine{Busy: 0.71, Steal: 0.02, StealMaxMS: 14, GCPauseMS: 0.4, SubjectCPU: 3.2, Known: true},
			Ceiling: &load.Ceiling{Through: 41000, Ratio: 20.5},
		})
	}
	out[0].Reason = "the generator was 312 ms behind its schedule"
	return out
}

func sampleStages(base float64) []load.StageLatency {
	var out []load.StageLatency
	for i, s := range load.Stages() {
		t := tail(base * []float64{0.02, 0.2, 0.25, 0.4, 0.15, 0.5, 1}[i])
		t.Percentiles = nil
		out = append(out, load.StageLatency{Stage: s.String(), Count: 10000, Latency: t})
	}
	return out
}

// stalled tells how far into the stall t is, 0 outside of it.
func stalled(t float64) float64 {
	if t < sampleCrash || t > sampleBack {
		return 0
	}
	return (sampleBack - t) * 1000
}

func sampleIntervals(base float64) []load.Interval {
	var out []load.Interval
	for i := range 80 {
		from := 0.1 * float64(i)
		wave := base * (1 + 0.2*math.Sin(from*3))
		n := load.Interval{From: from, Seconds: 0.1, Offered: 2000, Through: 2000 + 40*math.Sin(from*7), P50: wave, P99: wave * 1.9, Max: wave * 2.6, Lag: 40}
		if wait := stalled(from); wait > 0 {
			n.P50, n.P99, n.Max, n.Through, n.Lag = wait, wait+90, wait+100, 600, int64(2000*(from-sampleCrash))
		}
		if i == 42 {
			n.Through, n.Repeated, n.Rebalances = 5200, 70, 1
		}
		if i == 60 {
			n.P50, n.P99, n.Max = 0, 0, 0 // nothing was due
		}
		out = append(out, n)
	}
	return out
}

func sampleLag(partitions int, batch float64) []load.LagLine {
	var out []load.LagLine
	for p := range partitions {
		l := load.LagLine{Partition: int32(p)}
		for i := range 40 {
			t := 0.2*float64(i) + 0.01*float64(p)
			lag := batch/2 + float64((i*7+p*13)%10)
			if t > sampleCrash && t < sampleBack && p < 2 {
				lag += 500 * (t - sampleCrash)
			}
			l.Points = append(l.Points, [2]float64{t, math.Round(lag)})
		}
		out = append(out, l)
	}
	return out
}
