package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// stretch is a time in which partitions changed hands, from position to position.
type stretch struct{ from, to int32 }

// stretches joins moves that overlap. What nobody got any more, and the time in
// which an owner was frozen, are no part of a rebalance.
func (f *Facts) stretches(moves []move) []stretch {
	var all []stretch
	for i := range moves {
		m := &moves[i]
		from := f.spells[m.before].until
		if m.after == none || from >= m.to {
			continue
		}
		all = append(all, stretch{from, m.to})
	}
	slices.SortFunc(all, func(a, b stretch) int { return int(a.from - b.from) })
	var joined []stretch
	for _, s := range all {
		if n := len(joined); n > 0 && s.from <= joined[n-1].to {
			joined[n-1].to = max(joined[n-1].to, s.to)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// retained judges the partitions that their owners kept while others changed hands: whether
// anything was done there, where there was something to do. It returns the longest time without.
func (f *Facts) retained(r *Result, moves []move) time.Duration {
	p := f.Header.Promises
	bound := f.Header.SessionTimeout
	if p.RebalanceStall > 0 {
		bound = p.RebalanceStall
	}
	var work, lives [][]int32 // by partition: positions of effects; by life: their indexes
	longest := time.Duration(0)
	for _, s := range f.stretches(moves) {
		if work == nil {
			work, lives = f.workOfParts(), f.workOfLives()
		}
		for i := range f.spells {
			kept := &f.spells[i]
			if kept.from >= s.from || kept.until != none && kept.until <= s.to || f.frozeIn(kept.life, s) {
				continue
			}
			waits := f.idle(work[kept.part], kept.part, s)
			if waits == none {
				continue
			}
			took := f.events[s.to].At - f.events[s.from].At
			if p.Independent == "" {
				took = f.leisure(lives[kept.life], s)
			}
			longest = max(longest, took)
			if p.IncrementalRebalance && bound > 0 && took > bound {
				r.violate(func() Evidence {
					e := f.of(waits, "%s kept the partition, and did nothing there for %s while others changed hands", f.lives[kept.life].who(), took.Round(time.Millisecond))
					e.Member, e.Where = f.lives[kept.life].who(), fmt.Sprintf("%s@%d", f.topicPart(kept.part), f.records[waits].offset)
					e.At = f.events[s.to].At
					return e.with(f, s.from, s.to)
				})
			}
		}
	}
	return longest
}

// workOfParts lists the positions of all effect events of each partition.
func (f *Facts) workOfParts() [][]int32 {
	work := make([][]int32, len(f.parts))
	for i := range f.effects {
		if e := &f.effects[i]; e.part != none {
			work[e.part] = append(work[e.part], e.pos)
		}
	}
	return work
}

// leisure is the longest time within a stretch in which a life, by its effects, was at nothing, in no partition. Who is not promised to
// work on partitions independently may be at one, or wait for a transaction with all of a batch, before it comes to the next.
func (f *Facts) leisure(work []int32, s stretch) time.Duration {
	open, longest, idle := 0, time.Duration(0), f.events[s.from].At
	for _, i := range work {
		e := &f.effects[i]
		if e.pos > s.to {
			break
		}
		if open == 0 && e.pos > s.from {
			longest = max(longest, e.at-idle)
		}
		if e.kind == started {
			open++
		} else {
			open = max(open-1, 0)
		}
		idle = max(e.at, f.events[s.from].At)
	}
	if open == 0 {
		longest = max(longest, f.events[s.to].At-idle)
	}
	return longest
}

func (f *Facts) frozeIn(life int32, s stretch) bool {
	return slices.ContainsFunc(f.lives[life].freezes, func(p pause) bool { return p.from < s.to && (p.to == none || p.to > s.from) })
}

// idle returns a record that waited throughout a stretch in which nothing was done on its
// partition; none if there is none. A handler that was busy all the time is not idle.
func (f *Facts) idle(work []int32, part int32, s stretch) int32 {
	at, _ := slices.BinarySearch(work, s.from)
	if at < len(work) && work[at] <= s.to {
		return none
	}
	open := 0
	for _, pos := range work[:at] {
		if f.events[pos].Kind == history.EffectStarted {
			open++
		} else {
			open--
		}
	}
	if open > 0 {
		return none
	}
	for _, ri := range f.parts[part].records {
		rec := &f.records[ri]
		if rec.event < s.from && rec.started > s.to {
			return ri
		}
	}
	return none
}
