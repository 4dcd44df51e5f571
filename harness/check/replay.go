package check

import (
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// standing is how a life stands to a partition.
type standing uint8

const (
	stranger  standing = iota // never assigned, as far as was seen
	owner                     // assigned
	gaveUp                    // revoked, or it left: it knows
	zombie                    // lost: it may not know
	overdue                   // lost, and told so longer ago than it may take to notice
	returned                  // lost, and it has joined anew without being given the partition
	gone                      // the life has ended
	standings                 // how many there are
)

// orderly tells whether what the life does on the partition is its own to do.
func (s standing) orderly() bool { return s == stranger || s == owner }

// lost tells whether the partition was taken from the life.
func (s standing) lost() bool { return s == zombie || s == overdue || s == returned }

// seat is one life on one partition.
type seat struct {
	life, part int32
	standing   standing
	since      int32 // position of the Assigned
	until      int32 // position of the loss
	told       int32 // position of the first Told after the loss
	tenure     int32
	high       int64   // highest offset done in this tenure, +1; 0 for none
	window     int32   // what the last loss may repeat
	again      int32   // what the last refused commit or aborted transaction of this tenure may repeat
	voided     int32   // position of the last abort of a transaction in this tenure
	retries    []int32 // windows of refused effects in this tenure
	request    int32   // its last commit
	crash      int32   // how the life ended, if it was killed with work to commit
	spell      int32   // of this tenure, none if it was not assigned
}

// drainState is how the group stood when the drain ended.
type drainState struct {
	began, ended int32 // positions of the phases
	parts        []drainPart
	healthy      []int32 // lives that were alive and not frozen
}

type drainPart struct {
	part, owner int32 // owner none: nobody, or a life that has ended
	committed   int64
	progress    int32
}

// replay goes through the history in order and keeps what is true at each moment.
type replay struct {
	*indexer
	tenures int32
	credits map[int32][]int32 // by record: causes of answers that may not have arrived
}

func newReplay(ix *indexer) *replay { return &replay{indexer: ix, credits: map[int32][]int32{}} }

func (r *replay) run() {
	for i := range r.events {
		pos, e := int32(i), &r.events[i]
		r.slot[i] = none
		switch e.Kind {
		case history.EffectStarted, history.EffectDone, history.EffectRefused, history.EffectDropped:
			r.effect(pos, e)
		case history.EffectUnmatched:
			r.unmatched = append(r.unmatched, pos)
		case history.CommitRequested, history.Committed:
			if r.mine(e.Topic) {
				r.commit(pos, e)
			}
		case history.CommitSealed:
			r.sealed(pos, e)
		case history.Aborted:
			r.aborted(pos, e)
		case history.DeadLettered:
			r.deadLetter(pos, e)
		case history.Output:
			r.output(pos, e)
		case history.Joining, history.Assigned, history.Revoked, history.Lost, history.Told, history.Left:
			r.group(pos, e)
			r.count(pos)
		case history.MemberStarted, history.MemberReady, history.MemberStopping, history.MemberFrozen, history.MemberThawed, history.MemberEnded:
			r.member(pos, e)
			r.count(pos)
		case history.Lag:
			r.lag(e)
		case history.Removed:
			if r.mine(e.Topic) {
				r.removals = append(r.removals, removal{pos, r.part(e.Partition)})
			}
		case history.Recreated:
			if r.mine(e.Topic) {
				r.recreate(pos)
			}
		case history.FaultEnded:
			r.fault(e)
		case history.Phase:
			r.phase(pos, e)
		}
	}
}

func (r *replay) seat(lifeIndex, part int32) *seat {
	l := &r.lives[lifeIndex]
	for int(part) >= len(l.seats) {
		l.seats = append(l.seats, nil)
	}
	s := l.seats[part]
	if s == nil {
		s = &seat{life: lifeIndex, part: part, since: none, until: none, told: none, window: none, again: none, voided: none, request: none, crash: none, spell: none}
		s.tenure, r.tenures = r.tenures, r.tenures+1
		l.seats[part] = s
	}
	return s
}

// otherOwner is the live life, other than the given one, that owns a partition.
func (r *replay) otherOwner(part, lifeIndex int32) int32 {
	o := r.parts[part].owner
	if o == none || o == lifeIndex || r.lives[o].ended != none {
		return none
	}
	return o
}

// inFlight is how long after a member joined anew an effect may arrive that it
// sent before: group and effects travel on different connections, and a client
// joins from a thread of its own. Seen in runs: up to a millisecond; a machine under load takes longer.
const inFlight = 100 * time.Millisecond

// stands refines what is known of the seat at the time of an event.
func (r *replay) stands(s *seat, e *history.Event) standing {
	if s.standing != zombie {
		return s.standing
	}
	l := &r.lives[s.life]
	if l.joined > s.until && e.At > r.events[l.joined].At+inFlight {
		return returned
	}
	// From the first time that it was told: a client that goes on asking is told again with
	// every heartbeat, and would never be late.
	limit, told := r.Header.MaxPollInterval, l.told
	if s.told != none {
		told = s.told
	}
	if limit > 0 && told > s.since && e.At > r.events[told].At+limit {
		return overdue
	}
	return zombie
}

// requested is the commit whose request an event refers to, none if there is none.
func (r *replay) requested(pos int32, e *history.Event) int32 {
	ref := r.at(e.Ref)
	if ref == none || ref >= pos || r.events[ref].Kind != history.CommitRequested {
		return none
	}
	return r.slot[ref]
}

func (r *replay) commit(pos int32, e *history.Event) {
	ci := none
	if e.Kind == history.Committed {
		ci = r.requested(pos, e)
	}
	if ci == none {
		c := commit{offset: e.Offset, at: e.At, request: pos, sealed: none, answer: none,
			life: r.life(e.Member, e.Incarnation), part: r.partOfCommit(e), txn: e.Note == "txn"}
		c.other = r.otherOwner(c.part, c.life)
		ci = int32(len(r.commits))
		r.slot[pos] = ci
		s := r.seat(c.life, c.part)
		if c.standing = r.stands(s, e); s.until != none {
			c.idle = e.At - r.events[s.until].At
		}
		if s.request = ci; s.crash != none {
			r.crashes[s.crash].late = append(r.crashes[s.crash].late, ci)
		}
		r.commits = append(r.commits, c)
		r.parts[c.part].commits = append(r.parts[c.part].commits, ci)
	}
	if e.Kind == history.CommitRequested {
		return
	}
	c := &r.commits[ci]
	if c.answer != none {
		return // answered twice: the first answer is the one that counted
	}
	c.answer = pos
	p := &r.parts[c.part]
	switch e.Outcome {
	case history.Accepted:
		c.accepted = true
		p.answers = append(p.answers, ci)
		if c.offset > p.committed {
			p.progress = pos
		}
		p.committed = c.offset
	case history.Refused:
		if legalRefusal(e.Error) {
			r.refusedWindow("refused-commit", r.seat(c.life, c.part), pos)
		}
	}
}

func (r *replay) output(pos int32, e *history.Event) {
	o := output{rec: none, pos: pos, time: e.Time}
	if e.Message != "" {
		o.rec = r.record(e.Message)
		rec := &r.records[o.rec]
		rec.outputs++
		if rec.output == none || o.time < r.outputs[rec.output].time {
			rec.output = int32(len(r.outputs))
		}
	}
	r.outputs = append(r.outputs, o)
}

func (r *replay) deadLetter(pos int32, e *history.Event) {
	l := letter{rec: none, pos: pos, time: e.Time}
	if e.Message != "" {
		l.rec = r.record(e.Message)
		rec := &r.records[l.rec]
		if rec.letter != none {
			r.lettersTwice++
		}
		if rec.letter == none || l.time < r.letters[rec.letter].time {
			rec.letter = int32(len(r.letters))
		}
	}
	r.letters = append(r.letters, l)
}

func (r *replay) lag(e *history.Event) {
	if !r.mine(e.Topic) {
		return
	}
	p := &r.parts[r.part(e.Partition)]
	p.end = max(p.end, e.End)
	// A sample is as old as its question: one that was asked before a commit and
	// answered after it must not take that commit back.
	p.committed = max(p.committed, e.Offset)
}

func (r *replay) fault(e *history.Event) {
	if began := r.at(e.Ref); began == none || r.events[began].Kind != history.FaultBegan {
		return
	}
	if e.Outcome == history.Happened {
		r.happens[e.Fault]++
		return
	}
	r.missed[e.Fault]++
	r.why[e.Fault] = e.Note
}

func (r *replay) phase(pos int32, e *history.Event) {
	if _, seen := r.phases[e.Note]; !seen {
		r.phases[e.Note] = pos
	}
	began, draining := r.phases[history.PhaseDrain]
	if !draining || r.drain != nil || e.Note != history.PhaseStop && e.Note != history.PhaseEnd {
		return
	}
	d := &drainState{began: began, ended: pos}
	for i := range r.parts {
		p := &r.parts[i]
		o := p.owner
		if o != none && r.lives[o].ended != none {
			o = none
		}
		d.parts = append(d.parts, drainPart{part: int32(i), owner: o, committed: p.committed, progress: p.progress})
	}
	for i := range r.lives {
		if l := &r.lives[i]; l.present && l.ended == none && !l.frozen {
			d.healthy = append(d.healthy, int32(i))
		}
	}
	r.drain = d
}
