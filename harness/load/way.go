package load

import (
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// unknown is a time that nobody saw.
const unknown = time.Duration(-1)

// Way is when one message came how far, from the start of the schedule; unknown is -1.
type Way struct {
	Partition                                         int32
	Due, Sent, Acked, Fetched, Begun, Done, Committed time.Duration
	Failed                                            bool // not acknowledged
}

// Stage is how long the message was in a stage; ok is false where an end of it was not seen.
func (w Way) Stage(s Stage) (d time.Duration, ok bool) {
	ends := [NumStages][2]time.Duration{
		Schedule: {w.Due, w.Sent}, Produce: {w.Sent, w.Acked}, Queue: {w.Acked, w.Fetched}, Wait: {w.Fetched, w.Begun},
		Handling: {w.Begun, w.Done}, Commit: {w.Done, w.Committed}, Total: {w.Due, w.Done},
	}[s]
	if ends[0] < 0 || ends[1] < 0 {
		return 0, false
	}
	return max(0, ends[1]-ends[0]), true // a consumer may have a record before its producer has the answer
}

// mark says that all offsets below one were somewhere at a time.
type mark struct {
	offset int64
	at     time.Duration
}

// Seen is what the history of a load run tells about its messages: how far each partition was fetched and committed, when.
type Seen struct {
	fetched, committed [][]mark // by partition, both fields rising
}

// See reads a history. Start is the start of the schedule in its time.
func See(h history.History, start time.Duration) Seen {
	s := Seen{fetched: make([][]mark, h.Header.Partitions), committed: make([][]mark, h.Header.Partitions)}
	note := func(marks [][]mark, e history.Event, at time.Duration) {
		if e.Topic != h.Header.Topic || e.Partition < 0 || int(e.Partition) >= len(marks) {
			return
		}
		// What a member fetches or commits again, after another, was there before.
		m := marks[e.Partition]
		if n := len(m); e.Offset > 0 && (n == 0 || e.Offset > m[n-1].offset) {
			if n > 0 {
				at = max(at, m[n-1].at)
			}
			marks[e.Partition] = append(m, mark{e.Offset, at})
		}
	}
	for _, e := range h.Events {
		switch {
		case e.Kind == history.Fetched && e.Time > 0:
			note(s.fetched, e, e.Time-start)
		case e.Kind == history.Committed && e.Outcome == history.Accepted:
			note(s.committed, e, e.At-start)
		}
	}
	return s
}

// walk goes through the messages in order. A producer that is idempotent writes those of one partition in order too, so what
// Kafka numbers by offsets is found by going along.
type walk struct {
	records *Records
	seen    Seen
	// byCommit takes what is committed for done: of a member that does not post its effects.
	byCommit bool
	at       []position
}

// position is how far a walk is in one partition.
type position struct {
	offset             int64
	fetched, committed int // indexes of marks
}

func newWalk(r *Records, seen Seen, byCommit bool) *walk {
	return &walk{records: r, seen: seen, byCommit: byCommit, at: make([]position, len(r.places))}
}

// next is the way of message i, which follows the one before.
func (w *walk) next(i int) Way {
	rec := w.records.record(i)
	way, effect := rec.way.Load(), rec.effect.Load()
	due := w.records.due(i)
	out := Way{Partition: partitionOf(way), Due: due, Sent: due + short(way>>48).span(), Acked: unknown, Fetched: unknown, Begun: unknown, Done: unknown, Committed: unknown}
	if way&stateAcked != 0 {
		out.Acked = out.Sent + short(way>>32).span()
		w.place(&out, i)
	} else {
		out.Failed = true
	}
	switch {
	case effect != 0:
		out.Done = due + doneOf(effect)
		out.Begun = max(0, out.Done-short(effect>>16).span())
	case w.byCommit:
		out.Done = out.Committed
	}
	return out
}

// place fills in what is known by the message's place in Kafka.
func (w *walk) place(out *Way, i int) {
	p := &w.at[out.Partition]
	places := &w.records.places[out.Partition]
	places.mu.RLock()
	defer places.mu.RUnlock()
	for p.offset < places.end {
		n, ok := places.at(p.offset)
		if ok && n >= i {
			if n > i {
				return // its place is not where it should be: nothing is known about it
			}
			break
		}
		p.offset++ // of one that is given up, and was written all the same
	}
	out.Fetched = reached(w.marks(w.seen.fetched, out.Partition), &p.fetched, p.offset)
	out.Committed = reached(w.marks(w.seen.committed, out.Partition), &p.committed, p.offset)
	p.offset++
}

func (w *walk) marks(by [][]mark, partition int32) []mark {
	if int(partition) >= len(by) {
		return nil
	}
	return by[partition]
}

// reached is when the marks went beyond an offset; i goes along.
func reached(marks []mark, i *int, offset int64) time.Duration {
	for *i < len(marks) && marks[*i].offset <= offset {
		*i++
	}
	if *i == len(marks) {
		return unknown
	}
	return marks[*i].at
}
