// Package rate describes how the rate of an open loop changes with time: constant, a ramp,
// steps, spikes, a wave, or what was recorded somewhere. A [Profile] tells when each
// message is due, in any order and without having counted those before it.
package rate

import (
	"math"
	"time"
)

// Bounds of what a profile can say.
const (
	MaxRate = 10_000_000 // messages/s
	MinRate = 0.001      // messages/s, the least but for 0

	MaxSpan = 720 * time.Hour  // of a ramp, a step, a spike, a period or a warm-up
	MinSpan = time.Millisecond // the same
)

// Never is when a message is due that a profile never comes to, since it ends in silence.
const Never = time.Duration(math.MaxInt64)

// Profile is a rate as a function of time. It consists of straight lines: first those of its
// head, then those of its cycle, again and again. Without a cycle, the head's last
// line never ends. It does not change and may be used by any goroutine. The
// zero Profile has no messages.
type Profile struct {
	text  string
	head  track
	cycle track
}

// Due is when message i (from 0) is due, from the start of the profile, rounded to a nanosecond.
// It is Never for a message that does not come. Of two messages the later is never due before the earlier.
func (p Profile) Due(i int) time.Duration {
	n := max(0, float64(i))
	if n < p.head.count || len(p.cycle.pieces) == 0 {
		return duration(p.head.reach(n))
	}
	n -= p.head.count
	rounds := math.Floor(n / p.cycle.count)
	return duration(p.head.long + rounds*p.cycle.long + p.cycle.reach(n-rounds*p.cycle.count))
}

// duration is never below 0, and Never if it does not fit.
func duration(seconds float64) time.Duration {
	if ns := math.Round(seconds * float64(time.Second)); ns < float64(Never) {
		return time.Duration(ns)
	}
	return Never
}

// Count is how many messages are due in [0, d): those of which Due is below d.
func (p Profile) Count(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	// Due has the last word. It is off by no more than rounding errors.
	i := int(math.Ceil(p.integral(d)))
	for i > 0 && p.Due(i-1) >= d {
		i--
	}
	for p.Due(i) < d {
		i++
	}
	return i
}

// integral is the same as Count, with the part of a message that is not yet due.
func (p Profile) integral(d time.Duration) float64 {
	x := d.Seconds()
	if x < p.head.long || len(p.cycle.pieces) == 0 {
		return p.head.countTo(x)
	}
	x -= p.head.long
	rounds := math.Floor(x / p.cycle.long)
	return p.head.count + rounds*p.cycle.count + p.cycle.countTo(x-rounds*p.cycle.long)
}

// At is the rate at t from the start, in messages/s. Where it jumps it is the one after the jump; it is
// 0 before the start.
func (p Profile) At(t time.Duration) float64 {
	x := t.Seconds()
	switch {
	case x < 0:
		return 0
	case x < p.head.long || len(p.cycle.pieces) == 0:
		return p.head.rateAt(x)
	}
	return p.cycle.rateAt(math.Mod(x-p.head.long, p.cycle.long))
}

// Mean is the mean rate in [0, d), in messages/s. For d of 0 and below it is the first rate.
func (p Profile) Mean(d time.Duration) float64 {
	if d <= 0 {
		return p.At(0)
	}
	return p.integral(d) / d.Seconds()
}

// Peak is the highest rate that the profile ever comes to, in messages/s.
func (p Profile) Peak() float64 { return max(p.head.peak(), p.cycle.peak()) }

// Length is when the profile has told everything: from then on it stays at its last rate, or repeats
// itself. A constant rate has a length of 0.
func (p Profile) Length() time.Duration {
	if n := len(p.head.pieces); n > 0 && math.IsInf(p.head.long, 1) {
		return duration(p.head.pieces[n-1].from)
	}
	return duration(p.head.long + p.cycle.long)
}

// String is the profile as Parse takes it.
func (p Profile) String() string { return p.text }

// WithWarmup puts a warm-up before p: d at the first rate of p, then p from its start. The warm-up has
// Count(d) messages. If p begins at 0 it has none. For d of 0 and below it is p itself.
func WithWarmup(p Profile, d time.Duration) Profile {
	if d <= 0 {
		return p
	}
	warm := Profile{text: "warmup:" + spanText(d) + "," + p.text, cycle: p.cycle}
	first := p.At(0)
	warm.head.line(d.Seconds(), first, first)
	for _, piece := range p.head.pieces {
		warm.head.push(piece)
	}
	return warm
}
