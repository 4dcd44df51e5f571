package check

import (
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// none marks an index or position that is not there.
const none = int32(-1)

// Facts indexes a history once, for all checks. Positions are indexes into the
// events (Seq-1); records, lives, partitions, effects and commits are numbered densely,
// so that a checker walks slices and hashes nothing.
type Facts struct {
	Header history.Header

	events  []history.Event
	records []record
	lives   []life
	parts   []partition
	keys    []string // by record.keyID
	effects []effect // in order of the history
	commits []commit // in order of their requests
	letters []letter // dead letters, in order of the history
	outputs []output // in order of the history

	spells []spell  // in order of their beginning
	census []census // in order of the history

	windows []window
	causes  []cause
	repeats []repeat
	crashes []crash // killed members, one for each partition they had worked on

	drain   *drainState // nil if the phase drain was never left
	phases  map[string]int32
	missed  map[string]int // faults that ended otherwise than happened, by name
	happens map[string]int // faults that happened, by name
	why     map[string]string

	lettersTwice int // dead letters beyond the first of each record
	removals     []removal
	recreated    int     // how often the topic was made anew
	unmatched    []int32 // positions of EffectUnmatched
	assigned     int     // Assigned events
	slot         []int32 // by position: index of the effect that the event is of, or of the commit that it began
	known        int     // records that are known to be in the topic
}

// NewFacts indexes h. It reads the events once for the records and once in
// order for everything else.
func NewFacts(h history.History) *Facts {
	n := len(h.Events)
	f := &Facts{
		Header: h.Header, events: h.Events,
		phases: map[string]int32{}, missed: map[string]int{}, happens: map[string]int{}, why: map[string]string{},
		records: make([]record, 0, n/4+1), effects: make([]effect, 0, n), slot: make([]int32, n),
	}
	ix := newIndexer(f)
	ix.indexRecords()
	newReplay(ix).run()
	f.passCommits()
	f.passRemovals()
	return f
}

// mine tells whether an event's topic is the one under test.
func (f *Facts) mine(topic string) bool {
	return topic == f.Header.Topic || topic == "" || f.Header.Topic == ""
}

// at returns the position of the event with the given Seq, none if there is none.
func (f *Facts) at(seq int64) int32 {
	if seq < 1 || seq > int64(len(f.events)) || f.events[seq-1].Seq != seq {
		return none
	}
	return int32(seq - 1)
}

// passCommits finds the first commit above each record. Both walk upwards, so the work is
// linear in records and commits.
func (f *Facts) passCommits() {
	for i := range f.parts {
		p := &f.parts[i]
		slices.SortFunc(p.records, func(a, b int32) int {
			switch x, y := f.records[a].offset, f.records[b].offset; {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
		var sure, maybe int
		for _, ci := range p.commits {
			c := &f.commits[ci]
			switch {
			case c.accepted:
				for ; sure < len(p.records) && f.records[p.records[sure]].offset < c.offset; sure++ {
					f.records[p.records[sure]].passed = ci
				}
			case c.unsure():
				for ; maybe < len(p.records) && f.records[p.records[maybe]].offset < c.offset; maybe++ {
					f.records[p.records[maybe]].maybe = ci
				}
			}
		}
		if n := len(p.records); n > 0 {
			p.end = max(p.end, f.records[p.records[n-1]].offset+1)
		}
	}
}

// between returns the records of a partition with from <= offset < to.
func (f *Facts) between(part int32, from, to int64) []int32 {
	recs := f.parts[part].records
	find := func(offset int64) int {
		i, _ := slices.BinarySearchFunc(recs, offset, func(r int32, o int64) int {
			switch x := f.records[r].offset; {
			case x < o:
				return -1
			case x > o:
				return 1
			}
			return 0
		})
		return i
	}
	lo, hi := find(from), find(to)
	if lo >= hi {
		return nil
	}
	return recs[lo:hi]
}

// appendTolerance is by how much a dead letter's append time may lie after a
// commit request that it precedes: broker and harness share a clock, but the
// broker's has millisecond resolution and is read on another thread.
const appendTolerance = 5 * time.Millisecond

// ended tells whether the record came to an end at all: its effect done, a dead
// letter written, delivered (a tombstone), or skipped where that is the policy.
func (f *Facts) ended(r *record) bool {
	return r.done != none || r.letter != none || r.isTombstone() || f.skips(r) || f.endedUnseen(r)
}

func (f *Facts) skips(r *record) bool {
	return f.Header.Promises.Poison == history.PoisonSkip && r.isPoison()
}

// poisonFree tells whether the subject promised nothing about this record: it is
// poison, and no policy for poison was stated.
func (f *Facts) poisonFree(r *record) bool {
	return f.Header.Promises.Poison == "" && r.isPoison()
}

// endedBefore tells whether the record had come to an end when c could first take effect. A
// dead letter is observed later than it was written, so its append time
// counts; where that is unknown the subject is believed.
func (f *Facts) endedBefore(r *record, c *commit) bool {
	if r.isTombstone() || f.skips(r) || r.done != none && r.done < c.moment() {
		return true
	}
	if f.blind() && r.output != none {
		at := f.outputs[r.output].time
		return at == 0 || at <= c.at+appendTolerance
	}
	return r.letter != none && f.letterBefore(&f.letters[r.letter], c)
}

func (f *Facts) letterBefore(l *letter, c *commit) bool {
	return l.time == 0 || l.time <= c.at+appendTolerance
}

// complete tells whether the history has its end. Without it nothing can be
// concluded from what is missing.
func (f *Facts) complete() bool { _, ok := f.phases[history.PhaseEnd]; return ok }

func (f *Facts) drained() bool { _, ok := f.phases[history.PhaseDrained]; return ok }

// lastOfRun is the position at which the members are asked to stop, or the end of the history.
func (f *Facts) lastOfRun() int32 {
	if stop, ok := f.phases[history.PhaseStop]; ok {
		return stop
	}
	return int32(len(f.events)) - 1
}

// thin says why the history shows too little to judge effects; "" if it does not.
func (f *Facts) thin() string {
	switch {
	case f.known == 0:
		return "no record is known to have been produced"
	case f.blind():
		return f.thinEvidence()
	case len(f.effects) == 0 && f.accepted():
		return "no effect was seen, though commits were: post effects to the sink, or judge by --evidence commits, or outputs"
	case len(f.effects) == 0:
		return "no effect was seen: does the subject post its effects to the sink?"
	}
	return ""
}
