// Package hlog keeps latencies on disk, interval by interval, in the files that
// other HdrHistogram tools read: the interval log (.hlog) and the percentile
// distribution (.hgrm). Histograms hold microseconds.
package hlog

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// microsInMilli turns what histograms hold into what people and plotters read.
const microsInMilli = 1000

// Interval is one step of a run, and the latencies that belong to it.
type Interval struct {
	Tag       string // tells intervals of the same time apart; mostly empty
	Start     time.Time
	Length    time.Duration
	Histogram *hdrhistogram.Histogram // µs
}

// Header is what a log says of itself.
type Header struct {
	StartTime time.Time // when the log began: no interval starts before it
	Comments  []string  // lines for people, without the leading #
}

// Slot is the place of start on a grid that begins at origin and goes by step:
// the nearest one, and the later one where two are as near. It is negative before origin. step must be more than 0.
func Slot(origin, start time.Time, step time.Duration) int64 {
	distance := start.Sub(origin)
	slot, rest := int64(distance/step), distance%step
	if rest < 0 {
		slot, rest = slot-1, rest+step
	}
	if rest >= step-rest {
		slot++
	}
	return slot
}

// Add adds all that from holds to h. It returns false, and h is worth nothing any more, if not all of it fits:
// histograms with another range or precision would round or drop values, and more than 2^63 values cannot be counted.
func Add(h, from *hdrhistogram.Histogram) bool {
	return sameRange(h, from) && from.TotalCount() <= math.MaxInt64-h.TotalCount() && h.Merge(from) == 0
}

func sameRange(a, b *hdrhistogram.Histogram) bool {
	return a.LowestTrackableValue() == b.LowestTrackableValue() &&
		a.HighestTrackableValue() == b.HighestTrackableValue() &&
		a.SignificantFigures() == b.SignificantFigures()
}
