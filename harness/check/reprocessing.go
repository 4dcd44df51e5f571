package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

var reprocessing = Check{
	Name: "reprocessing",
	Doc: `Every effect that is done again has a cause, and lies in the window that this cause may repeat: from the last commit C
of the partition to P, the end of what the member had done there.

    effect-done   m1 orders/0@7 m-8
    committed     m1 orders/0 8 accepted
    member-ended  m1 killed
    assigned      m2 orders/0
    effect-done   m2 orders/0@7 m-8

m-8 was committed, so the crash does not excuse that it was done again.

Causes: *crash* (killed or exited), *stop* (asked to stop), *rebalance* (revoked, or lost while running; nothing if the
promise is to drain and the member gave the partition up itself), *zombie* (lost after it was frozen; what it does
itself before it can know is explained too, once), *refused-commit* (by an error of the group), *aborted-transaction*, *retry* (an effect was refused, so the same
member does the batch again from its last commit), *unknown-answer* (the answer to an applied effect was cut off, so its member, or the next owner, does it again). A cause
explains each offset once; a repeat is put down to the newest cause that is left for it.

*Violated* by each repeat that no cause explains, and by a cause that repeated more than max-reprocessed
records where that is promised. *Unknown* when no record or no effect was seen. Records whose place is not known are counted only.`,
	Judge: judgeReprocessing,
	Sight: NeedsEffects,
}

func judgeReprocessing(f *Facts) Result {
	r := held(true)
	if why := f.thin(); why != "" {
		r.unknown("%s", why)
		return r
	}
	unexplained, unplaced := f.unattributed()
	for i := range f.repeats {
		p := &f.repeats[i]
		if p.cause != none || !f.placed(p.rec) {
			continue
		}
		r.violate(func() Evidence {
			first := f.records[p.rec].done
			return f.of(p.rec, "done again by %s without a cause; first done by %s at %s",
				f.lives[p.life].who(), f.events[first].Who(), f.wall(f.events[first].At)).by(f, p.pos).with(f, first)
		})
	}
	causes := f.causesOfRepeats()
	over, bound := 0, f.Header.Promises.MaxReprocessed
	for _, c := range causes {
		if bound > 0 && c.count > bound {
			over++
			r.violate(func() Evidence {
				return Evidence{What: fmt.Sprintf("%d repeated by %s, promised are at most %d", c.count, f.tellCause(c), bound)}.by(f, c.pos)
			})
		}
	}
	r.Figures["repeated"], r.Figures["unexplained"], r.Figures["unplaced"] = float64(len(f.repeats)), float64(unexplained), float64(unplaced)
	if len(causes) > 0 {
		r.Figures["most_by_one_cause"] = float64(causes[0].count)
	}
	r.Reason = f.attribution()
	if over > 0 {
		r.Reason += fmt.Sprintf("; %s repeated more than the promised %d", num(over, "cause", "causes"), bound)
	}
	return r
}

// unattributed counts the repeats that no cause explains, and apart from them those of
// which it cannot be told.
func (f *Facts) unattributed() (unexplained, unplaced int) {
	for i := range f.repeats {
		switch p := &f.repeats[i]; {
		case p.cause != none:
		case !f.placed(p.rec):
			unplaced++
		default:
			unexplained++
		}
	}
	return unexplained, unplaced
}

// causesOfRepeats are the causes that repeated something, those that repeated most first.
func (f *Facts) causesOfRepeats() []*cause {
	var causes []*cause
	for i := range f.causes {
		if f.causes[i].count > 0 {
			causes = append(causes, &f.causes[i])
		}
	}
	slices.SortStableFunc(causes, func(a, b *cause) int { return cmp.Compare(b.count, a.count) })
	return causes
}

// attribution says what was repeated and why, the causes that repeated most first.
func (f *Facts) attribution() string {
	if len(f.repeats) == 0 {
		return "0 repeated"
	}
	causes := f.causesOfRepeats()
	unexplained, unplaced := f.unattributed()
	if len(causes) == 1 && unexplained+unplaced == 0 {
		return fmt.Sprintf("%d repeated: all by %s", len(f.repeats), f.tellCause(causes[0]))
	}
	const named = 3
	var parts []string
	rest := 0
	for i, c := range causes {
		if i < named {
			parts = append(parts, fmt.Sprintf("%d by %s", c.count, f.tellCause(c)))
		} else {
			rest += c.count
		}
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%d by %s", rest, num(len(causes)-named, "more cause", "more causes")))
	}
	if unplaced > 0 {
		parts = append(parts, num(unplaced, "of a record whose place is not known", "of records whose place is not known"))
	}
	if unexplained > 0 {
		parts = append(parts, fmt.Sprintf("%d unexplained", unexplained))
	}
	return fmt.Sprintf("%d repeated: %s", len(f.repeats), strings.Join(parts, ", "))
}

// tellCause names a cause: "the crash of m1 at 14:03:07.120, partition 3 [118,127)".
func (f *Facts) tellCause(c *cause) string {
	what := map[string]string{
		"crash": "the crash of %s", "zombie": "the zombie %s", "rebalance": "the rebalance of %s", "stop": "the stop of %s",
		"refused-commit": "the refused commit of %s", "aborted-transaction": "an aborted transaction of %s", "retry": "a retry of %s", "unknown-answer": "an unknown answer to %s",
	}[c.kind]
	text := fmt.Sprintf(what, f.lives[c.life].who()) + " at " + f.wall(c.at)
	var windows []string
	for _, wi := range c.windows {
		if w := &f.windows[wi]; w.count > 0 {
			windows = append(windows, fmt.Sprintf("partition %d [%d,%d)", f.parts[w.part].id, w.from, w.reach()))
		}
	}
	if len(windows) > 0 {
		text += ", " + strings.Join(windows, " and ")
	}
	return text
}
