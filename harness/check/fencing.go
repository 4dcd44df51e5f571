package check

import (
	"fmt"
	"time"
)

var fencing = Check{
	Name: "fencing",
	Doc: `A member that has lost a partition makes no effect on it once it can know, and none of its commits is accepted.

    assigned        m1 orders/0
    revoked         m1 orders/0
    assigned        m2 orders/0
    effect-started  m1 orders/0@7 m-8
    effect-done     m1 orders/0@7 m-8

m1 gave the partition up itself and still works on it.

*Violated* by an effect begun after the member gave the partition up (revoked, or left), by one begun more than the max poll
interval after an answer told it that it is out, or more than 100 ms (for what was under way) after it joined anew without getting the partition back; by a commit that was sent
while the partition was another live member's, or more than 100 ms after the member had given it up and before anybody else had it, and was accepted; and, where fenced effects are promised, by any effect done
while it was another's. An effect of a member that lost the partition and cannot know yet is a figure
(zombie_effects) and a cause of reprocessing. *Unknown* when no assignment was seen.`,
	Judge: judgeFencing,
}

func judgeFencing(f *Facts) Result {
	r := held(true)
	if f.assigned == 0 {
		r.unknown("no assignment was seen: the tap saw no group traffic of a member")
		return r
	}
	zombies := 0
	why := [standings]string{
		gaveUp: "had given the partition up", gone: "had ended",
		overdue: "was told longer ago than the max poll interval that it is out of the group", returned: "had joined anew without getting the partition back",
	}
	for i := range f.effects {
		e := &f.effects[i]
		switch {
		case e.kind == done && f.Header.Promises.FencedEffects && e.other != none:
			r.violate(func() Evidence {
				return f.of(e.rec, "done by %s while %s owned the partition", f.lives[e.life].who(), f.lives[e.other].who()).by(f, e.pos).with(f, e.start)
			})
		case e.kind == done && e.standing == zombie:
			zombies++
		case e.kind == started && why[e.standing] != "" && e.standing != gone:
			r.violate(func() Evidence {
				return f.of(e.rec, "begun by %s, which %s", f.lives[e.life].who(), why[e.standing]).
					by(f, e.pos).with(f, f.lives[e.life].seats[e.part].until)
			})
		}
	}
	for i := range f.commits {
		c := &f.commits[i]
		if c.accepted && c.other == none && c.standing == gaveUp && c.idle > inFlight {
			r.violate(func() Evidence {
				return Evidence{
					What:  fmt.Sprintf("%s committed %d %s after it had given the partition up, and it was accepted", f.lives[c.life].who(), c.offset, c.idle.Round(time.Millisecond)),
					Where: fmt.Sprintf("%s@%d", f.topicPart(c.part), c.offset),
				}.by(f, c.request).with(f, f.lives[c.life].seats[c.part].until, c.answer)
			})
		}
		if c.accepted && c.other != none {
			r.violate(func() Evidence {
				return Evidence{
					What:  fmt.Sprintf("%s committed %d while %s owned the partition, and it was accepted", f.lives[c.life].who(), c.offset, f.lives[c.other].who()),
					Where: fmt.Sprintf("%s@%d", f.topicPart(c.part), c.offset),
				}.by(f, c.request).with(f, c.answer)
			})
		}
	}
	r.Figures["zombie_effects"] = float64(zombies)
	return r.conclude("", noun{"effect or commit of a member that had lost the partition", "effects or commits of members that had lost the partition"},
		"%s, and nobody worked on what he had given up; %s by members that could not know yet",
		num(f.assigned, "assignment", "assignments"), num(zombies, "effect", "effects"))
}
