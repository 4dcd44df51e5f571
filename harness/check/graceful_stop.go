package check

import (
	"strings"

	"github.com/ksim-dev/ksim/harness/history"
)

var gracefulStop = Check{
	Name: "graceful-stop",
	Doc: `A member that is asked to stop (SIGTERM) drains, commits and leaves the group before its deadline, and nothing that it did
comes again.

    member-stopping  m1
    effect-done      m1 orders/0@7 m-8
    left             m1
    member-ended     m1 stopped, exit status 0
    effect-done      m2 orders/0@7 m-8

m1 left without committing m-8, so m2 did it again.

*Violated*, where it is promised, by a stop that overran its deadline, by an exit status other than 0 and 143 (SIGTERM), by a member
that did not leave its group (a static member need not, nor one that was told that it is out), by each partition that a member had to its end, and in which the next record to commit was one that it
had done and that did not come again, and by each record repeated because of the stop. A last commit that was refused, or had no answer, excuses; where exactly-once is promised, positions may be kept elsewhere. *Unknown* when
no member was asked to stop, when the end of one that was is not in the history, and when the history has no end. Not promised: counted.`,
	Judge: judgeGracefulStop,
}

func judgeGracefulStop(f *Facts) Result {
	r := held(f.Header.Promises.GracefulStop)
	stops, unseen, repeated := 0, 0, 0
	for i := range f.lives {
		l := &f.lives[i]
		if l.stopping == none {
			continue
		}
		stops++
		if l.ended == none {
			unseen++
			continue
		}
		f.judgeStop(&r, l)
	}
	unsaved := f.unsaved(&r)
	for i := range f.repeats {
		p := &f.repeats[i]
		if p.cause == none || f.causes[p.cause].kind != "stop" {
			continue
		}
		repeated++
		c := &f.causes[p.cause]
		r.violate(func() Evidence {
			return f.of(p.rec, "done again by %s because %s stopped without committing it", f.lives[p.life].who(), f.lives[c.life].who()).
				by(f, p.pos).with(f, c.pos)
		})
	}
	r.Figures["stops"], r.Figures["repeated_by_stops"] = float64(stops), float64(repeated)
	r.Figures["stopped_without_commit"] = float64(unsaved)
	switch {
	case stops == 0:
		r.unknown("no member was asked to stop")
	case unseen > 0:
		r.unknown("the end of %s asked to stop is not in the history", num(unseen, "member that was", "members that were"))
	case !f.complete():
		r.unknown("the history has no end: what stopped members did may have come again")
	}
	return r.conclude("violations", noun{"violation of a graceful stop", "violations of a graceful stop"},
		"%s, each in time, and nothing was repeated", num(stops, "stop", "stops"))
}

// judgeStop judges the end of one life that was asked to stop.
func (f *Facts) judgeStop(r *Result, l *life) {
	e := &f.events[l.ended]
	wrong := func(what string) {
		r.violate(func() Evidence { return Evidence{What: what}.by(f, l.ended).with(f, l.stopping) })
	}
	switch {
	case e.Note == "deadline":
		wrong("it did not stop in time and was killed")
		return
	case e.Outcome == history.Killed:
		return // by the harness, for a reason of its own
	case !cleanExit(e.Error):
		wrong("it ended with " + bounded(e.Error))
	}
	// A member leaves once: before the signal, if it was on its way out
	// already. The tap may read the request after the process was seen to end.
	entered := max(l.joined, f.lastAssigned(l))
	inGroup := entered != none && l.told < entered
	if inGroup && !l.static && l.left < entered {
		wrong("it did not leave the group, which must wait for its session to expire")
	}
}

// unsaved finds work that members left behind when they stopped, done and not committed, though nobody was there to
// do it again: a final commit that was never sent, or with a context that had ended.
func (f *Facts) unsaved(r *Result) int {
	n := 0
	if f.Header.Promises.Delivery == history.ExactlyOnce {
		return 0
	}
	for i := range f.spells {
		s := &f.spells[i]
		l := &f.lives[s.life]
		if l.stopping == none || l.ended == none || f.events[l.ended].Outcome != history.Stopped || s.until == none || s.until < l.stopping || !s.voluntary && s.until != l.ended {
			continue
		}
		committed, excused := f.committedBy(s)
		if excused {
			continue
		}
		left := f.between(s.part, committed, f.parts[s.part].end)
		if len(left) == 0 || !f.doneIn(&f.records[left[0]], s) || f.records[left[0]].lastDone > l.ended {
			continue // what came again is told as a repeat
		}
		n++
		r.violate(func() Evidence {
			return f.of(left[0], "%s had done it when it stopped, and left without committing it: the last commit is %d", l.who(), committed).
				by(f, s.until).with(f, f.records[left[0]].done, l.stopping)
		})
	}
	return n
}

// committedBy is how far a partition was committed at the end of a spell, by whomever; excused tells that
// the last commit of its life was refused or had no answer, which need be no fault of its own.
func (f *Facts) committedBy(s *spell) (committed int64, excused bool) {
	for _, ci := range f.parts[s.part].commits {
		c := &f.commits[ci]
		if c.accepted && (c.life == s.life || c.answer < s.until) {
			committed = max(committed, c.offset)
		}
		if c.life == s.life && c.request > s.from {
			excused = !c.accepted
		}
	}
	return committed, excused
}

// doneIn tells whether the life of a spell finished a record in it, first of all.
func (f *Facts) doneIn(rec *record, s *spell) bool {
	if rec.done == none || rec.done < s.from || rec.done > f.lives[s.life].ended {
		return false
	}
	return f.effects[f.slot[rec.done]].life == s.life
}

// cleanExit tells an orderly end from the text of MemberEnded. 143 is 128 +
// SIGTERM, what a shell reports of a program without a handler.
func cleanExit(text string) bool {
	switch {
	case text == "", strings.HasSuffix(text, "exit status 0"), strings.HasSuffix(text, "exit status 143"):
		return true
	}
	return strings.Contains(text, "SIGTERM") || strings.Contains(text, "terminated")
}

// lastAssigned is the position of the newest Assigned of a life.
func (f *Facts) lastAssigned(l *life) int32 {
	last := none
	for _, s := range l.seats {
		if s != nil {
			last = max(last, s.since)
		}
	}
	return last
}
