package check

import "github.com/ksim-dev/ksim/harness/history"

// group replays what the group gave and took.
func (r *replay) group(pos int32, e *history.Event) {
	li := r.life(e.Member, e.Incarnation)
	l := &r.lives[li]
	switch e.Kind {
	case history.Joining:
		l.joined, l.present, l.inGroup = pos, true, true
		l.static = l.static || e.Note == "static"
	case history.Told:
		l.told = pos
		for _, s := range l.seats {
			if s != nil && s.standing == zombie && s.told == none {
				s.told = pos
			}
		}
	case history.Left:
		evicted := e.Note == "evicted"
		l.inGroup = false
		if !evicted {
			l.left = pos
		}
		for _, s := range l.seats {
			if s != nil && s.standing == owner {
				r.lose(s, pos, !evicted)
			}
		}
	case history.Assigned:
		if r.mine(e.Topic) {
			l.present, l.inGroup = true, true
			l.static = l.static || e.Note == "static"
			r.assign(li, r.part(e.Partition), pos)
		}
	case history.Revoked, history.Lost:
		if r.mine(e.Topic) {
			if s := r.seat(li, r.part(e.Partition)); s.standing == owner {
				// One that was told that its generation is over, by the answer to a join or a
				// sync say, has lost what it does not list any more. It could not commit.
				r.lose(s, pos, e.Kind == history.Revoked && l.told <= l.joined)
			}
		}
	}
}

// assign gives a partition to a life. Whoever still had it has lost it, told or not.
func (r *replay) assign(li, part, pos int32) {
	r.assigned++
	p := &r.parts[part]
	if p.owner != none && p.owner != li {
		if s := r.seat(p.owner, part); s.standing == owner {
			r.lose(s, pos, false)
		}
	}
	r.parts[part].owner = li
	s := r.seat(li, part)
	if s.standing == owner {
		return // it kept it over a rebalance
	}
	s.standing, s.since, s.high, s.retries, s.again, s.voided = owner, pos, 0, nil, none, none
	s.tenure, r.tenures = r.tenures, r.tenures+1
	s.spell = int32(len(r.spells))
	p.spells = append(p.spells, s.spell)
	r.spells = append(r.spells, spell{life: li, part: part, from: pos, until: none})
}

// over ends the spell of a seat, if it has one.
func (r *replay) over(s *seat, pos int32, voluntary bool) {
	if s.spell != none {
		r.spells[s.spell].until, r.spells[s.spell].voluntary = pos, voluntary
		s.spell = none
	}
}

// count notes how many members are healthy, if that has changed.
func (r *replay) count(pos int32) {
	n := int32(0)
	for i := range r.lives {
		if l := &r.lives[i]; l.inGroup && !l.frozen && l.stopping == none && l.ended == none {
			n++
		}
	}
	if last := len(r.census) - 1; last < 0 && n > 0 || last >= 0 && r.census[last].healthy != n {
		r.census = append(r.census, census{pos: pos, healthy: n})
	}
}

// lose takes a partition from a life, of its own accord or not, and opens the
// window of what may be repeated because of it.
func (r *replay) lose(s *seat, pos int32, voluntary bool) {
	l := &r.lives[s.life]
	p := &r.parts[s.part]
	if p.owner == s.life {
		p.owner = none
	}
	r.over(s, pos, voluntary)
	s.until, s.told, s.retries = pos, none, nil
	kind := "rebalance"
	switch {
	case l.stopping != none:
		kind = "stop"
	case !voluntary && (l.frozen || l.froze > s.since):
		kind = "zombie"
	}
	s.standing = zombie
	if voluntary {
		s.standing = gaveUp
	}
	w := window{from: r.committedFrom(s.part), to: s.high}
	// Drained means committed: only a commit that nobody answered can leave
	// something to repeat, or a member that was asked to stop and did not drain.
	w.empty = kind == "rebalance" && voluntary && r.Header.Promises.Drain && !r.unanswered(s)
	w.own = !voluntary
	s.window = r.addWindow(kind, s, pos, w)
}

// unanswered tells whether a commit of the life, on this partition or another, has
// no answer so far. While the coordinator is away nothing can be committed, and
// clients that commit one thing at a time do not even ask for the next.
func (r *replay) unanswered(s *seat) bool {
	for _, other := range r.lives[s.life].seats {
		if other != nil && other.request != none && r.commits[other.request].answer == none {
			return true
		}
	}
	return false
}

// member replays the life of a process.
func (r *replay) member(pos int32, e *history.Event) {
	li := r.life(e.Member, e.Incarnation)
	l := &r.lives[li]
	switch e.Kind {
	case history.MemberStarted, history.MemberReady:
		l.present = true
	case history.MemberStopping:
		l.stopping = pos
	case history.MemberFrozen:
		l.froze, l.frozen = pos, true
		l.freezes = append(l.freezes, pause{from: pos, to: none})
	case history.MemberThawed:
		l.frozen = false
		if n := len(l.freezes); n > 0 {
			l.freezes[n-1].to = pos
		}
	case history.MemberEnded:
		if l.ended != none {
			return
		}
		l.ended, l.frozen = pos, false
		for _, s := range l.seats {
			if s != nil {
				r.bury(s, pos, e)
			}
		}
	}
}

// bury ends a life on one partition. What it had lost before has its window
// already; what it still held may be repeated from the last commit.
func (r *replay) bury(s *seat, pos int32, e *history.Event) {
	if p := &r.parts[s.part]; p.owner == s.life {
		p.owner = none
	}
	r.over(s, pos, false)
	held := s.standing.orderly()
	s.standing, s.retries = gone, nil
	if !held {
		return
	}
	kind := "crash"
	if e.Outcome == history.Stopped {
		kind = "stop"
	}
	from := r.committedFrom(s.part)
	s.until = pos
	s.window = r.addWindow(kind, s, pos, window{from: from, to: s.high})
	if e.Outcome == history.Killed && r.lives[s.life].stopping == none && from < s.high {
		s.crash = int32(len(r.crashes))
		r.crashes = append(r.crashes, crash{life: s.life, part: s.part, pos: pos, from: from, to: s.high, request: s.request})
	}
}
