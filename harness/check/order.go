package check

import (
	"fmt"
	"math"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// completion is when a record first came to an end in an orderly way: by an
// effect of a life that owned the partition, or by its dead letter.
type completion struct {
	pos int32 // of the effect; none for a dead letter
	at  time.Duration
}

// completionOf returns false for what takes no part in an order: not done, a
// tombstone, or a dead letter whose time is not known or whose transaction was
// aborted at first.
func (f *Facts) completionOf(r *record) (completion, bool) {
	switch {
	case r.isTombstone():
	case r.orderly != none:
		return completion{r.orderly, f.events[r.orderly].At}, true
	case r.done == none && r.letter != none && f.letters[r.letter].time != 0 && !f.voidedLetter(r):
		return completion{none, f.letters[r.letter].time}, true
	}
	return completion{}, false
}

// earliest is the first completion among records with higher offsets. Effects are compared by
// their order in the history, dead letters by time.
type earliest struct {
	pos    int32 // of an effect
	at     time.Duration
	rec    int32 // that completed at pos
	recAt  int32 // that completed at at
	scope  int32 // partition that it is about
	filled bool
}

// overtaken returns the record behind c that completed before it, none if
// there is none, and takes c in.
func (e *earliest) overtaken(scope, rec int32, c completion) int32 {
	if !e.filled || e.scope != scope {
		*e = earliest{pos: math.MaxInt32, at: math.MaxInt64, rec: none, recAt: none, scope: scope, filled: true}
	}
	by := none
	switch {
	case c.pos != none && e.rec != none && c.pos > e.pos:
		by = e.rec
	case e.recAt != none && (c.pos == none || e.letterFirst()) && c.at-appendTolerance > e.at:
		by = e.recAt
	}
	if c.pos != none && c.pos < e.pos {
		e.pos, e.rec = c.pos, rec
	}
	if c.at < e.at {
		e.at, e.recAt = c.at, rec
	}
	return by
}

// letterFirst tells whether the earliest by time is not the earliest by
// position, hence a dead letter, to be compared by time with its tolerance.
func (e *earliest) letterFirst() bool { return e.recAt != e.rec }

// late judges the order of first completions: for each partition from its end
// to its beginning, a record is late if one behind it was finished first.
func (f *Facts) late(r *Result, byKey bool) int {
	scopes := make([]earliest, 1)
	if byKey {
		scopes = make([]earliest, len(f.keys))
	}
	n := 0
	for i := range f.parts {
		recs := f.parts[i].records
		for j := len(recs) - 1; j >= 0; j-- {
			rec := &f.records[recs[j]]
			c, ok := f.completionOf(rec)
			if !ok || byKey && rec.keyID == none {
				continue
			}
			n++
			scope := int32(0)
			if byKey {
				scope = rec.keyID
			}
			if by := scopes[scope].overtaken(int32(i), recs[j], c); by != none {
				r.violate(func() Evidence {
					other := &f.records[by]
					return f.of(recs[j], "finished after %s at offset %d", other.message, other.offset).
						by(f, rec.orderly).with(f, other.orderly, other.event)
				})
			}
		}
	}
	return n
}

// run is how far the present owner of a partition has come in its tenure.
type run struct {
	tenure int32
	high   int64
	rec    int32
}

// replays judges the order of what is done again: within one tenure each
// record that it does for the first time lies above those before it.
func (f *Facts) replays(r *Result, byKey bool) int {
	runs := make([]run, len(f.parts))
	if byKey {
		runs = make([]run, len(f.keys))
	}
	for i := range runs {
		runs[i].tenure = none
	}
	mine := make([]int32, len(f.records)) // tenure that did the record last, +1
	n := 0
	for i := range f.effects {
		e := &f.effects[i]
		if e.kind != done || e.part == none || !e.standing.orderly() {
			continue
		}
		rec := &f.records[e.rec]
		if rec.offset < 0 || rec.isTombstone() || byKey && rec.keyID == none || mine[e.rec] == e.tenure+1 {
			continue
		}
		mine[e.rec] = e.tenure + 1
		scope := e.part
		if byKey {
			scope = rec.keyID
		}
		at := &runs[scope]
		if at.tenure != e.tenure {
			*at = run{tenure: e.tenure, high: -1, rec: none}
		}
		// A first completion that is out of order is told as late.
		if rec.offset < at.high && rec.done != e.pos {
			n++
			r.violate(func() Evidence {
				return f.of(e.rec, "done again by %s after the later offset %d, in one replay", f.lives[e.life].who(), at.high).
					by(f, e.pos).with(f, f.records[at.rec].lastDone)
			})
		}
		if rec.offset > at.high {
			at.high, at.rec = rec.offset, e.rec
		}
	}
	return n
}

// skippedAhead counts tenures whose first effect lies above a healthy record at
// or above the commit. A figure: a subject that keeps its own offsets may do so.
func (f *Facts) skippedAhead() int {
	seen := map[int32]bool{}
	committed := make([]int64, len(f.parts))
	answers := make([]int, len(f.parts))
	n := 0
	for i := range f.effects {
		e := &f.effects[i]
		if e.kind != started || e.part == none || e.standing != owner || f.records[e.rec].offset < 0 {
			continue
		}
		p := &f.parts[e.part]
		for k := &answers[e.part]; *k < len(p.answers) && f.commits[p.answers[*k]].answer < e.pos; *k++ {
			committed[e.part] = f.commits[p.answers[*k]].offset
		}
		if seen[e.tenure] {
			continue
		}
		seen[e.tenure] = true
		for _, ri := range f.between(e.part, committed[e.part], f.records[e.rec].offset) {
			if rec := &f.records[ri]; !rec.isPoison() && !rec.isTombstone() {
				n++
				break
			}
		}
	}
	return n
}

func judgePartitionOrder(f *Facts) Result {
	r := held(f.Header.Promises.Order == history.OrderPartition)
	n := f.late(&r, false)
	late := r.Count
	again := f.replays(&r, false)
	r.Figures["replays_out_of_order"], r.Figures["replays_above_commit"] = float64(again), float64(f.skippedAhead())
	if n < 2 {
		r.unknown("fewer than two records were seen to be finished")
	}
	return r.conclude("out_of_order", same(fmt.Sprintf("out of order: %d finished late, %d done again out of order", late, again)),
		"%s finished in the order of their offsets", num(n, "record was", "records were"))
}
