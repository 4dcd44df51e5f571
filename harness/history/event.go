package history

import (
	"fmt"
	"time"
)

// Kind names what was observed. The comment of each kind lists the fields that
// carry meaning for it, besides Seq, At and Kind, which every event has.
type Kind string

// The kinds of events.
const (
	// Produced: a produce ended. Topic, Partition and Offset (both -1 unless
	// acked or aborted), Key, Message, Hash, Poison, Due, Size, Outcome acked, failed,
	// unknown or aborted (it was written, and its transaction came to nothing), Error.
	Produced Kind = "produced"
	// Logged: an observer read the record in the topic itself. Written for
	// produces whose outcome was unknown; it turns them into facts. Fields as
	// Produced.
	Logged Kind = "logged"
	// Fetched: a member asked for Offset of Partition, hence holds what is
	// below. Member, Incarnation, Topic, Partition, Offset, Time (when the response before it
	// had reached the member, like At; 0 if there was none). No checker relies
	// on it, since clients prefetch.
	Fetched Kind = "fetched"

	// EffectStarted: the sink received an effect. Member, Incarnation, Topic,
	// Partition, Offset (-1 while the produce is unanswered), Key, Message,
	// Attempt (1 for the first by this incarnation). Note "alone" if the sink lets nothing
	// else of the member pass meanwhile.
	EffectStarted Kind = "effect-started"
	// EffectDone: the sink applied it, before it answered. Ref is the Seq of
	// its EffectStarted; Repeat counts earlier completions of the message.
	EffectDone Kind = "effect-done"
	// EffectRefused: the sink did not apply it and said so. Error is the
	// reason (poison, unavailable, not-owner, timeout…), Ref as above.
	EffectRefused Kind = "effect-refused"
	// EffectDropped: nobody will know: the member died while its answer was
	// held, or the request came from a dead incarnation. Ref as above. The
	// effect was not applied.
	EffectDropped Kind = "effect-dropped"
	// EffectUnmatched: a body that belongs to no produced record. Note holds
	// its first bytes, Size its length.
	EffectUnmatched Kind = "effect-unmatched"

	// CommitRequested: the tap passed a commit on to the broker. Member,
	// Incarnation, Generation, Topic, Partition, Offset (the next offset to
	// read). One event for each partition. Note "txn": within a transaction
	// (TxnOffsetCommit); it takes effect when that commits, and not before.
	CommitRequested Kind = "commit-requested"
	// CommitSealed: the tap passed on the request (EndTxn) that commits the
	// transaction of a CommitRequested: from here on it may take effect. Fields
	// as CommitRequested, Ref its Seq.
	CommitSealed Kind = "commit-sealed"
	// Committed: the broker answered. Fields as CommitRequested, Ref its Seq,
	// Outcome accepted or refused, Error the Kafka error name. In a transaction
	// it is accepted when the broker has committed that, and refused with
	// ABORTED when it was aborted. A CommitRequested that no Committed refers to
	// has an unknown fate; but one in a transaction that no CommitSealed refers
	// to either has taken no effect yet.
	Committed Kind = "committed"
	// Aborted: a transaction of the member came to nothing: what it had done
	// since its last commit comes again. Member, Incarnation, Note the
	// transactional id, Error the Kafka error name if it was not the member
	// that asked for it.
	Aborted Kind = "aborted"
	// Output: an observer read, at the end of the run, an output that anybody
	// who reads what is committed can see. Topic, Partition and Offset are those of the output
	// (Topic "" if it is not in Kafka; Note then says where), Message the record
	// it was matched to ("" if none), Key, Hash, Size, Time (the broker's append time, if it has one), Origin (what the output names as its source).
	Output Kind = "output"
	// DeadLettered: an observer read a record in the dead-letter topic.
	// Topic, Partition, Offset are those of the dead letter; Message the
	// record it was matched to ("" if none), Key, Hash, Time (the broker's
	// append time), Origin, Headers, Note.
	DeadLettered Kind = "dead-lettered"

	// Joining: a member sent JoinGroup (or a first heartbeat of KIP-848).
	Joining Kind = "joining"
	// Assigned: the group gave Partition to the member. Member, Incarnation,
	// Generation, Topic, Partition.
	Assigned Kind = "assigned"
	// Revoked: the member gave Partition up of its own accord; by the time
	// the event is written its revoke callback has returned (it said so on
	// the wire: JoinGroup without the partition, or LeaveGroup). Note Asked if
	// the last assignment did not have the partition any more.
	Revoked Kind = "revoked"
	// Lost: the group gave the partition of this member to another, or
	// removed the member, without its consent. The member may not know.
	Lost Kind = "lost"
	// Told: a response that reached the member said that it is no longer in
	// the group or generation. Error is the Kafka error name.
	Told Kind = "told"
	// Left: the member sent LeaveGroup. Note "evicted" if the harness did so in its
	// name.
	Left Kind = "left"

	// MemberStarted, MemberReady, MemberStopping (SIGTERM was sent),
	// MemberFrozen (SIGSTOP), MemberThawed (SIGCONT) and MemberEnded: the
	// life of a member. MemberEnded has Outcome stopped (after a request to
	// stop), killed (by the harness, crash or overrun deadline: see Note) or exited (on
	// its own), and Error for the exit status or signal.
	MemberStarted  Kind = "member-started"
	MemberReady    Kind = "member-ready"
	MemberStopping Kind = "member-stopping"
	MemberFrozen   Kind = "member-frozen"
	MemberThawed   Kind = "member-thawed"
	MemberEnded    Kind = "member-ended"

	// Lag: an observer asked the broker. Topic, Partition, Offset (committed,
	// -1 for none), End (log end offset).
	Lag Kind = "lag"

	// LagReported: a member says of itself how far it is behind. Member, Incarnation,
	// Topic, Partition, Offset (the lag that its metric showed, rounded down; -1 if it was no number), Due (when it was
	// asked; At is when it answered). One event for each series at each look.
	LagReported Kind = "lag-reported"
	// Scraped: the metrics of a member could be read for the first time, or what came
	// of it has changed since. Member, Incarnation, Size (series of the metric that
	// belong to the topic), Error if they could not be read.
	Scraped Kind = "scraped"
	// Removed: an observer found that what lay at Offset up to, not including, End of Partition
	// is not in the log any more, by retention, DeleteRecords or compaction. Topic; Ref is the
	// Seq of the newest event when it was last known to be there, 0 if nobody knows when that was.
	Removed Kind = "removed"

	// Recreated: the topic was deleted and made anew under its name, while nothing was produced. Topic.
	// Partitions and offsets in what follows are those of the new one.
	Recreated Kind = "recreated"

	// FaultBegan and FaultEnded: Fault names it, Member its target if it has
	// one. FaultEnded has Outcome happened or missed; Note tells what
	// happened, Ref the Seq of its FaultBegan.
	FaultBegan Kind = "fault-began"
	FaultEnded Kind = "fault-ended"
	// Phase: the run entered the phase named in Note: warm-up, faults, heal, drain,
	// stop, outputs, end; or one that the scenario names.
	Phase Kind = "phase"
)

