package check

import "github.com/ksim-dev/ksim/harness/history"

// effect replays one event of an attempt.
func (r *replay) effect(pos int32, e *history.Event) {
	eff := effect{at: e.At, pos: pos, start: pos, rec: none, part: none, tenure: none, other: none}
	switch e.Kind {
	case history.EffectDone:
		eff.kind = done
	case history.EffectRefused:
		eff.kind = refused
	case history.EffectDropped:
		eff.kind = dropped
	}
	if ref := r.at(e.Ref); eff.kind != started && ref != none && ref < pos && r.events[ref].Kind == history.EffectStarted {
		begun := &r.effects[r.slot[ref]]
		eff.start, eff.rec, eff.life, eff.part = ref, begun.rec, begun.life, begun.part
	} else {
		eff.rec, eff.life = r.record(e.Message), r.life(e.Member, e.Incarnation)
		if eff.part = r.records[eff.rec].part; eff.part == none && e.Partition >= 0 && r.mine(e.Topic) {
			eff.part = r.part(e.Partition)
		}
	}
	var s *seat
	if eff.part != none {
		s = r.seat(eff.life, eff.part)
		eff.standing, eff.tenure = r.stands(s, e), s.tenure
		eff.other = r.otherOwner(eff.part, eff.life)
	}
	r.slot[pos] = int32(len(r.effects))
	rec := &r.records[eff.rec]
	switch eff.kind {
	case started:
		r.lives[eff.life].lastStarted = eff.rec
		if rec.started == none {
			rec.started = pos
		}
	case done:
		r.done(&eff, s, rec)
		if e.Note == "reset" {
			r.credits[eff.rec] = append(r.credits[eff.rec], r.newCause("unknown-answer", eff.life, pos))
		}
	case refused:
		if s != nil {
			r.parts[eff.part].refuse(eff.rec, pos)
		}
		if s != nil && rec.offset >= 0 && eff.standing.orderly() {
			r.retryWindow(s, pos, rec.offset)
		}
	}
	r.effects = append(r.effects, eff)
}

// refuse keeps the first refusal of each of two records.
func (p *partition) refuse(rec, pos int32) {
	for i := range p.refusals {
		if have := p.refusals[i].rec; have == rec {
			return
		} else if have == none {
			p.refusals[i] = refusal{rec: rec, pos: pos}
			return
		}
	}
}

// done keeps the books of a completed effect.
func (r *replay) done(eff *effect, s *seat, rec *record) {
	if rec.done == none {
		rec.done = eff.pos
	} else {
		r.repeats = append(r.repeats, repeat{pos: eff.pos, rec: eff.rec, life: eff.life, cause: r.attribute(eff, s)})
	}
	if rec.orderly == none && eff.standing.orderly() {
		rec.orderly = eff.pos
	}
	rec.lastDone = eff.pos
	if s == nil || rec.offset < 0 {
		return
	}
	next := rec.offset + 1
	if s.voided != none && s.again != none && eff.start < s.voided && eff.standing.orderly() {
		// It was under way when the transaction was aborted, and goes with it.
		r.windows[s.again].to = max(r.windows[s.again].to, next)
		return
	}
	if s.window != none {
		w := &r.windows[s.window]
		// What was under way when the partition went is part of what goes
		// with it, and so is all that a life does that does not know.
		if eff.standing.lost() || !w.empty && eff.standing == gaveUp && eff.start < s.until {
			w.to = max(w.to, next)
			return
		}
	}
	s.high = max(s.high, next)
}
