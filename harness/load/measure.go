package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms has one for each stage, in microseconds.
type Histograms [NumStages]*hdrhistogram.Histogram

// NewHistograms returns empty ones.
func NewHistograms() (h Histograms) {
	for i := range h {
		h[i] = NewHistogram()
	}
	return h
}

// record puts one message into all.
func (h Histograms) record(w Way) {
	for _, s := range Stages() {
		if d, ok := w.Stage(s); ok {
			recordSpan(h[s], d)
		}
	}
}

func (h Histograms) reset() {
	for i := range h {
		h[i].Reset()
	}
}

func recordSpan(h *hdrhistogram.Histogram, d time.Duration) {
	micros := max(lowestMicros, int64(d/time.Microsecond))
	_ = h.RecordValue(min(micros, highestMicros)) // in range by construction
}

// Window is the time in which messages count: those due in [From, To).
type Window struct{ From, To time.Duration }

// Measurement is how a load run is looked at afterwards.
type Measurement struct {
	Records *Records
	Seen    Seen
	Window  Window        // whose messages count, from the start of the schedule
	Until   time.Duration // to which intervals go on
	Step    time.Duration // length of an interval
	// ByCommit takes what is committed for done.
	ByCommit bool
	// Each is told of every interval whose messages count, in order, with histograms that are good until it returns; may be nil.
	Each func(from, to time.Duration, h Histograms) error
}

// Measured is what the messages due in the window tell.
type Measured struct {
	Messages int // acknowledged
	Failed   int // not acknowledged
	Undone   int // acknowledged and never done
	// Done counts first completions that happened inside the window, whenever they were due.
	Done int
	All  Histograms
	// Closed is the closed-loop reading, see Closed.
	Closed    *hdrhistogram.Histogram
	PeakLag   int64 // most messages due and not done at one moment
	Intervals []Interval
}

// Run looks at every message once.
func (m Measurement) Run() (Measured, error) {
	out := Measured{All: NewHistograms(), Closed: NewHistogram()}
	out.Intervals = m.intervals()
	levels := newLevels(m.Until)
	loop := newClosedLoop(len(m.Records.places))
	w := newWalk(m.Records, m.Seen, m.ByCommit)
	sent, _, _, _ := m.Records.Count()
	now, current := NewHistograms(), -1
	for i := range sent {
		way := w.next(i)
		k := m.interval(way.Due)
		if k != current {
			if err := m.close(&out, current, now); err != nil {
				return out, err
			}
			current = k
		}
		levels.add(way)
		counts := way.Due >= m.Window.From && way.Due < m.Window.To
		m.count(&out, way, counts)
		if k >= 0 {
			now.record(way)
		}
		if counts {
			out.All.record(way)
			loop.read(way, out.Closed)
		}
	}
	if err := m.close(&out, current, now); err != nil {
		return out, err
	}
	levels.fill(m, &out)
	return out, nil
}

// count counts one message; its completion counts in the window in which it happened.
func (m Measurement) count(out *Measured, way Way, counts bool) {
	if way.Done >= m.Window.From && way.Done < m.Window.To {
		out.Done++
	}
	if k := m.interval(way.Done); way.Done >= 0 && k >= 0 {
		out.Intervals[k].Through++
	}
	if k := m.interval(way.Due); k >= 0 {
		out.Intervals[k].Offered++
	}
	switch {
	case !counts:
	case way.Failed:
		out.Failed++
	default:
		out.Messages++
		if way.Done < 0 {
			out.Undone++
		}
	}
}

// interval is the number of the interval that a time is in, -1 if in none. The window ends with an interval.
func (m Measurement) interval(at time.Duration) int {
	switch {
	case at < m.Window.From || at >= m.Until || m.Step <= 0:
		return -1
	case at < m.Window.To:
		return int((at - m.Window.From) / m.Step)
	}
	return m.measured() + int((at-m.Window.To)/m.Step)
}

// measured is how many intervals the window has.
func (m Measurement) measured() int {
	return int((m.Window.To - m.Window.From + m.Step - 1) / m.Step)
}

// intervals are those of the run, empty. The last one of the window, and of all, may be shorter.
func (m Measurement) intervals() []Interval {
	var all []Interval
	if m.Step <= 0 {
		return nil
	}
	for from := m.Window.From; from < m.Until; {
		to := min(from+m.Step, m.Until)
		if from < m.Window.To {
			to = min(to, m.Window.To)
		}
		all = append(all, Interval{From: (from - m.Window.From).Seconds(), Seconds: (to - from).Seconds()})
		from = to
	}
	return all
}

// close ends an interval of due times.
func (m Measurement) close(out *Measured, k int, h Histograms) error {
	if k < 0 {
		h.reset()
		return nil
	}
	defer h.reset()
	total, in := h[Total], &out.Intervals[k]
	in.P50, in.P99, in.Max = millis(total.ValueAtPercentile(50)), millis(total.ValueAtPercentile(99)), millis(total.Max())
	if m.Each == nil || k >= m.measured() {
		return nil
	}
	from := m.Window.From + time.Duration(k)*m.Step
	return m.Each(from, min(from+m.Step, m.Window.To), h)
}

func millis(micros int64) float64 { return float64(micros) / 1000 }

// levels counts what is due and not done over time, in bins so short that a peak between two of them does not matter.
type levels struct {
	change []int32 // by bin
}

const levelBin = 5 * time.Millisecond

func newLevels(until time.Duration) *levels {
	return &levels{change: make([]int32, max(0, until/levelBin)+1)}
}

func (l *levels) add(w Way) {
	if w.Failed {
		return // nobody knows whether it waits
	}
	if k := int(w.Due / levelBin); k >= 0 && k < len(l.change) {
		l.change[k]++
	}
	if k := int(w.Done / levelBin); w.Done >= 0 && k < len(l.change) {
		l.change[max(k, int(w.Due/levelBin))]--
	}
}

// fill puts the peaks into the intervals, and turns counts into rates.
func (l *levels) fill(m Measurement, out *Measured) {
	level := int64(0)
	for k, change := range l.change {
		level += int64(change)
		at := time.Duration(k) * levelBin
		if at >= m.Window.From && at < m.Window.To {
			out.PeakLag = max(out.PeakLag, level)
		}
		if i := m.interval(at); i >= 0 {
			out.Intervals[i].Lag = max(out.Intervals[i].Lag, level)
		}
	}
	for i := range out.Intervals {
		in := &out.Intervals[i]
		in.Offered, in.Through = in.Offered/in.Seconds, in.Through/in.Seconds
	}
}
