package check

import (
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

var headOfLine = Check{
	Name: "head-of-line",
	Doc: `A record that takes long does not hold up what does not depend on it.

    effect-started  m1 orders/0@7 m-8, at 10.0 s
    produced        orders/1@3 m-9 acked, at 10.1 s
    effect-done     m1 orders/0@7 m-8, at 14.0 s
    effect-started  m1 orders/1@3 m-9, at 14.1 s
    effect-done     m1 orders/1@3 m-9, at 14.1 s

m1 owns both partitions, and for four seconds nothing was done in orders/1 though m-9 waited there.

An attempt is *long* from 2 s on. The promise is about the other partitions of its member (independent: partitions), or about all other keys of its member too
(keys). What the sink itself holds (all effects of the member stand at its gate), and a member that is frozen, is asked to stop, or ends, is not judged.

*Violated*, where it is promised, by each long attempt during which its member began nothing of what should go on, though a record waited there for 2 s or longer: one in a
partition that the member owned all the time, and in which it was not busy or waiting to retry itself for all of these 2 s. *Unknown* when no effect was seen. *Held* otherwise, also if
no attempt was long. Not promised: counted.`,
	Judge: judgeHeadOfLine,
	Sight: NeedsEffects,
}

// longAttempt is from when on an attempt should not hold others up.
const longAttempt = 2 * time.Second

func judgeHeadOfLine(f *Facts) Result {
	p := f.Header.Promises
	r := held(p.Independent != "")
	if why := f.thin(); why != "" && r.Promised {
		r.unknown("%s", why)
		return r
	}
	long, alone := 0, 0
	work := f.workOfLives()
	for i := range f.effects {
		e := &f.effects[i]
		if e.kind != started || e.part == none || f.events[e.pos].Note == history.NoteAlone {
			continue
		}
		until := f.until(e, work[e.life])
		took := f.events[until].At - e.at
		if took < longAttempt || f.frozeIn(e.life, stretch{e.pos, until}) {
			continue
		}
		long++
		waits := f.heldUp(e, until, work[e.life], p.Independent == history.IndependentKeys)
		if waits == none {
			continue
		}
		alone++
		r.violate(func() Evidence {
			slow := &f.records[e.rec]
			return f.of(waits, "%s began nothing else while it was at %s (%s/%d@%d) for %s", f.lives[e.life].who(), slow.message,
				f.Header.Topic, f.parts[e.part].id, slow.offset, took.Round(time.Millisecond)).by(f, until).with(f, e.pos)
		})
	}
	r.Figures["long_attempts"], r.Figures["held_others_up"] = float64(long), float64(alone)
	return r.conclude("held_up", noun{"long attempt that held others up", "long attempts that held others up"},
		"%s of 2 s or more, and others went on meanwhile", num(long, "attempt", "attempts"))
}

// workOfLives lists, by life, the indexes of its effects.
func (f *Facts) workOfLives() [][]int32 {
	work := make([][]int32, len(f.lives))
	for i := range f.effects {
		work[f.effects[i].life] = append(work[f.effects[i].life], int32(i))
	}
	return work
}

// until is the position at which an attempt ended, or to which it can be judged.
func (f *Facts) until(e *effect, work []int32) int32 {
	end := f.lastOfRun()
	l := &f.lives[e.life]
	for _, pos := range []int32{l.stopping, l.ended} {
		if pos != none {
			end = min(end, pos)
		}
	}
	for _, i := range f.after(work, e.pos) {
		if o := &f.effects[i]; o.start == e.pos && o.kind != started {
			return max(min(end, o.pos), e.pos)
		}
	}
	return max(end, e.pos)
}

// after returns the effects of a list of indexes that lie behind a position.
func (f *Facts) after(work []int32, pos int32) []int32 {
	at, _ := slices.BinarySearchFunc(work, pos+1, func(i, pos int32) int { return int(f.effects[i].pos - pos) })
	return work[at:]
}

// heldUp returns a record that waited because of the attempt e; none if another effect of its kind was begun
// before the attempt ended, or none waited.
func (f *Facts) heldUp(e *effect, until int32, work []int32, keys bool) int32 {
	key := f.records[e.rec].keyID
	depends := func(part, rec int32) bool {
		if !keys {
			return part == e.part
		}
		k := f.records[rec].keyID
		return part == e.part && (k == none || k == key)
	}
	busy := map[int32]bool{}          // partitions that have a record of their own to wait for
	free := map[int32]time.Duration{} // since when they have none
	open := map[int32]int32{}
	for _, i := range work {
		o := &f.effects[i]
		switch {
		case o.pos >= until:
		case o.kind == started && o.pos > e.pos && !depends(o.part, o.rec):
			return none
		case o.kind == started && o.pos != e.pos:
			open[o.pos] = o.part
		case o.kind == refused && o.start != e.pos:
			delete(open, o.start)
			busy[o.part] = true
		case o.kind == done && o.start != e.pos:
			delete(open, o.start)
			delete(busy, o.part)
			free[o.part] = o.at
		}
	}
	for _, part := range open {
		busy[part] = true
	}
	for i := range f.spells {
		s := &f.spells[i]
		if s.life != e.life || s.from > e.pos || s.until != none && s.until < until || busy[s.part] || !keys && s.part == e.part {
			continue
		}
		for _, ri := range f.parts[s.part].records {
			rec := &f.records[ri]
			waited := f.events[until].At - max(f.events[rec.event].At, e.at, free[s.part])
			begun := rec.started != none && rec.started <= until || rec.letter != none || rec.isTombstone()
			if waited >= longAttempt && !begun && !depends(s.part, ri) {
				return ri
			}
		}
	}
	return none
}
