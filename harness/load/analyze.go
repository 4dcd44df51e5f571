package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ksim-dev/ksim/harness/history"
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

// Window is the time in which messages count: those due in [From, To).
type Window struct{ From, To time.Duration }

// MeasuredWindow returns the window that the Phase events of h mark; ok is
// false if the run never came to its end.
func MeasuredWindow(h history.History) (w Window, ok bool) {
	var began, ended bool
	for _, e := range h.Events {
		if e.Kind != history.Phase {
			continue
		}
		switch e.Note {
		case PhaseMeasure:
			w.From, began = e.At, true
		case PhaseMeasured:
			w.To, ended = e.At, true
		}
	}
	return w, began && ended
}

// Measured is what a history tells about the messages due in a window.
type Measured struct {
	Messages int // acked
	Undone   int // of these, never done
	Bytes    int // of values
	// Done counts first completions that happened inside the window, whenever they were due.
	Done    int
	Latency *hdrhistogram.Histogram // µs, from due to first effect done
	PeakLag int64                   // most messages due and not done at one moment
}

// Analyze measures h in w. Latency counts from the moment a message was due by
// the schedule, not from when it was sent, so that a stall shows in all
// messages it delays and not in one (coordinated omission).
func Analyze(h history.History, w Window) Measured {
	m := Measured{Latency: NewHistogram()}
	due := make(map[string]time.Duration)
	done := make(map[string]bool)
	var open int64
	for _, e := range h.Events {
		switch e.Kind {
		case history.Produced:
			if e.Outcome != history.Acked {
				continue
			}
			open++
			if e.Due >= w.From && e.Due < w.To {
				due[e.Message] = e.Due
				m.Messages++
				m.Bytes += e.Size
			}
		case history.EffectDone:
			if done[e.Message] {
				continue
			}
			done[e.Message] = true
			open--
			if e.At >= w.From && e.At < w.To {
				m.Done++
			}
		}
		if e.At >= w.From && e.At < w.To {
			m.PeakLag = max(m.PeakLag, open)
		}
	}
	// An effect may be done before the producer has its ack, so latencies are
	// taken in a second pass, when every due time is known.
	m.record(h, due)
	return m
}

func (m *Measured) record(h history.History, due map[string]time.Duration) {
	for _, e := range h.Events {
		if e.Kind != history.EffectDone {
			continue
		}
		d, ours := due[e.Message]
		if !ours {
			continue
		}
		delete(due, e.Message)
		micros := max(lowestMicros, int64((e.At-d)/time.Microsecond))
		_ = m.Latency.RecordValue(min(micros, highestMicros)) // in range by construction
	}
	m.Undone = len(due)
}

// Summary turns a histogram of microseconds into milliseconds.
func Summary(h *hdrhistogram.Histogram) Latency {
	ms := func(micros int64) float64 { return float64(micros) / 1000 }
	l := Latency{
		P50: ms(h.ValueAtPercentile(50)), P90: ms(h.ValueAtPercentile(90)), P99: ms(h.ValueAtPercentile(99)),
		P999: ms(h.ValueAtPercentile(99.9)), Max: ms(h.Max()), Mean: h.Mean() / 1000,
	}
	for _, p := range curve {
		if h.TotalCount() > 0 && (100-p)/100*float64(h.TotalCount()) >= 1 || p == 50 {
			l.Percentiles = append(l.Percentiles, [2]float64{p, ms(h.ValueAtPercentile(p))})
		}
	}
	return l
}

// curve is where the latency chart has its points; those that stand for less than one
// message are left out.
var curve = []float64{0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999}
