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
	alone bool // without an order: to be tried again on its own
}

// delivery is the records that came at once. Its entries stay where they are: lanes and
// batches point to them.
type delivery struct {
	entries []entry
	came    int64 // when, in nanoseconds since 1970
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
	open []delivery // in offset order; those that the watermark has not passed
	head int        // index, in the first of them, of the oldest entry not passed

	next   int64 // the watermark: the offset to commit, if passed is true
	epoch  int32 // leader epoch of the record before it (KIP-320)
	passed bool  // the watermark has passed at least one record
	last   int64 // newest delivered offset, if any
	any    bool
	high   int64 // highest done offset + 1; 0 if none
}

// deliver takes records, newer than those before them. One that no handler sees, a
// control record, is done from the start.
func (t *tracker) deliver(d delivery) {
	t.open = append(t.open, d)
	t.last, t.any = d.entries[len(d.entries)-1].rec.Offset, true
	t.advance()
}

// newer tells whether offset has not been delivered yet.
func (t *tracker) newer(offset int64) bool { return !t.any || offset > t.last }

// done marks records, in offset order, and moves the watermark over all that are done.
// It tells whether the watermark has moved. Here and in advance only the last record is
// looked at: by now the others are no longer in the processor's cache.
func (t *tracker) done(es ...*entry) bool {
	if len(es) == 0 {
		return false
	}
	for _, e := range es {
		e.done = true
	}
	t.high = max(t.high, es[len(es)-1].rec.Offset+1)
	return t.advance()
}

func (t *tracker) advance() bool {
	var last *entry
	for len(t.open) > 0 {
		entries := t.open[0].entries
		for t.head < len(entries) && entries[t.head].done {
			last = &entries[t.head]
			t.head++
		}
		if t.head < len(entries) {
			break
		}
		t.open[0] = delivery{}
		t.open, t.head = t.open[1:], 0
	}
	if last == nil {
		return false
	}
	t.next, t.epoch, t.passed = last.rec.Offset+1, last.rec.LeaderEpoch, true
	return true
}

// first is the oldest record that is not done, and when it came; nil if there is none.
func (t *tracker) first() (e *entry, came int64) {
	if len(t.open) == 0 {
		return nil, 0
	}
	return &t.open[0].entries[t.head], t.open[0].came
}

// oldest is the offset of the oldest record that is not done.
func (t *tracker) oldest() (offset int64, ok bool) {
	e, _ := t.first()
	if e == nil {
		return 0, false
	}
	return e.rec.Offset, true
}

// pending calls fn for every delivered record that is not done, oldest first.
func (t *tracker) pending(fn func(*entry)) {
	head := t.head
	for _, d := range t.open {
		for i := head; i < len(d.entries); i++ {
			if e := &d.entries[i]; !e.done {
				fn(e)
			}
		}
		head = 0
	}
}
