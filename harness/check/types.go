package check

import (
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// record is one message of the workload.
type record struct {
	message, key, hash string
	poison             string // kind, "" if healthy
	offset             int64  // -1 while its place is not known
	part               int32  // index in parts, none while not known
	keyID              int32
	event              int32 // position of the Produced or Logged that tells of it
	known              bool  // acked, or read in the topic by an observer
	voided             bool  // of a transaction of the workload that was aborted: nobody who reads what is committed sees it

	started  int32 // position of the first EffectStarted
	done     int32 // position of the first EffectDone
	orderly  int32 // position of the first EffectDone by a life in good standing
	lastDone int32
	letter   int32 // index of its earliest dead letter
	outputs  int32 // how many outputs of it were seen
	output   int32 // index of its earliest output
	passed   int32 // index of the first accepted commit that lies above it
	maybe    int32 // index of the first commit of unknown fate that lies above it
	gone     int32 // position of the Removed by which it was found to be in the log no more
}

// isPoison tells records that no attempt can bring to an end. A transient
// failure passes, and a tombstone is an ordinary delete.
func (r *record) isPoison() bool {
	switch r.poison {
	case "undecodable", "permanent", "oversized":
		return true
	}
	return false
}

func (r *record) isTombstone() bool { return r.poison == "tombstone" }

// life is one incarnation of a member.
type life struct {
	member      string
	incarnation int
	stopping    int32 // position of MemberStopping
	ended       int32 // position of MemberEnded
	left        int32 // position of the last LeaveGroup of its own
	joined      int32 // position of the last Joining
	told        int32 // position of the last Told
	froze       int32 // position of the last MemberFrozen
	frozen      bool
	present     bool // it was started, or joined the group
	static      bool // static membership: it does not leave when it stops
	lastCause   int32
	lastStarted int32   // record of its last EffectStarted
	inGroup     bool    // it has joined, and not left since
	freezes     []pause // in order
	seats       []*seat
}

// pause is the time in which a member was frozen.
type pause struct{ from, to int32 } // positions; to is none while it lasts

// spell is the time in which one life owned a partition.
type spell struct {
	life, part  int32
	from, until int32 // positions; until is none if it lasts to the end
	voluntary   bool  // the life gave it up itself
}

// census is how many healthy members the group had from a position on: alive, not frozen, in the
// group and not asked to stop.
type census struct{ pos, healthy int32 }

// who names a life as history.Event.Who does.
func (l *life) who() string {
	return history.Event{Member: l.member, Incarnation: l.incarnation}.Who()
}

// partition is what happened to one partition of the topic.
type partition struct {
	id        int32
	records   []int32    // by offset, once indexed
	spells    []int32    // in order
	commits   []int32    // in order of their requests
	answers   []int32    // accepted ones, in order of their answers
	windows   []int32    // in order of their beginning
	owner     int32      // life
	committed int64      // as last accepted or observed, -1 if never
	progress  int32      // position of the last accepted commit that moved it
	end       int64      // log end, as far as is known
	refusals  [2]refusal // the first ones of two different records
}

// refusal is an effect that the sink did not apply.
type refusal struct{ rec, pos int32 }

// effectKind tells the four events of an effect apart.
type effectKind uint8

const (
	started effectKind = iota
	done
	refused
	dropped
)

// effect is one event of an attempt, small enough to walk over quickly.
type effect struct {
	at       time.Duration
	pos      int32 // of this event
	start    int32 // position of the EffectStarted it belongs to
	rec      int32
	life     int32
	part     int32 // none if the place of the record is not known
	tenure   int32 // numbers the times that a partition was given to a life
	other    int32 // live life, not this one, that owns the partition; none otherwise
	kind     effectKind
	standing standing
}

// commit is one CommitRequested and its answer.
type commit struct {
	offset   int64
	at       time.Duration // of the moment
	request  int32         // position
	sealed   int32         // position of the request to commit its transaction, none without
	answer   int32         // position, none while its fate is unknown
	life     int32
	part     int32
	other    int32 // live life, not this one, that owned the partition at the request
	accepted bool
	txn      bool          // within a transaction
	standing standing      // of the life to the partition, at the request
	idle     time.Duration // how long ago it had lost it then
}

// moment is the position from which on the commit may take effect: what it
// covers must have ended by then. That of a transaction is its end; its offsets
// may be handed in before the work is done.
func (c *commit) moment() int32 {
	if c.sealed != none {
		return c.sealed
	}
	return c.request
}

// unsure tells whether nobody knows if the commit was applied. One in a
// transaction that nobody asked to commit was not.
func (c *commit) unsure() bool { return c.answer == none && (!c.txn || c.sealed != none) }

// output is what became visible of one record.
type output struct {
	rec  int32 // none if it matches no record
	pos  int32
	time time.Duration // the broker's append time, 0 if unknown
}

// letter is one record of the dead-letter topic.
type letter struct {
	rec  int32 // none if it matches no record
	pos  int32
	time time.Duration // 0 if unknown
}
