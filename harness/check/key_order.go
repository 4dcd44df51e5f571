package check

import (
	"fmt"
	"slices"

	"github.com/ksim-dev/ksim/harness/history"
)

var keyOrder = Check{
	Name: "key-order",
	Doc: `The records of one key are finished in the order of their offsets, and never two at a time.

    effect-started  m1 orders/0@7 m-8 key k1
    effect-started  m1 orders/0@9 m-10 key k1
    effect-done     m1 orders/0@9 m-10 key k1
    effect-done     m1 orders/0@7 m-8 key k1
    phase           end

Two workers had k1 at once, and the later record won.

*Violated*, where order by partition or by key is promised, by each record finished after a later one of its key, by each
replay out of order within its key, and by two attempts at different records of a key, or by different members, that
overlap in time. A member that has lost the partition and cannot know, that is frozen or dead takes no part; nor does a second attempt of
the same member at the same record, whose client gave the first one up, nor an attempt that was given up, once it is begun. Records without a key have no order. *Unknown* when
fewer than two records with keys were finished. Not promised: counted.`,
	Judge: judgeKeyOrder,
	Sight: NeedsEffects,
}

func judgeKeyOrder(f *Facts) Result {
	order := f.Header.Promises.Order
	r := held(order == history.OrderPartition || order == history.OrderKey)
	n := f.late(&r, true)
	late := r.Count
	again := f.replays(&r, true)
	overlaps := f.overlaps(&r)
	r.Figures["replays_out_of_order"], r.Figures["overlaps"] = float64(again), float64(overlaps)
	if n < 2 {
		r.unknown("fewer than two records with keys were seen to be finished")
	}
	return r.conclude("out_of_order", same(fmt.Sprintf("out of order: %d finished late, %d done again out of order, %d overlapped", late, again, overlaps)),
		"%s of %s, finished in order, one at a time", num(n, "record", "records"), num(len(f.keys), "key", "keys"))
}

// overlaps walks through the attempts and keeps those that are open for each key.
func (f *Facts) overlaps(r *Result) int {
	open := make([][]int32, len(f.keys)) // indexes of effects
	// Whose client gave up is over when the client says so, and not when the sink notices: by then it
	// may be at the next record.
	givenUp := map[int32]bool{}
	for i := range f.effects {
		if e := &f.effects[i]; e.kind == dropped {
			givenUp[e.start] = true
		}
	}
	n := 0
	for i := range f.effects {
		e := &f.effects[i]
		key := f.records[e.rec].keyID
		if key == none {
			continue
		}
		if e.kind != started {
			open[key] = slices.DeleteFunc(open[key], func(o int32) bool { return f.effects[o].pos == e.start })
			continue
		}
		// What belongs to the dead is over.
		open[key] = slices.DeleteFunc(open[key], func(o int32) bool {
			end := f.lives[f.effects[o].life].ended
			return end != none && end < e.pos
		})
		if e.standing.orderly() {
			if o := f.clash(open[key], e); o != none {
				n++
				other := &f.effects[o]
				r.violate(func() Evidence {
					return f.of(e.rec, "begun by %s while %s was at %s of the same key", f.lives[e.life].who(), f.lives[other.life].who(), f.records[other.rec].message).
						by(f, e.pos).with(f, other.pos)
				})
			}
			if !givenUp[e.pos] {
				open[key] = append(open[key], int32(i))
			}
		}
	}
	return n
}

// clash returns an open attempt that e must not run beside, none if there is none.
func (f *Facts) clash(open []int32, e *effect) int32 {
	for _, o := range open {
		other := &f.effects[o]
		switch {
		case other.part != e.part:
		case other.life == e.life && other.rec != e.rec:
			return o
		case other.life != e.life && !f.lostBy(other, e):
			return o
		}
	}
	return none
}

// lostBy tells whether the life of an open attempt had lost the partition, without its
// consent, to that of e.
func (f *Facts) lostBy(other, e *effect) bool {
	for _, wi := range f.parts[other.part].windows {
		w := &f.windows[wi]
		if w.life == other.life && w.own && w.pos > other.pos && w.pos < e.pos {
			return true
		}
	}
	return false
}
