package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Names of the phases of a load run, as its history has them in Phase events.
const (
	PhaseMeasure  = "measure"  // from here messages count
	PhaseMeasured = "measured" // to here
)

// Histograms record 1 µs to 10 minutes with three significant digits (0.1 %).
const (
	lowestMicros  = 1
	highestMicros = int64(10 * time.Minute / time.Microsecond)
	digits        = 3
)

// NewHistogram returns an empty histogram of latencies in microseconds.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(lowestMicros, highestMicros, digits)
}

// Summary turns a histogram of microseconds into milliseconds.
func Summary(h *hdrhistogram.Histogram) Latency {
	l := Latency{
		P50: millis(h.ValueAtPercentile(50)), P90: millis(h.ValueAtPercentile(90)), P99: millis(h.ValueAtPercentile(99)),
		P999: millis(h.ValueAtPercentile(99.9)), Max: millis(h.Max()), Mean: h.Mean() / 1000,
	}
	for _, p := range curve {
		if h.TotalCount() > 0 && (100-p)/100*float64(h.TotalCount()) >= 1 || p == 50 {
			l.Percentiles = append(l.Percentiles, [2]float64{p, millis(h.ValueAtPercentile(p))})
		}
	}
	return l
}

// curve is where the latency chart has its points; those that stand for less than one
// message are left out.
var curve = []float64{0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999}
