package check

import (
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

var retryBound = Check{
	Name: "retry-bound",
	Doc: `A record is attempted no more often than promised, with no less than the promised wait between, and
no record kills member after member.

    effect-started  m1 orders/0@7 m-8
    effect-refused  m1 orders/0@7 m-8 unavailable
    effect-started  m1 orders/0@7 m-8
    effect-refused  m1 orders/0@7 m-8 unavailable
    effect-started  m1 orders/0@7 m-8

With max-attempts 2 the third attempt is one too many.

Attempts are counted for each incarnation of a member, and go on over rebalances: getting a partition back is no reason to
count anew, whoever had it in between. An attempt at a record that was done before is a repeat, for reprocessing to judge, not an attempt too
many. max-attempts-across bounds the attempts of all members together, over restarts and new owners: those that were done or refused, since one that its
member did not live to see the end of cannot be remembered. The wait is from a refusal to the next attempt of the same life at the same record.

*Violated* by each record attempted more often, or sooner, than promised; and always by a crash loop: three members
that exited on their own with the same record begun last, or, before they had begun anything, with the same record first to be read, which nobody ever did. *Unknown* when no effect was seen. Not promised: the figures only.`,
	Judge: judgeRetryBound,
}

// crashLoop is how many members may exit at one record before it is no accident.
const crashLoop = 3

// tries is the attempts of one life at one record.
type tries struct {
	begun   bool
	life    int32
	count   int32
	refused time.Duration // when the last was refused, if waiting
	pos     int32         // of that refusal
	waiting bool
}

func judgeRetryBound(f *Facts) Result {
	p := f.Header.Promises
	r := held(p.MaxAttempts > 0 || p.MinBackoff > 0 || p.MaxAttemptsAcross > 0)
	across := f.across(&r)
	most, least := int32(0), time.Duration(-1)
	all := newTriers(f)
	for i := range f.effects {
		e := &f.effects[i]
		t := all.at(e.rec, e.life)
		switch e.kind {
		case refused:
			t.refused, t.waiting, t.pos = e.at, true, e.pos
		case started:
			if d := f.records[e.rec].done; d != none && d < e.pos {
				continue
			}
			t.count++
			most = max(most, t.count)
			if p.MaxAttempts > 0 && int(t.count) == p.MaxAttempts+1 {
				r.violate(func() Evidence {
					return f.of(e.rec, "attempted more often than %s by %s", num(p.MaxAttempts, "time", "times"), f.lives[e.life].who()).by(f, e.pos)
				})
			}
			if !t.waiting {
				continue
			}
			t.waiting = false
			wait := e.at - t.refused
			if least < 0 || wait < least {
				least = wait
			}
			if p.MinBackoff > 0 && wait < p.MinBackoff {
				r.violate(func() Evidence {
					return f.of(e.rec, "attempted again by %s %s after it was refused, promised are at least %s", f.lives[e.life].who(), wait.Round(1e5), p.MinBackoff).
						by(f, e.pos).with(f, t.pos)
				})
			}
		}
	}
	loops := f.crashLoops(&r)
	r.Figures["max_attempts"], r.Figures["crash_loops"] = float64(most), float64(loops)
	r.Figures["max_attempts_across"] = float64(across)
	if least >= 0 {
		r.Figures["min_backoff_ms"] = float64(least) / 1e6
	}
	if len(f.effects) == 0 {
		r.unknown("no effect was seen: does the subject post its effects to the sink?")
	}
	crashed := ""
	if loops > 0 {
		crashed = fmt.Sprintf(", %s among them", num(loops, "crash loop", "crash loops"))
	}
	return r.conclude("over_bound", noun{"violation of the bounds on retries" + crashed, "violations of the bounds on retries" + crashed},
		"at most %s at a record", num(int(most), "attempt", "attempts"))
}

// triers keeps the attempts of each life at each record. Nearly every record has
// attempts of one life only: the last life is in a slice, those before it in a map.
type triers struct {
	last   []tries
	before map[[2]int32]tries
}

func newTriers(f *Facts) *triers {
	return &triers{last: make([]tries, len(f.records)), before: map[[2]int32]tries{}}
}

// at is the attempts of a life at a record so far. What it returned for the record before is no longer valid.
func (ts *triers) at(rec, life int32) *tries {
	t := &ts.last[rec]
	if t.begun && t.life == life {
		return t
	}
	if t.begun {
		ts.before[[2]int32{rec, t.life}] = *t
		*t = ts.before[[2]int32{rec, life}]
	}
	t.begun, t.life = true, life
	return t
}

// across counts the attempts at each record by all lives, and returns the highest number.
func (f *Facts) across(r *Result) int32 {
	bound := f.Header.Promises.MaxAttemptsAcross
	counts := make([]int32, len(f.records))
	most := int32(0)
	for i := range f.effects {
		e := &f.effects[i]
		if e.kind != done && e.kind != refused {
			continue
		}
		if d := f.records[e.rec].done; d != none && d < e.pos {
			continue // a repeat
		}
		counts[e.rec]++
		most = max(most, counts[e.rec])
		if bound > 0 && int(counts[e.rec]) == bound+1 {
			r.violate(func() Evidence {
				return f.of(e.rec, "attempted more often than %s by all members together", num(bound, "time", "times")).by(f, e.pos)
			})
		}
	}
	return most
}

// crashLoops finds records at which members exited on their own, one after the other. No
// subject may do that, whatever it promised.
func (f *Facts) crashLoops(r *Result) int {
	exits := map[int32][]int32{}
	loops := 0
	for i := range f.lives {
		l := &f.lives[i]
		if l.ended == none || f.events[l.ended].Outcome != history.Exited {
			continue
		}
		rec, how := l.lastStarted, "begun last"
		if rec == none {
			rec, how = f.nextToRead(int32(i)), "the next to be read"
			if rec == none || f.mayWait(&f.records[rec]) { // it may end at poison where it stops at that
				continue
			}
		}
		at := append(exits[rec], l.ended)
		exits[rec] = at
		if len(at) == crashLoop {
			loops++
			r.Promised = true
			r.violate(func() Evidence {
				return f.of(rec, "%d members exited on their own with this record %s", crashLoop, how).by(f, l.ended).with(f, at...)
			})
		}
	}
	return loops
}

// nextToRead is the record at which a life that began nothing would have gone on, in the first of its
// partitions that had one; none if it had no partition.
func (f *Facts) nextToRead(life int32) int32 {
	for i := range f.spells {
		s := &f.spells[i]
		if s.life != life {
			continue
		}
		committed := int64(0)
		for _, ci := range f.parts[s.part].answers {
			if c := &f.commits[ci]; c.answer < f.lives[life].ended {
				committed = c.offset
			}
		}
		for _, ri := range f.between(s.part, committed, f.parts[s.part].end) {
			// One that got done in the end had another reason to wait: a transaction that was still open, say.
			if rec := &f.records[ri]; rec.event < f.lives[life].ended && !f.ended(rec) {
				return ri
			}
			break
		}
	}
	return none
}
