package rate

import (
	"math"
	"sort"
)

// piece is a stretch of time in which the rate is a straight line.
type piece struct {
	from   float64 // s since the start of the track
	long   float64 // s; +Inf for one that never ends, which has no slope
	rate   float64 // messages/s at its start
	slope  float64 // messages/s gained each second
	before float64 // messages of the track before it
}

// count is how many messages the piece has in its first x seconds.
func (p piece) count(x float64) float64 { return x * (p.rate + p.slope*x/2) }

// reach is the inverse of count: the seconds after which the piece has had n messages.
func (p piece) reach(n float64) float64 {
	switch {
	case p.rate == 0 && p.slope == 0:
		return p.long // silence: what is not due before it is due after it
	case n <= 0:
		return 0
	case p.slope == 0:
		return min(n/p.rate, p.long)
	}
	// The solution of slope/2·x² + rate·x = n, in the form that has no difference of two
	// numbers that are nearly the same.
	return min(2*n/(p.rate+math.Sqrt(max(0, p.rate*p.rate+2*p.slope*n))), p.long)
}

// track is pieces one behind the other.
type track struct {
	pieces []piece
	long   float64 // s
	count  float64 // messages
}

// line appends a piece that goes from one rate to another in a straight line.
func (t *track) line(long, from, to float64) {
	p := piece{long: long, rate: from}
	if to != from {
		p.slope = (to - from) / long
	}
	t.push(p)
}

// push appends a piece, wherever it was before.
func (t *track) push(p piece) {
	p.from, p.before = t.long, t.count
	t.pieces = append(t.pieces, p)
	t.long += p.long
	if p.rate > 0 || p.slope > 0 { // an endless silence would be 0·∞
		t.count = whole(t.count + p.count(p.long))
	}
}

// whole rounds a number of messages that is a whole one but for its rounding errors. At 0.1/s the
// third message after 30 s would else be due before a pause and not after it.
func whole(n float64) float64 {
	if r := math.Round(n); math.Abs(n-r) < 1e-6 {
		return r
	}
	return n
}

// rateAt is the rate after x seconds.
func (t track) rateAt(x float64) float64 {
	if len(t.pieces) == 0 {
		return 0
	}
	p := t.last(func(p piece) bool { return p.from <= x })
	return max(0, p.rate+p.slope*min(x-p.from, p.long))
}

// countTo is how many messages the track has in its first x seconds.
func (t track) countTo(x float64) float64 {
	if len(t.pieces) == 0 || x <= 0 {
		return 0
	}
	p := t.last(func(p piece) bool { return p.from <= x })
	return p.before + p.count(min(x-p.from, p.long))
}

// reach is when the track has had n messages, and goes on: at the end of a pause, not
// at its start. It is +Inf for what never comes.
func (t track) reach(n float64) float64 {
	if len(t.pieces) == 0 {
		return math.Inf(1)
	}
	p := t.last(func(p piece) bool { return p.before <= n })
	return p.from + p.reach(n-p.before)
}

// last returns the last piece of which ok holds; it must hold of all before that one, and
// is taken to hold of the first.
func (t track) last(ok func(piece) bool) piece {
	i := sort.Search(len(t.pieces), func(i int) bool { return !ok(t.pieces[i]) })
	return t.pieces[max(0, i-1)]
}

// peak is the highest rate of the track.
func (t track) peak() (highest float64) {
	for _, p := range t.pieces {
		highest = max(highest, p.rate)
		if p.slope > 0 {
			highest = max(highest, p.rate+p.slope*p.long)
		}
	}
	return highest
}
