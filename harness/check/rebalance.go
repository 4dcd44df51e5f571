package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

var rebalance = Check{
	Name: "rebalance",
	Doc: `After a rebalance every partition is owned again, in time, and what a member keeps goes on.

    revoked         m1 orders/0, at 10.0 s
    produced        orders/0@7 m-8 acked, at 10.2 s
    assigned        m2 orders/0, at 10.5 s
    produced        orders/0@8 m-9 acked, at 11.0 s
    effect-started  m2 orders/0@7 m-8, at 12.2 s

The stall of orders/0 is 2.0 s: from 10.2 s, when there was something to do and nobody did it, to 12.2 s. With rebalance-stall 1s that is too long.

A partition changes hands when its owner gives it up, loses it, or ends. Its *stall* is from that moment, or from the moment when its owner
froze, if it did not thaw before, to the first effect begun by the next owner; but no earlier than that record was produced. It is
*ownerless* until the next member has it, for as long as a healthy member (in the group, alive, not frozen, not asked to stop) lives. Stalls
(number, median, longest) are figures in any case.

*Violated* by a partition that was ownerless for longer than session timeout and max poll interval together; where rebalance-stall is promised,
by a longer stall; where incremental rebalances are promised, by a partition that a member gave up and was given back with nobody
having had it in between, though the group had not asked for it and no member had ended or left (this one neither, before it began anything there), and by one that it kept, in which nothing was done while others changed hands, for longer than rebalance-stall (or else the session timeout)
though records waited; where independence is not promised, only the time counts in which its member was at no other partition either. *Unknown* when no assignment was seen, when the run or the history ends with a partition that is ownerless and not committed to its end, and, on
the embedded broker with the classic protocol, when a partition was ownerless for too long: that broker is known to strand groups, so confirm on real Kafka. *Held* also if no partition changed hands.
What drained partitions may repeat is for reprocessing to judge.`,
	Judge: judgeRebalance,
}

// move is one partition that changes hands.
type move struct {
	part          int32
	before, after int32 // spells; after is none if nobody gets it before the members are stopped
	from, to      int32 // positions: nobody serves it, somebody has it (or the run is over)
	stall         time.Duration
	first         int32 // position of the first effect of the next owner, none if there is none
}

