package check

import (
	"fmt"

	"github.com/ksim-dev/ksim/harness/history"
)

var boundedFlight = Check{
	Name: "in-flight",
	Doc: `A member holds no more records than it promised: what it has asked the brokers for and not done is bounded.

    assigned      m1 orders/0
    fetched       m1 orders/0, from offset 0 on
    fetched       m1 orders/0, from offset 500 on
    effect-done   m1 orders/0@0 m-1
    fetched       m1 orders/0, from offset 1000 on

Who asks for offset 1000 has what lies below: 999 records are in flight, of which max-in-flight 600 allows 600. A consumer that goes on fetching
while its handlers stand still dies of it, or is a large crash to repeat.

In flight are the records from the first offset that the member asked for, since the partition was given to it, up to the last, that have not come to an end;
over all partitions that it owns. Who asks for an earlier offset again has dropped what it had from there on. Tombstones and dead letters are not counted.

*Violated*, where max-in-flight is promised, by each life of a member that had more, told at its highest. *Unknown* when no fetch of a member was seen. Not promised: the
highest number is a figure.`,
	Judge: judgeInFlight,
	Sight: NeedsEffects,
}

// holding is what one life has of one partition.
type holding struct {
	base, top int64 // [base, top) was asked for
	count     int   // of those, records that have not come to an end
}

// load is what one life has of all of them.
type load struct {
	parts map[int32]*holding // by index of the partition
	total int
	most  int
	pos   int32 // when it had most
	part  int32 // that it asked for then
}

func judgeInFlight(f *Facts) Result {
	bound := f.Header.Promises.MaxInFlight
	r := held(bound > 0)
	w := flights{Facts: f, loads: make([]load, len(f.lives))}
	if f.has(history.Fetched) {
		w.walk()
	}
	most := 0
	for i := range w.loads {
		l := &w.loads[i]
		most = max(most, l.most)
		if bound > 0 && l.most > bound {
			r.violate(func() Evidence {
				return Evidence{
					What:  fmt.Sprintf("%s had %d records in flight, promised are at most %d", f.lives[i].who(), l.most, bound),
					Where: f.topicPart(l.part),
				}.by(f, l.pos)
			})
		}
	}
	r.Figures["most_in_flight"], r.Figures["fetches"] = float64(most), float64(w.fetches)
	if r.Promised && w.fetches == 0 {
		r.unknown("no fetch of a member was seen, so nobody knows what it holds")
	}
	return r.conclude("over_bound", noun{"member with too much in flight", "members with too much in flight"}, "at most %s in flight in one member", num(most, "record", "records"))
}

// flights walks through fetches, effects and owners.
type flights struct {
	*Facts
	loads   []load
	fetches int
}

func (w *flights) walk() {
	lives := map[lifeName]int32{}
	for i := range w.lives {
		lives[lifeName{w.lives[i].member, w.lives[i].incarnation}] = int32(i)
	}
	parts := map[int32]int32{}
	for i := range w.parts {
		parts[w.parts[i].id] = int32(i)
	}
	turns := map[int32][]int32{} // by position: spells that begin or end there
	for i := range w.spells {
		s := &w.spells[i]
		turns[s.from] = append(turns[s.from], int32(i))
		if s.until != none {
			turns[s.until] = append(turns[s.until], int32(i))
		}
	}
	for i := range w.events {
		pos := int32(i)
		for _, si := range turns[pos] {
			w.drop(&w.spells[si]) // at its begin: what the member had of an earlier time
		}
		switch e := &w.events[i]; e.Kind {
		case history.Fetched:
			li, known := lives[lifeName{e.Member, max(e.Incarnation, 1)}]
			part, there := parts[e.Partition]
			if w.mine(e.Topic) {
				w.fetches++
				if known && there {
					w.fetched(li, part, pos, e.Offset)
				}
			}
		case history.EffectDone:
			w.done(w.effects[w.slot[pos]].rec, pos)
		}
	}
}

// drop forgets what a life has of a partition.
func (w *flights) drop(s *spell) {
	l := &w.loads[s.life]
	if h := l.parts[s.part]; h != nil {
		l.total -= h.count
		delete(l.parts, s.part)
	}
}

func (w *flights) fetched(li, part, pos int32, offset int64) {
	l := &w.loads[li]
	if l.parts == nil {
		l.parts = map[int32]*holding{}
	}
	h := l.parts[part]
	if h == nil {
		h = &holding{base: offset, top: offset}
		l.parts[part] = h
	}
	l.total -= h.count
	if offset < h.top {
		h.base, h.top = min(h.base, offset), offset
		h.count = w.open(part, h.base, h.top, pos)
	} else {
		h.count += w.open(part, h.top, offset, pos)
		h.top = offset
	}
	l.total += h.count
	if l.total > l.most {
		l.most, l.pos, l.part = l.total, pos, part
	}
}

// open counts the records of [from, to) that have not come to an end at a position.
func (w *flights) open(part int32, from, to int64, pos int32) int {
	n := 0
	for _, ri := range w.between(part, from, to) {
		if rec := &w.records[ri]; w.countsIn(rec) && (rec.done == none || rec.done > pos) {
			n++
		}
	}
	return n
}

// countsIn tells whether a record counts as in flight: what is dead-lettered ends at a
// moment that only observers know, and later.
func (w *flights) countsIn(rec *record) bool {
	return !rec.isTombstone() && rec.letter == none && !w.skips(rec)
}

// done takes a record out that came to its end now.
func (w *flights) done(ri, pos int32) {
	rec := &w.records[ri]
	if rec.done != pos || rec.part == none || !w.countsIn(rec) {
		return
	}
	for i := range w.loads {
		l := &w.loads[i]
		if h := l.parts[rec.part]; h != nil && h.base <= rec.offset && rec.offset < h.top {
			h.count--
			l.total--
		}
	}
}
