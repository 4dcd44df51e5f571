package check

import (
	"fmt"

	"github.com/ksim-dev/ksim/harness/history"
)

var commitSafety = Check{
	Name: "commit-safety",
	Doc: `When a commit of n is accepted, every record below n had come to an end before the commit was sent.

    produced          orders/0@7 m-8 acked
    effect-started    m1 m-8
    commit-requested  m1 orders/0 8
    committed         m1 orders/0 8 accepted
    effect-done       m1 m-8

Had m1 died between the last two, m-8 would be lost: that it was lucky this time is no excuse.

Judged at the moment of the request, for every single commit; a record is told once, with the first commit above it.
*Violated* by each record that had not ended. A dead letter counts from the moment when the broker appended it (5 ms
of tolerance for the clock's resolution; accepted where that moment is not known). Tombstones are exempt, and so are
poison records where the policy is to skip or no policy is promised. Offsets that belong to no known record are gaps, and so are those of records that may have left the log before.
A commit that was refused proves nothing, and one without an answer is mentioned, not judged. One in a transaction is judged at the
request to commit that (EndTxn), which may come after the work that its offsets cover; a transaction that was aborted commits nothing. *Unknown*
when no commit was accepted, no effect was seen, or a dead letter may not have been observed because the history is cut off.
At-most-once promises the opposite. With --evidence outputs an output stands for the effect, from the moment when the broker appended it.`,
	Judge: judgeCommitSafety,
	Sight: NeedsEnds,
}

func judgeCommitSafety(f *Facts) Result {
	early := noun{"record committed before it was done", "records committed before they were done"}
	r := held(f.Header.Promises.Delivery != history.AtMostOnce)
	if why := f.thin(); why != "" {
		r.unknown("%s", why)
		return r.conclude("unsafe", early, "")
	}
	accepted, unsure, unseen, vanished := 0, 0, 0, 0
	for i := range f.commits {
		if f.commits[i].accepted {
			accepted++
		}
	}
	for i := range f.records {
		rec := &f.records[i]
		if rec.maybe != none && (rec.passed == none || rec.passed > rec.maybe) && !f.poisonFree(rec) &&
			!f.endedBefore(rec, &f.commits[rec.maybe]) {
			unsure++
		}
		if rec.passed == none || f.poisonFree(rec) {
			continue
		}
		c := &f.commits[rec.passed]
		switch {
		case f.endedBefore(rec, c), f.removed(rec):
		case f.vanished(rec):
			vanished++
		case f.awaitsLetter(rec) && rec.letter == none:
			unseen++
		default:
			r.violate(func() Evidence { return f.unsafe(int32(i), c) })
		}
	}
	switch {
	case accepted == 0:
		r.unknown("no accepted commit was seen")
	case vanished > 0:
		r.unknown("%s committed past and not in the log any more, and nobody knows which came first", num(vanished, "record was", "records were"))
	case unseen > 0:
		r.unknown("the history is cut off: the dead letters of %s committed past may have been written", num(unseen, "record that was", "records that were"))
	}
	r.Figures["commits"] = float64(accepted)
	r.Figures["unanswered_commits_past_undone"] = float64(unsure)
	out := r.conclude("unsafe", early, "%s above nothing but finished records", num(accepted, "commit", "commits, each"))
	if unsure > 0 {
		out.Reason += fmt.Sprintf("; commits of unknown fate lay above %d more", unsure)
	}
	return out
}

// unsafe tells by which commit a record was passed, and what became of it.
func (f *Facts) unsafe(ri int32, c *commit) Evidence {
	rec := &f.records[ri]
	fate := "it was never done"
	switch {
	case rec.done != none:
		fate = fmt.Sprintf("it was done %s later", (f.events[rec.done].At - c.at).Round(1e5))
	case f.blind() && rec.output != none:
		fate = fmt.Sprintf("its output was written %s later", (f.outputs[rec.output].time - c.at).Round(1e5))
	case rec.letter != none:
		fate = fmt.Sprintf("its dead letter was written %s later", (f.letters[rec.letter].time - c.at).Round(1e5))
	}
	e := f.of(ri, "%s committed %d before this record was done; %s", f.lives[c.life].who(), c.offset, fate).by(f, c.request)
	return e.with(f, rec.started, c.answer, rec.done)
}
