package check

import (
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

var recovery = Check{
	Name: "recovery",
	Doc: `After the last fault the group has read and committed everything within the promised time.

    fault-ended  crash-mid-batch happened
    phase        heal
    produced     orders/0@7 m-8 acked
    phase        drain
    phase        drained, 12 s later

With recovery 10s this is two seconds too late.

Messages are still sent after the last fault, so the time runs from the end of the last fault or from the last produce,
whichever is later, to the moment when every partition was committed to its end.

*Violated*, where it is promised, when that took longer than promised. *Unknown* when the run did not drain (commit-progress tells
why), and when the scenario has faults and none ended before it drained. *Held* otherwise, also without a fault: there was nothing to
recover from. Not promised: the figure only.`,
	Judge: judgeRecovery,
}

func judgeRecovery(f *Facts) Result {
	bound := f.Header.Promises.Recovery
	r := held(bound > 0)
	drained, ok := f.phases[history.PhaseDrained]
	if !ok {
		drained = int32(len(f.events))
	}
	fault, produced := f.lastTrouble(drained)
	switch {
	case fault == none && len(f.Header.Faults) == 0:
		return r.conclude("", noun{}, "no fault, nothing to recover from")
	case !ok:
		r.unknown("the run did not drain; commit-progress tells why")
		return r.conclude("", noun{}, "")
	case fault == none:
		r.unknown("no fault ended before the run had drained")
		return r.conclude("", noun{}, "")
	}
	since, what := fault, "the last fault ended"
	if produced != none && f.events[produced].At > f.events[fault].At {
		since, what = produced, "the last message was produced, which was after the last fault"
	}
	took := max(f.events[drained].At-f.events[since].At, 0)
	r.Figures["recovery_ms"] = float64(took) / float64(time.Millisecond)
	if bound > 0 && took > bound {
		r.violate(func() Evidence {
			return Evidence{What: "drained " + took.Round(time.Millisecond).String() + " after " + what + ", promised are at most " + bound.String()}.
				by(f, drained).with(f, fault, since)
		})
	}
	return r.conclude("", same("recovery that took longer than promised: "+took.Round(time.Millisecond).String()+", not "+bound.String()),
		"recovered in %s", took.Round(time.Millisecond))
}

// lastTrouble finds the last fault that ended, and the last produce, before a position.
func (f *Facts) lastTrouble(before int32) (fault, produced int32) {
	fault, produced = none, none
	for pos := before - 1; pos >= 0 && (fault == none || produced == none); pos-- {
		switch e := &f.events[pos]; {
		case e.Kind == history.FaultEnded && fault == none:
			fault = pos
		case e.Kind == history.Produced && produced == none && f.mine(e.Topic):
			produced = pos
		}
	}
	return fault, produced
}
