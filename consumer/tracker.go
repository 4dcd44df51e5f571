package consumer

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// entry is one delivered record until it is done.
type entry struct {
	rec   *kgo.Record
	trial *trial // nil while no attempt has failed: there is one entry for every record
	done  bool
	alone bool  // without an order: to be tried again on its own
	came  int64 // when it was delivered, in nanoseconds since 1970
}

// attempts is how many have failed.
func (e *entry) attempts() int {
	if e.trial == nil {
		return 0
	}
	return e.trial.attempts
}

// tried is what is known of the attempts.
func (e *entry) tried() trial {
	if e.trial == nil {
		return trial{}
	}
	return *e.trial
}

// count counts a failed attempt.
func (e *entry) count(err error) {
	if e.trial == nil {
		e.trial = new(trial)
	}
	e.trial.count(err)
}

// trial is what is known of the attempts at a record that failed.
type trial struct {
	attempts int       // how many
	failed   time.Time // when the first of them did
	err      error     // of the last of them
	refused  bool      // an output of it, or one of the same batch, was refused
}

func (t *trial) count(err error) {
	t.attempts++
	t.err = err
	if t.failed.IsZero() {
		t.failed = time.Now()
	}
}

// tracker finds the offset of a partition that may be committed: the one after
// the longest run of done records. Only delivered offsets count: those that
// control records, compaction and aborted transactions leave out are no gaps.
//
// Its zero value is ready. It is not safe for concurrent use.
type tracker struct {
	ring  []*entry // delivered in offset order; a power of two long
	head  int      // index of the oldest entry not passed by the watermark
	count int

	next   int64 // the watermark: the offset to commit, if passed is true
	epoch  int32 // leader epoch of the record before it (KIP-320)
	passed bool  // the watermark has passed at least one record
	last   int64 // newest delivered offset, if any
	any    bool
	high   int64 // highest done offset + 1; 0 if none
}

// add takes a delivered record. It must be newer than those before it.
func (t *tracker) add(e *entry) {
	t.reserve(1)
	t.ring[(t.head+t.count)&(len(t.ring)-1)] = e
	t.count++
	t.last, t.any = e.rec.Offset, true
}

// reserve makes room for n more.
func (t *tracker) reserve(n int) {
	if t.count+n > len(t.ring) {
		t.grow(t.count + n)
	}
}

func (t *tracker) grow(least int) {
	size := max(16, len(t.ring))
	for size < least {
		size *= 2
	}
	ring := make([]*entry, size)
	for i := range t.count {
		ring[i] = t.ring[(t.head+i)&(len(t.ring)-1)]
	}
	t.ring, t.head = ring, 0
}

// newer tells whether offset has not been delivered yet.
func (t *tracker) newer(offset int64) bool { return !t.any || offset > t.last }

// done marks a record and moves the watermark over all that are done. It tells
// whether the watermark has moved.
func (t *tracker) done(e *entry) bool {
	e.done = true
	t.high = max(t.high, e.rec.Offset+1)
	return t.advance()
}

// pass takes a delivered record that no handler sees, a control record: it is
// done from the start. It tells whether the watermark has moved.
func (t *tracker) pass(e *entry) bool {
	e.done = true
	t.add(e)
	return t.advance()
}

func (t *tracker) advance() bool {
	moved := false
	for t.count > 0 && t.ring[t.head].done {
		r := t.ring[t.head].rec
		t.ring[t.head] = nil
		t.head = (t.head + 1) & (len(t.ring) - 1)
		t.count--
		t.next, t.epoch, t.passed, moved = r.Offset+1, r.LeaderEpoch, true, true
	}
	return moved
}

// first is the oldest record that is not done; nil if there is none.
func (t *tracker) first() *entry {
	if t.count == 0 {
		return nil
	}
	return t.ring[t.head]
}

// oldest is the offset of the oldest record that is not done.
func (t *tracker) oldest() (offset int64, ok bool) {
	if t.count == 0 {
		return 0, false
	}
	return t.ring[t.head].rec.Offset, true
}

// pending calls fn for every delivered record that is not done, oldest first.
func (t *tracker) pending(fn func(*entry)) {
	for i := range t.count {
		if e := t.ring[(t.head+i)&(len(t.ring)-1)]; !e.done {
			fn(e)
		}
	}
}
