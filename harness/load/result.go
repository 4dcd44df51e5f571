package load

import "time"

// Result is one load measurement at one setting. Times are milliseconds unless
// a name says otherwise; times within the run are seconds from the start of the measured part, and negative in the warm-up.
type Result struct {
	// Name is the directory below load/ that holds history, logs and histograms; unique in a run.
	Name string `json:"name,omitempty"`
	// Started is when the measured part began, by the clock of the machine that measured: zero for runs of older versions.
	Started   time.Time `json:"started,omitzero"`
	BatchSize int       `json:"batch_size"`
	Rate      float64   `json:"rate"`              // offered, messages/s, on average
	Profile   string    `json:"profile,omitempty"` // of the rate, as --rate takes it
	Seconds   float64   `json:"seconds"`           // measured, warm-up apart
	Messages  int       `json:"messages"`          // sent in that time
	Size      int       `json:"size"`              // bytes of a value, on average
	Through   float64   `json:"throughput"`        // effects done, messages/s
	MBps      float64   `json:"throughput_mb_s"`   // the same in MB/s of values
	Latency   Latency   `json:"latency_ms"`        // from due to effect done
	// ClosedLoop is what a tester would have read from the same run that sends its next message when the last one is done.
	ClosedLoop *Latency `json:"closed_loop_ms,omitempty"`
	// Stages are the parts of Latency, and the commit after it, in the order a message goes through them.
	Stages  []StageLatency `json:"stages,omitempty"`
	LateMS  float64        `json:"schedule_late_ms"` // worst delay of the generator behind its schedule
	PeakLag int64          `json:"peak_lag"`         // messages, over all partitions

	// Reprocessed is per crash in the middle of a batch under this load.
	Reprocessed Reprocessed `json:"reprocessed_per_crash"`

	Intervals []Interval `json:"intervals,omitempty"` // the measured part and the crashes, in equal steps
	Lag       []LagLine  `json:"lag,omitempty"`       // by partition
	Faults    []Span     `json:"faults,omitempty"`
	Machine   *Machine   `json:"machine,omitempty"`
	Ceiling   *Ceiling   `json:"ceiling,omitempty"`

	// Valid is false when the number must not be believed; Reason says why, and what to change.
	Valid  bool   `json:"valid"`
	Reason string `json:"reason,omitempty"`
}

// Latency is a summary of an HdrHistogram, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
	// Percentiles is the curve, for the chart: pairs of percentile and value.
	Percentiles [][2]float64 `json:"percentiles,omitempty"`
}

// StageLatency is one part of the way of a message.
type StageLatency struct {
	Stage string `json:"stage"` // see Stages
	Count int64  `json:"count"` // messages of which it is known
	Latency
}

// Interval is a step of the run. Latencies are of the messages due in it, everything else is of what happened in it.
type Interval struct {
	From       float64 `json:"from"`       // s
	Seconds    float64 `json:"seconds"`    // its length
	Offered    float64 `json:"offered"`    // messages/s due
	Through    float64 `json:"throughput"` // messages/s done
	P50        float64 `json:"p50"`
	P99        float64 `json:"p99"`
	Max        float64 `json:"max"`
	Lag        int64   `json:"lag"`        // most messages due and not done at one moment
	Repeated   int     `json:"repeated"`   // effects done again
	Rebalances int     `json:"rebalances"` // generations of the group that began
}

// LagLine is the lag of one partition as its broker tells it: log end minus committed.
type LagLine struct {
	Partition int32        `json:"partition"`
	Points    [][2]float64 `json:"points"` // s, records
}

// Span is a fault while the load ran.
type Span struct {
	Name string  `json:"name"`
	From float64 `json:"from"` // s
	To   float64 `json:"to"`
	Note string  `json:"note,omitempty"`
}

// Machine is what the machine and the generator did while it was measured.
type Machine struct {
	Busy       float64 `json:"busy"`        // share of all CPUs in use, 0 to 1
	Steal      float64 `json:"steal"`       // share taken by other guests of the host, 0 to 1
	StealMaxMS float64 `json:"steal_max"`   // most in one look, ms of one CPU
	GCPauseMS  float64 `json:"gc_pause_ms"` // longest stop of the generator's own garbage collector
	SubjectCPU float64 `json:"subject_cpu"` // CPU seconds of the members and their children
	Known      bool    `json:"known"`       // false where the system does not tell (only Linux does)
}

// Ceiling is what a consumer that does nothing reaches at the same settings: no claim near it says anything about the subject.
type Ceiling struct {
	Through float64 `json:"throughput"` // messages/s
	Ratio   float64 `json:"ratio"`      // to the throughput that is claimed
}

// Reprocessed compares the blast radius of a crash with its prediction.
type Reprocessed struct {
	Measured  int     `json:"measured"`  // effects repeated after a crash, on average
	Predicted float64 `json:"predicted"` // expected by the model, see Predict
	Low       int     `json:"low"`       // the least the model allows
	High      int     `json:"high"`      // the most the model allows
	Crashes   int     `json:"crashes"`   // how many were made
	Each      []int   `json:"each,omitempty"`
}

// IntervalAt is the number of the interval that has a time, in seconds from the start of the measured part; -1 if none has.
func (r *Result) IntervalAt(seconds float64) int {
	for i, in := range r.Intervals {
		if seconds >= in.From && seconds < in.From+in.Seconds {
			return i
		}
	}
	return -1
}

// Thin keeps at most n points of a line, evenly, with its first and its last.
func Thin(points [][2]float64, n int) [][2]float64 {
	if len(points) <= n || n < 2 {
		return points
	}
	kept := make([][2]float64, n)
	for i := range kept {
		kept[i] = points[i*(len(points)-1)/(n-1)]
	}
	return kept
}
