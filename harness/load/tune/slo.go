package tune

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/ksim-dev/ksim/harness/load"
)

// SLO is what a setting has to keep. A bound of 0 is none. Whatever it says, a setting has to keep up with the offered rate.
type SLO struct {
	LatencyP50     time.Duration // from due to done
	LatencyP99     time.Duration
	LatencyP999    time.Duration
	MaxReprocessed int     // records a crash repeats, on average over the crashes of a trial
	MinThroughput  float64 // messages/s
}

// verdict is whether a setting keeps an SLO.
type verdict int

const (
	unsure verdict = iota // an interval holds the bound, or is not known
	keeps
	breaks
)

// judgement is a verdict and its reason.
type judgement struct {
	verdict
	why string
	// over is by how much the bound is broken at least, as a factor of the bound.
	over float64
}

// bound is one bound of an SLO.
type bound struct {
	metric Metric
	limit  float64 // in the unit of the metric; of throughput the least, else the most
}

// bounds lists what p has to keep.
func (s SLO) bounds(p Point) []bound {
	out := []bound{{Throughput, max(load.MinThrough*p.Rate, s.MinThroughput)}}
	for _, b := range []bound{
		{P50, inMS(s.LatencyP50)}, {P99, inMS(s.LatencyP99)}, {P999, inMS(s.LatencyP999)}, {Reprocessed, float64(s.MaxReprocessed)},
	} {
		if b.limit > 0 {
			out = append(out, b)
		}
	}
	return out
}

// judge tells whether p keeps the SLO. It breaks it if one bound is broken for sure, and keeps it if all are kept for sure.
func (s SLO) judge(p Point) judgement {
	if n := p.Valid + p.Behind; p.Behind > 0 && 2*p.Behind > n && n >= 3 {
		return judgement{breaks, fmt.Sprintf("it did not keep up with the offered rate in %d of %d trials", p.Behind, n), math.Inf(1)}
	}
	out := judgement{verdict: keeps}
	if p.Behind > 0 {
		out = judgement{unsure, fmt.Sprintf("it did not keep up with the offered rate in %d of %d trials", p.Behind, p.Valid+p.Behind), 0}
	}
	for _, b := range s.bounds(p) {
		switch j := b.judge(p.Of(b.metric)); {
		case j.verdict == breaks && (out.verdict != breaks || j.over > out.over):
			out = j
		case j.verdict == unsure && out.verdict == keeps:
			out = j
		}
	}
	return out
}

func (b bound) judge(s Summary) judgement {
	if s.N == 0 && b.metric == Reprocessed {
		return judgement{unsure, "no crash was made in its trials", 0}
	}
	if !s.Known {
		return judgement{unsure, fmt.Sprintf("it has %s, and an interval at %g %% confidence takes %d", count(s.N, "valid trial"), 100*Confidence, NeedTrials), 0}
	}
	inside, outside, over := s.High <= b.limit, s.Low > b.limit, s.Low/b.limit
	if kinds[b.metric].higher {
		inside, outside, over = s.Low >= b.limit, s.High < b.limit, b.limit/s.High
	}
	figure := spread(b.metric, s)
	switch {
	case inside:
		return judgement{verdict: keeps}
	case outside:
		return judgement{breaks, figure + " " + b.allowed(), over}
	}
	return judgement{unsure, figure + " lies on both sides of the bound of " + amount(b.metric, b.limit), 0}
}

// allowed is the bound, as said after a figure.
func (b bound) allowed() string {
	if kinds[b.metric].higher {
		return "where " + figure(b.limit) + " are asked for"
	}
	if b.metric == Reprocessed {
		return "of " + figure(b.limit) + " allowed"
	}
	return "of " + amount(b.metric, b.limit) + " allowed"
}

// sloJSON is an SLO in a file.
type sloJSON struct {
	P50            float64 `json:"p50_ms,omitempty"`
	P99            float64 `json:"p99_ms,omitempty"`
	P999           float64 `json:"p999_ms,omitempty"`
	MaxReprocessed int     `json:"max_reprocessed,omitempty"`
	MinThroughput  float64 `json:"min_throughput,omitempty"`
}

// MarshalJSON writes times in milliseconds.
func (s SLO) MarshalJSON() ([]byte, error) {
	return json.Marshal(sloJSON{inMS(s.LatencyP50), inMS(s.LatencyP99), inMS(s.LatencyP999), s.MaxReprocessed, s.MinThroughput})
}

// UnmarshalJSON reads what MarshalJSON has written.
func (s *SLO) UnmarshalJSON(text []byte) error {
	var j sloJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*s = SLO{fromMS(j.P50), fromMS(j.P99), fromMS(j.P999), j.MaxReprocessed, j.MinThroughput}
	return nil
}
