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
that crashes a member before its commit (crash-mid-batch, crash-before-commit) left nothing to come again; and when the history has no
end. Records below a commit that was on its way when its member was killed may come again or not. *Held* otherwise, also where
no crash was meant. At-most-once does not promise it.`,
	Judge: judgeRedelivered,
}

func judgeRedelivered(f *Facts) Result {
	r := held(f.Header.Promises.Delivery != history.AtMostOnce)
	again, missing := 0, 0
	var first int32 = none
	for i := range f.crashes {
		c := &f.crashes[i]
		covered := f.covered(c)
		for _, ri := range f.between(c.part, c.from, c.to) {
			rec := &f.records[ri]
			switch {
			case rec.done == none || rec.done > c.pos:
			case rec.lastDone > c.pos:
				again++
			case rec.offset >= covered:
				missing++
				if first == none {
					first = ri
				}
			}
		}
	}
	r.Figures["redelivered"], r.Figures["not_redelivered"] = float64(again), float64(missing)
	meant := ""
	for _, name := range f.Header.Faults {
		if strings.HasPrefix(name, "crash-mid-batch") || strings.HasPrefix(name, "crash-before-commit") {
			meant = name
		}
	}
	switch {
	case !f.complete():
		r.unknown("the history has no end: what is not in it may have come again")
	case missing > 0:
		rec := &f.records[first]
		r.unknown("%d records that were done and not committed at a crash did not come again, the first is %s at %s@%d",
			missing, rec.message, f.topicPart(rec.part), rec.offset)
	case meant != "" && again == 0:
		r.unknown("the fault %s left nothing that was done and not committed: the crash left nothing to redeliver", meant)
	}
	return r.conclude("", "", "%d records that were done and not committed at a crash came again", again)
}

// covered is below which records need not come again: a commit was on its way
// when the member was killed, and nobody knows whether the broker applied it.
func (f *Facts) covered(c *crash) int64 {
	if c.request == none {
		return c.from
	}
	req := &f.commits[c.request]
	if req.answer == none || req.accepted && req.answer > c.pos {
		return max(c.from, req.offset)
	}
	return c.from
}
