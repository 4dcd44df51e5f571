package check

import (
	"strings"

	"github.com/ksim-dev/ksim/harness/history"
)

var redelivered = Check{
	Name: "redelivered",
	Doc: `After a crash between effect and commit, what was done and not committed comes again. It is the positive control of
reprocessing: without it the crash did nothing, and that nothing was lost proves little.

    effect-done   m1 orders/0@7 m-8
    member-ended  m1 killed
    assigned      m2 orders/0
    effect-done   m2 orders/0@7 m-8
    phase         drained

m-8 came again, as it must.

Never violated. *Unknown* when a record that was done and not committed at a crash did not come again; when a scenario
that crashes a member before its commit (crash-mid-batch, crash-before-commit) left nothing to come again (after a crash
mid-batch the record that was under way counts too, once it is done); and when the history has no
end. Records below a commit that was on its way when its member was killed, or that was seen only after that, may come again or not, unless it was refused. Where exactly-once is promised, a record whose
output can be seen need not come again: its position was kept with it. *Held* otherwise, also where
no crash was meant. At-most-once does not promise it.`,
	Judge: judgeRedelivered,
	Sight: NeedsEffects,
}

func judgeRedelivered(f *Facts) Result {
	r := held(f.Header.Promises.Delivery != history.AtMostOnce)
	again, missing, kept := 0, 0, 0
	first := none
	for i := range f.crashes {
		c := &f.crashes[i]
		covered := f.covered(c)
		for _, ri := range f.between(c.part, c.from, c.to) {
			rec := &f.records[ri]
			switch {
			case rec.done == none || rec.done > c.pos:
			case rec.lastDone > c.pos:
				again++
			case f.kept(rec):
				kept++
			case rec.offset >= covered:
				missing++
				if first == none {
					first = ri
				}
			}
		}
	}
	resumed := f.resumed()
	r.Figures["redelivered"], r.Figures["not_redelivered"], r.Figures["resumed"] = float64(again), float64(missing), float64(resumed)
	if kept > 0 {
		r.Figures["kept"] = float64(kept)
	}
	meant := ""
	for _, name := range f.Header.Faults {
		if strings.HasPrefix(name, "crash-mid-batch") && resumed == 0 || strings.HasPrefix(name, "crash-before-commit") {
			meant = name
		}
	}
	switch {
	case !f.complete():
		r.unknown("the history has no end: what is not in it may have come again")
	case missing > 0:
		rec := &f.records[first]
		r.unknown("%s done and not committed at a crash did not come again, the first is %s at %s@%d",
			num(missing, "record that was", "records that were"), rec.message, f.topicPart(rec.part), rec.offset)
	case meant != "" && again+kept == 0:
		r.unknown("the fault %s left nothing to redeliver", meant)
	}
	return r.conclude("", noun{}, "%s done and not committed at a crash came again, %s under way %s done after it%s",
		num(again, "record that was", "records that were"), num(resumed, "that was", "that were"), noun{"was", "were"}.of(resumed), tellOutputs(kept))
}

// resumed counts killed members whose last effect was under way and was done
// later. A consumer that commits by the clock, and only what is done, has
// nothing else to show after it was held in the middle of a batch.
func (f *Facts) resumed() int {
	n := 0
	for i := range f.lives {
		l := &f.lives[i]
		if l.ended == none || l.stopping != none || l.lastStarted == none || f.events[l.ended].Outcome != history.Killed {
			continue
		}
		if f.records[l.lastStarted].done > l.ended {
			n++
		}
	}
	return n
}

// covered is below which records need not come again: a commit was on its way
// when the member was killed, and nobody knows whether the broker applied it
// before the next owner asked. A commit that was still in the socket is
// forwarded, and logged, after the end of the member.
//
// The window that the crash opened is not narrowed by such a commit: the next
// owner may have asked for its offset before, and what it repeats then has a cause.
func (f *Facts) covered(c *crash) int64 {
	below := c.from
	consider := func(ci int32) {
		if req := &f.commits[ci]; req.unsure() || req.accepted && req.answer > c.pos {
			below = max(below, req.offset)
		}
	}
	if c.request != none {
		consider(c.request)
	}
	for _, ci := range c.late {
		consider(ci)
	}
	return below
}