// Asked is the Note of a Revoked that the group wanted.
const Asked = "asked"

// Kinds lists all kinds of events.
func Kinds() []Kind {
	return []Kind{
		Produced, Logged, Fetched, EffectStarted, EffectDone, EffectRefused, EffectDropped, EffectUnmatched,
		CommitRequested, CommitSealed, Committed, Aborted, Output, DeadLettered, Joining, Assigned, Revoked, Lost,
		Told, Left, MemberStarted, MemberReady, MemberStopping, MemberFrozen, MemberThawed, MemberEnded, Lag, LagReported, Scraped, Removed, Recreated,
		FaultBegan, FaultEnded, Phase,
	}
}

// Outcome is how something ended. Unknown is not failed: the thing may have
// happened.
type Outcome string

// The outcomes, by the kinds that have them.
const (
	Acked   Outcome = "acked"   // Produced
	Failed  Outcome = "failed"  // Produced: the broker said no, or it was never sent
	Unknown Outcome = "unknown" // Produced: sent, never answered
	Voided  Outcome = "aborted" // Produced: in the log, and of a transaction that was aborted

	Accepted Outcome = "accepted" // Committed
	Refused  Outcome = "refused"  // Committed

	Stopped Outcome = "stopped" // MemberEnded
	Killed  Outcome = "killed"  // MemberEnded
	Exited  Outcome = "exited"  // MemberEnded

	Happened Outcome = "happened" // FaultEnded
	Missed   Outcome = "missed"   // FaultEnded
)

