package check

import "github.com/ksim-dev/ksim/harness/history"

// sealed notes that the transaction of a commit was asked to commit.
func (r *replay) sealed(pos int32, e *history.Event, ref int32) {
	if ref == none || ref >= pos || r.events[ref].Kind != history.CommitRequested || r.slot[ref] == none {
		return
	}
	c := &r.commits[r.slot[ref]]
	if c.sealed == none && c.answer == none {
		c.sealed, c.at = pos, e.At
	}
}

// aborted lets what a transaction would have committed come again: whoever has
// the partition goes on from the last commit. What was done is void, so nothing that happens
// to the life later is to blame for its repeat. Of what the life had lost before,
// the loss is cause enough.
func (r *replay) aborted(pos int32, e *history.Event) {
	for _, s := range r.lives[r.life(e.Member, e.Incarnation)].seats {
		if s != nil && s.standing.orderly() && r.committedFrom(s.part) < s.high {
			r.refusedWindow("aborted-transaction", s, pos)
			s.high, s.voided = r.committedFrom(s.part), pos
		}
	}
}
