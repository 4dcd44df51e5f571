package hlog

import (
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tenMinutes = int64(10 * time.Minute / time.Microsecond)

var noon = time.Date(2026, 10, 18, 12, 0, 0, 123456789, time.UTC)

// histogram holds values, in microseconds.
func histogram(values ...int64) *hdrhistogram.Histogram {
	h := hdrhistogram.New(1, tenMinutes, 3)
	for _, v := range values {
		if err := h.RecordValue(v); err != nil {
			panic(err)
		}
	}
	return h
}

// same tells whether two lists of intervals are the same in all that they say.
func same(a, b []Interval) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Tag != b[i].Tag || !a[i].Start.Equal(b[i].Start) || a[i].Length != b[i].Length || !a[i].Histogram.Equals(b[i].Histogram) {
			return false
		}
	}
	return true
}

func anyHistogram() *rapid.Generator[*hdrhistogram.Histogram] {
	return rapid.Custom(func(t *rapid.T) *hdrhistogram.Histogram {
		h := histogram()
		for range rapid.IntRange(0, 8).Draw(t, "values") {
			if err := h.RecordValues(rapid.Int64Range(0, tenMinutes).Draw(t, "µs"), rapid.Int64Range(1, 1<<40).Draw(t, "count")); err != nil {
				t.Fatal(err)
			}
		}
		return h
	})
}

func counts(logs ...[]Interval) (total int64) {
	for _, log := range logs {
		for _, iv := range log {
			total += iv.Histogram.TotalCount()
		}
	}
	return total
}