// NoteAlone is the Note of an EffectStarted for which the sink stops everything else of the member.
const NoteAlone = "alone"

// Names of phases, in the order a run goes through them.
const (
	PhaseWarmUp = "warm-up"
	PhaseFaults = "faults"
	PhaseHeal   = "heal"
	PhaseDrain  = "drain" // Outcome happened on a second Phase event "drained"
	// PhaseDrained is entered when every partition is committed to its end;
	// a run whose history lacks it did not converge within its bound.
	PhaseDrained = "drained"
	PhaseStop    = "stop"
	// PhaseOutputs is entered when every output has been read; a run without
	// outputs, and one whose outputs could not be read to their end, lacks it.
	PhaseOutputs = "outputs"
	PhaseEnd     = "end"
)

// Phases lists the phases of every run. A scenario may have more, between faults and heal.
func Phases() []string {
	return []string{PhaseWarmUp, PhaseFaults, PhaseHeal, PhaseDrain, PhaseDrained, PhaseStop, PhaseOutputs, PhaseEnd}
}

// Event is one observation. It is flat: which fields mean something depends on
// Kind, and a field without meaning is zero and not written.
type Event struct {
	// Seq numbers the events of a Log from 1 without gaps. Order in the log
	// is the order in which the harness learned of things: an event that
	// causes another (an effect, and the commit a subject sends after its
	// answer) always has the smaller Seq.
	Seq int64 `json:"seq"`
	// At is the time since Header.Start on the harness' monotonic clock, in nanoseconds.
	At   time.Duration `json:"at"`
	Kind Kind          `json:"kind"`

	Member      string `json:"member,omitempty"`      // m1, m2, …
	Incarnation int    `json:"incarnation,omitempty"` // 1 + restarts
	Generation  int32  `json:"generation,omitempty"`  // of the group, or member epoch (KIP-848)

	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition,omitempty"`
	Offset    int64  `json:"offset,omitempty"`
	End       int64  `json:"end,omitempty"` // log end offset

	Key     string        `json:"key,omitempty"`
	Message string        `json:"message,omitempty"` // id given by the workload
	Hash    string        `json:"hash,omitempty"`    // hex SHA-256 of the value; "" for a tombstone
	Poison  string        `json:"poison,omitempty"`  // kind of poison; "" for a healthy record
	Size    int           `json:"size,omitempty"`    // bytes of the value
	Due     time.Duration `json:"due,omitempty"`     // when the schedule wanted it sent, like At
	Attempt int           `json:"attempt,omitempty"`
	Repeat  int           `json:"repeat,omitempty"`

	Outcome Outcome           `json:"outcome,omitempty"`
	Error   string            `json:"error,omitempty"`
	Ref     int64             `json:"ref,omitempty"` // Seq of the event this one answers
	Fault   string            `json:"fault,omitempty"`
	Origin  string            `json:"origin,omitempty"`  // topic/partition@offset that a dead letter names
	Headers map[string]string `json:"headers,omitempty"` // of a dead letter
	Time    time.Duration     `json:"time,omitempty"`    // broker's append time, or that of a Fetch response, like At
	Note    string            `json:"note,omitempty"`
}

// Who names one life of a member: "m1" for its first, "m1#2" for its second.
func (e Event) Who() string {
	if e.Incarnation > 1 {
		return fmt.Sprintf("%s#%d", e.Member, e.Incarnation)
	}
	return e.Member
}

// Where names the record in Kafka: "orders/3@118".
func (e Event) Where() string {
	return fmt.Sprintf("%s/%d@%d", e.Topic, e.Partition, e.Offset)
}