func judgeRebalance(f *Facts) Result {
	r := held(true)
	if f.assigned == 0 {
		r.unknown("no assignment was seen: the tap saw no group traffic of a member")
		return r
	}
	moves := f.moves()
	f.measureStalls(moves)
	longest := f.ownerless(&r, moves)
	stalls := f.judgeStalls(&r, moves)
	back := f.takenBack(&r)
	paused := f.retained(&r, moves)
	r.Figures["moves"], r.Figures["stalls"], r.Figures["taken_back"] = float64(len(moves)), float64(len(stalls)), float64(back)
	r.Figures["ownerless_ms_max"], r.Figures["retained_pause_ms_max"] = millis(longest), millis(paused)
	told := "none of them with records that waited"
	if n := len(stalls); n > 0 {
		r.Figures["stall_ms_p50"], r.Figures["stall_ms_max"] = millis(stalls[n/2]), millis(stalls[n-1])
		told = fmt.Sprintf("stalls of %s (median) to %s", stalls[n/2].Round(time.Millisecond), stalls[n-1].Round(time.Millisecond))
	}
	return r.conclude("", noun{"partition that a rebalance stopped for too long, or took without need", "partitions that a rebalance stopped for too long, or took without need"},
		"%s; %s", num(len(moves), "partition changed hands", "partitions changed hands"), told)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// moves finds the partitions that changed hands before the members were stopped.
func (f *Facts) moves() []move {
	stop := f.lastOfRun()
	var moves []move
	for i := range f.parts {
		spells := f.parts[i].spells
		for k, si := range spells {
			s := &f.spells[si]
			if s.until == none || s.until >= stop {
				continue
			}
			m := move{part: s.part, before: si, after: none, from: f.lastServed(s), to: stop, first: none}
			if k+1 < len(spells) && f.spells[spells[k+1]].from < stop {
				m.after = spells[k+1]
				m.to = f.spells[m.after].from
			}
			moves = append(moves, m)
		}
	}
	slices.SortStableFunc(moves, func(a, b move) int { return cmp.Compare(a.from, b.from) })
	return moves
}

// lastServed is when the owner of a spell last ran.
func (f *Facts) lastServed(s *spell) int32 {
	freezes := f.lives[s.life].freezes
	for i := len(freezes) - 1; i >= 0; i-- {
		if p := freezes[i]; p.from > s.from && p.from < s.until && (p.to == none || p.to > s.until) {
			return p.from
		}
	}
	return s.until
}

// measureStalls finds the first effect after each move. Of several moves with no effect between
// them the first has the whole stall.
func (f *Facts) measureStalls(moves []move) {
	open := make([][]int, len(f.parts)) // moves that wait for an effect
	next := 0
	for i := range f.effects {
		e := &f.effects[i]
		for ; next < len(moves) && moves[next].from < e.pos; next++ {
			open[moves[next].part] = append(open[moves[next].part], next)
		}
		if e.kind != started || e.part == none || e.standing != owner || len(open[e.part]) == 0 {
			continue
		}
		m := &moves[open[e.part][0]]
		if m.to > e.pos {
			continue // of the former owner, on its way
		}
		since := f.events[m.from].At
		if rec := &f.records[e.rec]; rec.event != none {
			since = max(since, f.events[rec.event].At)
		}
		m.first, m.stall = e.pos, max(e.at-since, 0)
		open[e.part] = open[e.part][:0]
	}
}

// judgeStalls returns the stalls, the longest last.
func (f *Facts) judgeStalls(r *Result, moves []move) []time.Duration {
	bound := f.Header.Promises.RebalanceStall
	var stalls []time.Duration
	for i := range moves {
		m := &moves[i]
		if m.first == none {
			continue
		}
		stalls = append(stalls, m.stall)
		if bound > 0 && m.stall > bound {
			r.violate(func() Evidence {
				return Evidence{
					What: fmt.Sprintf("nothing was done for %s when it went from %s to %s, promised are at most %s", m.stall.Round(time.Millisecond),
						f.lives[f.spells[m.before].life].who(), f.events[m.first].Who(), bound),
					Where: f.topicPart(m.part),
				}.by(f, m.first).with(f, m.from, m.to)
			})
		}
	}
	slices.Sort(stalls)
	return stalls
}

// ownerless judges how long partitions had no owner though somebody could have had
// them. It returns the longest such time.
func (f *Facts) ownerless(r *Result, moves []move) time.Duration {
	h := &f.Header
	bound := h.SessionTimeout + h.MaxPollInterval
	longest := time.Duration(0)
	for i := range moves {
		m := &moves[i]
		took := f.healthyTime(m.from, m.to)
		longest = max(longest, took)
		what := fmt.Sprintf("nobody had it for %s after %s, though healthy members lived", took.Round(time.Millisecond), f.lives[f.spells[m.before].life].who())
		switch {
		case h.SessionTimeout > 0 && took > bound && strings.HasPrefix(h.Kafka, "embedded") && h.Protocol != "consumer":
			r.unknown("%s: %s: the embedded broker is known to strand groups; confirm on real Kafka", f.topicPart(m.part), what)
		case h.SessionTimeout > 0 && took > bound:
			r.violate(func() Evidence {
				return Evidence{What: what + "; session timeout and max poll interval are " + bound.String(), Where: f.topicPart(m.part)}.by(f, m.to).with(f, m.from)
			})
		case m.after == none && !f.drained() && f.behind(m.part):
			r.unknown("%s: nobody had it when the run ended, %s after %s", f.topicPart(m.part),
				(f.events[m.to].At - f.events[m.from].At).Round(time.Millisecond), f.lives[f.spells[m.before].life].who())
		}
	}
	return longest
}

// healthyTime is how long, between two positions, the group had a healthy member.
func (f *Facts) healthyTime(from, to int32) time.Duration {
	i, found := slices.BinarySearchFunc(f.census, from, func(c census, pos int32) int { return cmp.Compare(c.pos, pos) })
	if !found {
		i--
	}
	total := time.Duration(0)
	for at := from; at < to; i++ {
		end := to
		if i+1 < len(f.census) {
			end = min(end, f.census[i+1].pos)
		}
		if i >= 0 && f.census[i].healthy > 0 {
			total += f.events[end].At - f.events[at].At
		}
		at = end
	}
	return total
}

// behind tells whether records of a partition were not committed at the end of the history.
func (f *Facts) behind(part int32) bool {
	p := &f.parts[part]
	return len(f.between(part, p.committed, p.end)) > 0
}

// takenBack counts partitions that a member gave up for a rebalance that left them with it.
func (f *Facts) takenBack(r *Result) int {
	stop, n := f.lastOfRun(), 0
	for i := range f.parts {
		spells := f.parts[i].spells
		for k := 1; k < len(spells); k++ {
			a, b := &f.spells[spells[k-1]], &f.spells[spells[k]]
			if a.life != b.life || !a.voluntary || f.events[a.until].Note == history.Asked || b.from >= stop || f.somebodyWent(a.life, a.until, b.from) || f.leftAtOnce(a, b.from) {
				continue
			}
			n++
			if f.Header.Promises.IncrementalRebalance {
				r.violate(func() Evidence {
					return Evidence{
						What:  fmt.Sprintf("%s gave it up for a rebalance and was given it back: what stays should not stop", f.lives[a.life].who()),
						Where: f.topicPart(a.part),
					}.by(f, a.until).with(f, b.from)
				})
			}
		}
	}
	return n
}

// leftAtOnce tells whether the member of a spell left the group, before it was back at a position, without having begun anything
// of the partition: then it stopped nothing. It happens to a member that is told, when it commits, that it is not in the group any
// more, and makes a new client: the old one is joining again already, and can leave only when that is through.
func (f *Facts) leftAtOnce(s *spell, back int32) bool {
	l := &f.lives[s.life]
	left := false
	for pos := s.from; pos < back; pos++ {
		e := &f.events[pos]
		if e.Member != l.member || e.Incarnation != l.incarnation {
			continue
		}
		switch e.Kind {
		case history.EffectStarted:
			if pos < s.until && e.Partition == f.parts[s.part].id {
				return false
			}
		case history.Left:
			left = left || pos > s.until
		}
	}
	return left
}

// somebodyWent tells whether another member ended or left between two positions, which may undo what
// the group had decided.
func (f *Facts) somebodyWent(life, from, to int32) bool {
	l := &f.lives[life]
	for pos := from; pos < to; pos++ {
		e := &f.events[pos]
		if (e.Kind == history.MemberEnded || e.Kind == history.Left) && (e.Member != l.member || e.Incarnation != l.incarnation) {
			return true
		}
	}
	return false
}
