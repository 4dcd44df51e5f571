package check

import (
	"slices"
	"time"
)

// window is the offsets [from, to) of one partition that one cause may have
// repeated, each once.
type window struct {
	cause, life, part int32
	pos               int32
	from, to          int64
	high              int64 // highest offset that the life had done when it opened, +1
	// own: the life itself may also repeat, once for each offset from from on, while
	// it cannot know that the partition is no longer its own.
	own   bool
	empty bool // nothing may be repeated: the promise is to drain
	used  map[int32]uint8
	count int
	upTo  int64 // highest offset explained, +1
}

const (
	byOwner = uint8(1) // slots of window.used
	bySelf  = uint8(2)
)

// cause is one thing that happened, over all partitions it touched.
type cause struct {
	kind    string
	life    int32
	pos     int32
	at      time.Duration
	count   int
	windows []int32
}

// repeat is one EffectDone of a message that was done before.
type repeat struct {
	pos, rec, life int32
	cause          int32 // none if unexplained
}

// crash is a killed member with work done and not committed on one partition.
type crash struct {
	life, part, pos int32
	from, to        int64
	request         int32   // its last commit on the partition
	late            []int32 // its commits that were seen after it was killed
}

// legalRefusal tells Kafka errors that refuse a commit because of the group,
// through no fault of a sound member.
func legalRefusal(name string) bool {
	switch name {
	case "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS",
		"FENCED_INSTANCE_ID", "FENCED_MEMBER_EPOCH", "STALE_MEMBER_EPOCH":
		return true
	}
	return false
}

// covers tells whether a cause explains the other too: a transaction that is
// aborted because the group refused its offsets is one thing that happened, not two.
func covers(kind, other string) bool {
	refusal := func(k string) bool { return k == "refused-commit" || k == "aborted-transaction" }
	return kind == other || refusal(kind) && refusal(other)
}

// sameMoment is within which several partitions are taken to be lost by one
// and the same rebalance: one response of the group is one burst of events.
const sameMoment = time.Second

// newCause starts a cause, or goes on with the last one of this life if it is
// of the same kind and moment. Only what touches many partitions at once is joined.
func (r *replay) newCause(kind string, lifeIndex, pos int32) int32 {
	l, at := &r.lives[lifeIndex], r.events[pos].At
	if l.lastCause != none && kind != "retry" && kind != "unknown-answer" {
		if c := &r.causes[l.lastCause]; c.kind == kind && at-c.at <= sameMoment {
			return l.lastCause
		}
	}
	l.lastCause = int32(len(r.causes))
	r.causes = append(r.causes, cause{kind: kind, life: lifeIndex, pos: pos, at: at})
	return l.lastCause
}

func (r *replay) addWindow(kind string, s *seat, pos int32, w window) int32 {
	if w.from >= w.to && !w.own && kind != "rebalance" && kind != "stop" {
		return none // nothing was done since the commit, and nothing can be under way
	}
	w.cause, w.life, w.part, w.pos, w.high = r.newCause(kind, s.life, pos), s.life, s.part, pos, s.high
	wi := int32(len(r.windows))
	r.windows = append(r.windows, w)
	r.causes[w.cause].windows = append(r.causes[w.cause].windows, wi)
	if kind != "retry" {
		r.parts[s.part].windows = append(r.parts[s.part].windows, wi)
	}
	return wi
}

// committedFrom is where a new owner would start: the last commit, or the
// beginning of the partition.
func (r *replay) committedFrom(part int32) int64 { return max(r.parts[part].committed, 0) }

// openRetries is how many refusals of one life on one partition may still wait
// for their batch to be done again. It bounds the work for a subject that never stops retrying.
const openRetries = 16

