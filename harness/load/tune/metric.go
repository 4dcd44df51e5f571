package tune

import (
	"math"

	"github.com/ksim-dev/ksim/harness/load"
)

// Metric is one figure of a trial.
type Metric int

// The metrics, in the order of tables.
const (
	Throughput  Metric = iota // messages/s done
	P50                       // ms, from due to done
	P99                       // ms
	P999                      // ms
	CPU                       // CPU seconds of the members per 1000 messages
	Reprocessed               // records that a crash made the group repeat, on average over the crashes of a trial
	Predicted                 // the same by the model
	numMetrics
)

// kind is what tables and sentences say of a metric, and how a trial tells it.
type kind struct {
	name   string
	unit   string // as in a line of a Go benchmark
	higher bool   // more is better
	// read returns the figure; ok is false if the trial did not look at it.
	read func(load.Result) (v float64, ok bool)
}

var kinds = [numMetrics]kind{
	Throughput:  {"throughput", "msg/s", true, func(r load.Result) (float64, bool) { return r.Through, true }},
	P50:         {"p50", "p50-ms", false, func(r load.Result) (float64, bool) { return r.Latency.P50, true }},
	P99:         {"p99", "p99-ms", false, func(r load.Result) (float64, bool) { return r.Latency.P99, true }},
	P999:        {"p99.9", "p99.9-ms", false, func(r load.Result) (float64, bool) { return r.Latency.P999, true }},
	CPU:         {"cpu", "cpu-s/1000msg", false, cpu},
	Reprocessed: {"reprocessed", "records/crash", false, reprocessed},
	Predicted:   {"predicted", "predicted/crash", false, func(r load.Result) (float64, bool) { return r.Reprocessed.Predicted, r.Reprocessed.Crashes > 0 }},
}

// String is the name of the metric in tables and files.
func (m Metric) String() string { return kinds[m].name }

// Unit is the unit of the metric, as benchstat shows it.
func (m Metric) Unit() string { return kinds[m].unit }

// HigherIsBetter tells which way is an improvement.
func (m Metric) HigherIsBetter() bool { return kinds[m].higher }

// Metrics lists all metrics.
func Metrics() []Metric {
	out := make([]Metric, numMetrics)
	for i := range out {
		out[i] = Metric(i)
	}
	return out
}

func cpu(r load.Result) (float64, bool) {
	if r.Machine == nil || !r.Machine.Known || r.Messages == 0 {
		return 0, false
	}
	return r.Machine.SubjectCPU / float64(r.Messages) * 1000, true
}

// reprocessed prefers the single crashes: the average in Measured is a whole number, and one of three crashes that repeat 1 record would be 0.
func reprocessed(r load.Result) (float64, bool) {
	if r.Reprocessed.Crashes == 0 {
		return 0, false
	}
	if len(r.Reprocessed.Each) == 0 {
		return float64(r.Reprocessed.Measured), true
	}
	sum := 0.0
	for _, n := range r.Reprocessed.Each {
		sum += float64(n)
	}
	return sum / float64(len(r.Reprocessed.Each)), true
}

// credible tells whether every figure of a trial is a number that such a figure can have.
func credible(r load.Result) bool {
	for _, k := range kinds {
		if v, ok := k.read(r); ok && (math.IsNaN(v) || math.IsInf(v, 0) || v < 0) {
			return false
		}
	}
	return !math.IsNaN(r.Rate) && !math.IsInf(r.Rate, 0) && r.Rate >= 0
}
