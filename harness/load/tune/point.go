package tune

import (
	"cmp"
	"slices"

	"github.com/ksim-dev/ksim/harness/load"
)

// Point is one setting and what its trials say.
type Point struct {
	Setting Setting       `json:"setting"`
	Trials  []load.Result `json:"trials"`  // all, in the order they were made
	Valid   int           `json:"valid"`   // trials that count
	Invalid int           `json:"invalid"` // trials that do not; each has its reason
	// Behind is how many of the invalid ones are so because the subject did not keep up: that is a result, too.
	Behind int     `json:"behind"`
	Rate   float64 `json:"rate"` // offered, messages/s, median of the valid trials

	Throughput  Summary `json:"throughput"` // messages/s
	P50         Summary `json:"p50_ms"`
	P99         Summary `json:"p99_ms"`
	P999        Summary `json:"p999_ms"`
	CPU         Summary `json:"cpu_s_per_1000"`        // CPU seconds per 1000 messages
	Reprocessed Summary `json:"reprocessed_per_crash"` // records, measured
	Predicted   Summary `json:"predicted_per_crash"`   // records, by the model
}

// NewPoint summarises the trials of a setting. Only valid ones count. One with a figure that is no number, or is less than 0, is made invalid.
func NewPoint(s Setting, trials []load.Result) Point {
	p := Point{Setting: s, Trials: make([]load.Result, 0, len(trials))}
	for _, r := range trials {
		if !credible(r) {
			// The figures go: JSON has no NaN, and nothing of them can be believed.
			r = load.Result{Name: r.Name, BatchSize: r.BatchSize, Profile: r.Profile, Reason: "a figure is no number, or less than 0"}
		}
		p.Trials = append(p.Trials, r)
	}
	valid := validOf(p.Trials)
	p.Valid, p.Invalid = len(valid), len(p.Trials)-len(valid)
	for _, r := range p.Trials {
		if r.FellBehind() {
			p.Behind++
		}
	}
	rates := make([]float64, len(valid))
	for i, r := range valid {
		rates[i] = r.Rate
	}
	p.Rate = summarize(rates).Median
	for _, m := range Metrics() {
		*p.at(m) = summaryOf(m, valid)
	}
	return p
}

// Of is the summary of one metric.
func (p Point) Of(m Metric) Summary { return *p.at(m) }

func (p *Point) at(m Metric) *Summary {
	return [numMetrics]*Summary{&p.Throughput, &p.P50, &p.P99, &p.P999, &p.CPU, &p.Reprocessed, &p.Predicted}[m]
}

// unmeasured says why a point has no valid trial.
func (p Point) unmeasured() string {
	if len(p.Trials) == 0 {
		return "it has no trials"
	}
	return "none of its trials is valid: " + p.Reason()
}

// Reason is what most of the invalid trials give as theirs; "" if there are none.
func (p Point) Reason() string {
	count, reasons := make(map[string]int), []string(nil)
	for _, r := range p.Trials {
		if !r.Valid {
			count[r.Reason]++
			reasons = append(reasons, r.Reason)
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return slices.MaxFunc(reasons, func(a, b string) int { return cmp.Compare(count[a], count[b]) })
}

func validOf(trials []load.Result) (out []load.Result) {
	for _, r := range trials {
		if r.Valid && credible(r) {
			out = append(out, r)
		}
	}
	return out
}

func summaryOf(m Metric, valid []load.Result) Summary {
	var values []float64
	for _, r := range valid {
		if v, ok := kinds[m].read(r); ok {
			values = append(values, v)
		}
	}
	return summarize(values)
}