// retryWindow lets a batch be done again from its last commit, because one of
// its effects was refused. Refusals with no repeat between them are one retry.
func (r *replay) retryWindow(s *seat, pos int32, offset int64) {
	from := r.committedFrom(s.part)
	to := max(s.high, offset+int64(max(r.Header.BatchSize, 1)))
	if n := len(s.retries); n > 0 {
		if w := &r.windows[s.retries[n-1]]; w.from == from && w.count == 0 {
			w.to = max(w.to, to)
			w.pos = pos
			return
		}
	}
	s.retries = slices.DeleteFunc(s.retries, func(wi int32) bool { return r.windows[wi].to <= from })
	if len(s.retries) >= openRetries {
		s.retries = slices.Delete(s.retries, 0, 1)
	}
	if wi := r.addWindow("retry", s, pos, window{from: from, to: to}); wi != none {
		s.retries = append(s.retries, wi)
	}
}

// refusedWindow lets what a refused commit, or an aborted transaction, would have covered come again.
func (r *replay) refusedWindow(kind string, s *seat, pos int32) {
	from, to := r.committedFrom(s.part), s.high
	if s.window != none && !s.standing.orderly() {
		to = max(to, r.windows[s.window].to)
	}
	ws := r.parts[s.part].windows
	if n := len(ws); n > 0 {
		w := &r.windows[ws[n-1]]
		if w.life == s.life && covers(r.causes[w.cause].kind, kind) && w.from == from && w.count == 0 {
			w.to = max(w.to, to)
			s.again = ws[n-1]
			return
		}
	}
	s.again = r.addWindow(kind, s, pos, window{from: from, to: to})
}

// attribute finds the newest cause that allows this repeat and has not been
// used for it; none if there is none.
func (r *replay) attribute(eff *effect, s *seat) int32 {
	if c := r.credit(eff, eff.life); c != none {
		return c
	}
	rec := &r.records[eff.rec]
	if s == nil || rec.offset < 0 {
		return none
	}
	best, slot := none, byOwner
	for i := len(s.retries) - 1; i >= 0; i-- {
		if w := &r.windows[s.retries[i]]; w.from <= rec.offset && rec.offset < w.to && w.used[eff.rec]&byOwner == 0 {
			best = s.retries[i]
			break
		}
	}
	ws := r.parts[eff.part].windows
	for i := len(ws) - 1; i >= 0 && (best == none || r.windows[ws[i]].pos > r.windows[best].pos); i-- {
		w := &r.windows[ws[i]]
		use := byOwner
		if w.own && w.life == eff.life && eff.standing.lost() {
			if ws[i] != s.window || eff.standing != zombie {
				continue
			}
			use = bySelf
		}
		inside := w.from <= rec.offset && (rec.offset < w.to || use == bySelf) && !w.empty
		if inside && w.used[eff.rec]&use == 0 {
			best, slot = ws[i], use
			break
		}
	}
	if best == none {
		// Who was not told gave the partition up before it could try again, and could not commit the record.
		return r.credit(eff, none)
	}
	w := &r.windows[best]
	if w.used == nil {
		w.used = map[int32]uint8{}
	}
	w.used[eff.rec] |= slot
	w.count++
	w.upTo = max(w.upTo, rec.offset+1)
	r.causes[w.cause].count++
	return w.cause
}

// credit uses up an answer that may never have arrived: the client could not
// know that the effect was applied. life is whose answer it was; none for anybody's.
func (r *replay) credit(eff *effect, life int32) int32 {
	cs := r.credits[eff.rec]
	for i, c := range cs {
		if life == none || r.causes[c].life == life {
			r.credits[eff.rec] = slices.Delete(cs, i, i+1)
			r.causes[c].count++
			return c
		}
	}
	return none
}

// explainsLetter tells whether a second dead letter of a record can come from
// a cause: anything before it that let the partition be read again from there or below.
func (f *Facts) explainsLetter(rec *record, l *letter) bool {
	if rec.part == none || f.blind() { // without effects no window can be told
		return true
	}
	for _, wi := range f.parts[rec.part].windows {
		w := &f.windows[wi]
		if !w.empty && w.from <= rec.offset && (l.time == 0 || f.causes[w.cause].at <= l.time+appendTolerance) {
			return true
		}
	}
	// A batch that is done again because another of its records was refused
	// brings its dead letters again.
	p := &f.parts[rec.part]
	for _, ref := range p.refusals {
		if ref.rec != none && &f.records[ref.rec] != rec && ref.pos < l.pos {
			return true
		}
	}
	return false
}
