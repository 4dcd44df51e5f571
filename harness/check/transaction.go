package check

import (
	"slices"

	"github.com/ksim-dev/ksim/harness/history"
)

// sealed notes that the transaction of a commit was asked to commit.
func (r *replay) sealed(pos int32, e *history.Event) {
	ci := r.requested(pos, e)
	if ci == none {
		return
	}
	if c := &r.commits[ci]; c.sealed == none && c.answer == none {
		c.sealed, c.at = pos, e.At
	}
}

// voidedLetter tells whether the dead letter that can be seen of a record may not be
// its first: one in a transaction that was aborted was never to be seen, though
// effects of that transaction on records behind it were. That is so where
// something, be it the abort itself or the crash or rebalance that led to it, let
// the record come again.
func (f *Facts) voidedLetter(r *record) bool {
	if r.part == none || f.Header.Promises.Delivery != history.ExactlyOnce {
		return false
	}
	return slices.ContainsFunc(f.parts[r.part].windows, func(wi int32) bool {
		w := &f.windows[wi]
		return w.from <= r.offset && r.offset < max(w.to, w.high)
	})
}

// aborted lets what a transaction would have committed come again: whoever has
// the partition goes on from the last commit. What was done is void, so nothing that happens
// to the life later is to blame for its repeat. Of what the life had lost before,
// the loss is cause enough.
func (r *replay) aborted(pos int32, e *history.Event) {
	l := &r.lives[r.life(e.Member, e.Incarnation)]
	for _, s := range l.seats {
		if s != nil && s.standing.orderly() && r.committedFrom(s.part) < s.high {
			r.refusedWindow("aborted-transaction", s, pos)
			s.high, s.voided = r.committedFrom(s.part), pos
		}
	}
	l.lastCause = none // the next transaction may be aborted too, and soon: that is another cause
}
