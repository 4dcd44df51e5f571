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
that did not leave its group (a static member need not, nor one that was told that it is out), and by each record repeated because of the stop. *Unknown* when
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
