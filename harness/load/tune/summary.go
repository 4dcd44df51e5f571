package tune

import (
	"encoding/json"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Confidence is the level of all intervals, 0 to 1.
const Confidence = 0.95

// NeedTrials is how many valid trials an interval at that level takes: with 5, all of them lie on
// the same side of the median in 1 of 16 sweeps.
const NeedTrials = 6

// alpha is the p-value from which on two settings are not told apart.
const alpha = 1 - Confidence

// matters is the least difference between two medians, as a share of the greater, that counts as one. Under an open-loop load a setting that keeps up does
// just what is offered, so that its throughput varies by less than this, and may be told apart and yet mean nothing.
const matters = 0.01

// Summary is what the valid trials of a setting say of one metric, in its unit.
type Summary struct {
	N      int     // trials that tell it
	Median float64 // 0 without a trial
	// Low and High are the ends of the interval that holds the true median with Confidence. With too few trials they
	// are infinite, and Known is false.
	Low, High  float64
	Confidence float64 // of the interval, at least the level asked for; 0 when it is not known
	Known      bool
	Note       string    // why it is not known
	Values     []float64 // of the trials, ascending
}

// summarize takes the values as they are; it leaves their order alone.
func summarize(values []float64) Summary {
	if len(values) == 0 {
		return Summary{Low: math.Inf(-1), High: math.Inf(1), Note: "not measured"}
	}
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	b := benchmath.AssumeNothing.Summary(sample, Confidence)
	s := Summary{
		N: len(values), Median: b.Center, Low: b.Lo, High: b.Hi, Confidence: b.Confidence, Values: sample.Values,
		Known: !math.IsInf(b.Lo, 0) && !math.IsInf(b.Hi, 0),
	}
	if !s.Known {
		s.Low, s.High, s.Confidence = math.Inf(-1), math.Inf(1), 0
		for _, w := range b.Warnings {
			s.Note = w.Error()
		}
	}
	return s
}

// narrow tells whether half of the interval is at most the given share of the median.
func (s Summary) narrow(share float64) bool {
	return s.Known && (s.High-s.Low)/2 <= share*math.Abs(s.Median)
}

// test is the Mann-Whitney U test of two metrics' values. Without values on one side, or if all are equal, p is 1.
func test(a, b Summary) benchmath.Comparison {
	sample := func(s Summary) *benchmath.Sample {
		return &benchmath.Sample{Values: s.Values, Thresholds: &benchmath.DefaultThresholds}
	}
	return benchmath.AssumeNothing.Compare(sample(a), sample(b))
}

// below tells whether a is less than b for sure: the intervals are apart, the test agrees, and the difference matters.
func below(a, b Summary) bool {
	return a.High < b.Low && perhapsBelow(a, b)
}

// perhapsBelow tells whether the test alone says that a is less than b. Where intervals overlap, and it does, a second sweep may well find them apart.
func perhapsBelow(a, b Summary) bool {
	if !a.Known || !b.Known {
		return false
	}
	return b.Median-a.Median >= matters*math.Abs(b.Median) && test(a, b).P < alpha
}

// summaryJSON is a Summary in a file. JSON has no infinity: an end that is not known is null.
type summaryJSON struct {
	N          int       `json:"n"`
	Median     float64   `json:"median"`
	Low        *float64  `json:"low"`
	High       *float64  `json:"high"`
	Confidence float64   `json:"confidence"`
	Known      bool      `json:"known"`
	Note       string    `json:"note,omitempty"`
	Values     []float64 `json:"values,omitempty"`
}

// MarshalJSON writes ends that are not known as null.
func (s Summary) MarshalJSON() ([]byte, error) {
	j := summaryJSON{N: s.N, Median: s.Median, Confidence: s.Confidence, Known: s.Known, Note: s.Note, Values: s.Values}
	if s.Known {
		j.Low, j.High = &s.Low, &s.High
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON has written.
func (s *Summary) UnmarshalJSON(text []byte) error {
	var j summaryJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*s = Summary{
		N: j.N, Median: j.Median, Low: math.Inf(-1), High: math.Inf(1), Confidence: j.Confidence,
		Known: j.Known && j.Low != nil && j.High != nil, Note: j.Note, Values: j.Values,
	}
	if s.Known {
		s.Low, s.High = *j.Low, *j.High
	}
	return nil
}
