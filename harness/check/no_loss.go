package check

import "github.com/ksim-dev/ksim/harness/history"

var noLoss = Check{
	Name: "no-loss",
	Doc: `Every record that was acknowledged to its producer comes to an end: its effect is done, its dead letter is
written, it is a tombstone that was delivered, or it is poison and the policy is to skip.

    produced          orders/0@7 m-8 acked
    commit-requested  m1 orders/0 8
    committed         m1 orders/0 8 accepted
    member-ended      m1 killed
    phase             drained

Nobody will read m-8 again: a commit lies above it and it was never done.

*Violated* when a commit that was accepted lies above a record that never ended, or when the run has drained and a
record has not ended. *Unknown* when records have not ended, none was committed past, and the run did not drain; when
the history is cut off before a dead letter can have been observed; when no record or no effect was seen.
A produce without an answer counts only if the record was read: an effect on it was begun, or an observer found it.
A record that retention, DeleteRecords or compaction took out of the log before a commit above it was sent could not be read
any more, and is a figure; if nobody knows when it left the log, it is *unknown*. Records of aborted transactions, control records and gaps are
none that could be lost.
With the promise to *stop* at poison, that record and what lies behind it may wait; with no promise about poison a
poison record that was committed past is a figure. At-most-once promises nothing here.

A subject that posts no effects is judged by other evidence, if that is asked for (--evidence): by commits a record has ended once a commit above it was accepted, which is all that can
be told then; by outputs once an output of it can be seen.`,
	Judge: judgeNoLoss,
}

func judgeNoLoss(f *Facts) Result {
	p := f.Header.Promises
	r := held(p.Delivery != history.AtMostOnce)
	if why := f.thin(); why != "" {
		r.unknown("%s", why)
		return r.conclude("lost", same("lost"), "")
	}
	var pending, waiting, dropped, unread, removed, vanished int
	for i := range f.parts {
		blocked := false
		for _, ri := range f.parts[i].records {
			rec := &f.records[ri]
			switch {
			case f.ended(rec):
				continue
			case f.removed(rec):
				removed++
				continue
			case f.vanished(rec):
				vanished++
				continue
			}
			past := f.parts[i].committed > rec.offset
			blocked = blocked || !past && p.Poison == history.PoisonStop && rec.isPoison()
			switch {
			case blocked && !past:
				waiting++
			case past && f.poisonFree(rec):
				dropped++
			case past && f.awaitsLetter(rec):
				pending++
			case past:
				r.violate(func() Evidence { return f.lost(ri) })
			case f.drained():
				r.violate(func() Evidence { return f.of(ri, "not done, although the run has drained").with(f, rec.started) })
			default:
				pending++
			}
		}
	}
	for i := range f.records {
		if rec := &f.records[i]; !rec.known && !rec.voided && !f.ended(rec) && rec.started != none {
			unread++
			if f.drained() && !rec.isPoison() {
				r.violate(func() Evidence {
					return f.of(int32(i), "its produce was never answered, but it was read, and it was not done").by(f, rec.started)
				})
			}
		}
	}
	r.Figures["waiting_behind_poison"], r.Figures["poison_dropped"], r.Figures["not_done"] = float64(waiting), float64(dropped), float64(pending)
	r.Figures["removed_unread"] = float64(removed)
	switch {
	case vanished > 0:
		r.unknown("%s never done and not in the log any more, and nobody knows which came first", num(vanished, "record was", "records were"))
	case pending+unread > 0 && !f.drained():
		r.unknown("the run did not drain: %s not done when the history ends", num(pending+unread, "record was", "records were"))
	case pending > 0:
		r.unknown("the history is cut off: the dead letters of %s may have been written", num(pending, "record", "records"))
	}
	return r.conclude("lost", same("lost"), "%s came to an end", num(f.known-waiting-dropped-removed, "record", "records"))
}

// awaitsLetter tells whether the dead letter of a record may exist unseen: observers read
// them late, so a history that is cut off need not show it.
func (f *Facts) awaitsLetter(r *record) bool {
	return !f.complete() && r.isPoison() && f.Header.Promises.Poison == history.PoisonDeadLetter
}

// lost tells how a record was lost: by the first commit above it.
func (f *Facts) lost(ri int32) Evidence {
	rec := &f.records[ri]
	what := "never done, and committed past"
	if rec.started != none {
		what = "begun, never done, and committed past"
	}
	if rec.passed == none { // only an observer saw the commit
		return f.of(ri, "%s", what).with(f, rec.started)
	}
	c := &f.commits[rec.passed]
	return f.of(ri, "%s: %s committed %d", what, f.lives[c.life].who(), c.offset).by(f, c.request).with(f, rec.started, c.answer)
}
