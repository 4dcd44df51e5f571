package load

// Result is one load measurement at one batch size. Times are milliseconds.
type Result struct {
	BatchSize int     `json:"batch_size"`
	Rate      float64 `json:"rate"`             // offered, messages/s
	Seconds   float64 `json:"seconds"`          // measured, warm-up apart
	Messages  int     `json:"messages"`         // sent in that time
	Size      int     `json:"size"`             // bytes of a value
	Through   float64 `json:"throughput"`       // effects done, messages/s
	MBps      float64 `json:"throughput_mb_s"`  // the same in MB/s of values
	Latency   Latency `json:"latency_ms"`       // from due to effect done
	LateMS    float64 `json:"schedule_late_ms"` // worst delay of the generator behind its schedule
	PeakLag   int64   `json:"peak_lag"`         // messages, over all partitions

	// Reprocessed is per crash in the middle of a batch under this load.
	Reprocessed Reprocessed `json:"reprocessed_per_crash"`
	// Valid is false when the number must not be believed; Reason says why.
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

// Reprocessed compares the blast radius of a crash with its prediction.
type Reprocessed struct {
	Measured  int     `json:"measured"`  // effects repeated after the crash
	Predicted float64 `json:"predicted"` // expected by the model, see Predict
	Low       int     `json:"low"`       // the least the model allows
	High      int     `json:"high"`      // the most the model allows
	Crashes   int     `json:"crashes"`   // how many were made
}
