package consumer

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// State is what a consumer is doing.
type State string

// The states, in the order of a consumer's life. From StateRunning it goes back
// to StateJoining if it is thrown out of the group; an ordinary rebalance leaves
// it in StateRunning.
const (
	StateNew      State = "new"      // Run was not called yet
	StateJoining  State = "joining"  // not in the group: asks to join, or waits to ask again
	StateRunning  State = "running"  // in the group, with partitions or without
	StateStopping State = "stopping" // drains, commits and leaves
	StateStopped  State = "stopped"  // Run has returned nil
	StateFailed   State = "failed"   // Run has returned an error
)

// Unknown stands for an offset or a lag that is not known. It is never 0.
const Unknown int64 = -1

// Status is a snapshot of a consumer.
type Status struct {
	At    time.Time // when it was taken
	State State
	Since time.Time // when State began; zero for StateNew
	// Err is what Run returned (StateFailed), why it is about to return an error
	// (StateStopping), or why the consumer has to join again (StateJoining).
	Err error

	Group      string
	InstanceID string // Config.InstanceID
	Protocol   Protocol
	Member     string // the id that the broker gave; empty while it has none
	Generation int32  // or the member epoch, with ProtocolConsumer; -1 while there is none
	// Rebalancing is since when the group rebalances, as far as this member takes
	// part; zero if it does not. With ProtocolConsumer only giving up counts.
	Rebalancing time.Time

	// Partitions are those that this consumer owns, by topic and number.
	Partitions []PartitionStatus
	Calls      CallStatus
}

// PartitionStatus is a snapshot of one partition that the consumer owns.
type PartitionStatus struct {
	Topic     string
	Partition int32
	Since     time.Time // when it was assigned

	// Committed is the group's committed offset, the next one to handle: what the
	// broker took last, or had at the assignment. With Config.Offsets, what the
	// store had at the assignment. Unknown if nothing was committed ever.
	Committed int64
	// Processed is the watermark: all records below it came to an end, here or
	// before the assignment. It is what the next commit says. Unknown until the
	// start is known.
	Processed int64
	// End is the end of the log as this consumer may read it: the last stable
	// offset, after which the next record comes. It is asked for every
	// Config.LagInterval; records that come in between raise it.
	End int64
	// EndAt is when End was asked for last with an answer. It grows old while the
	// broker does not answer; EndErr then tells why.
	EndAt  time.Time
	EndErr error
	// Lag is End − Committed, not less than 0; Unknown if one of them is. Control
	// records of transactions count until the commit has passed them, which it does
	// as soon as all before them is done.
	Lag int64

	InFlight int // records delivered and not done
	// OldestInFlight is how long ago the oldest of them was delivered, and
	// OldestRecord the timestamp that it carries; zero if there is none.
	OldestInFlight time.Duration
	OldestRecord   time.Time
	Paused         bool // fetching it has paused, see Config.MaxInFlight
	Draining       bool // it is being given up
	// Waiting: a handler call from before this assignment still runs, so nothing
	// of the partition is handled yet.
	Waiting bool
}

// CallStatus is a snapshot of the handler calls that run, those on partitions
// that were given up or lost among them.
type CallStatus struct {
	Running int
	Oldest  time.Duration // how long the oldest has run; zero if none runs
	Stalled int           // have run for longer than Config.StallTimeout
	// StalledAt names where the oldest of the stalled ones is: its first record.
	StalledAt RecordID
}

// RecordID names a record.
type RecordID struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Status returns a snapshot of the consumer. It asks no broker, and may be called
// at any time from any goroutine, but not from a hook.
func (c *Consumer) Status() Status {
	v := &c.e.vitals
	v.mu.Lock()
	s := Status{
		State: v.current(), Since: v.since, Err: v.err, Rebalancing: v.moving, Generation: -1,
		Group: c.cfg.Group, InstanceID: c.cfg.InstanceID, Protocol: c.cfg.Protocol,
	}
	session := v.live
	v.mu.Unlock()
	if s.State != StateJoining && s.State != StateRunning {
		s.Rebalancing = time.Time{}
	}
	s.At = time.Now()
	s.Calls = v.calls.status(s.At)
	if session == nil {
		return s
	}
	if s.State != StateJoining {
		s.Member, s.Generation = session.identity()
	}
	for _, p := range session.all() {
		if part, ok := p.status(s.At); ok {
			s.Partitions = append(s.Partitions, part)
		}
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return s
}

// place is what is known of where an epoch stands, for its status.
type place struct {
	since     time.Time // when the epoch began
	begin     int64     // where it started
	committed int64     // what the group has, see PartitionStatus
	end       int64
	raised    int64 // the highest end that came with records since the broker was last asked
	endAt     time.Time
	endErr    error
}

func newPlace() place {
	return place{since: time.Now(), begin: Unknown, committed: Unknown, end: Unknown, raised: Unknown}
}

// status returns a snapshot, unless the epoch is fenced: then the partition is no
// longer this consumer's.
func (p *partition) status(now time.Time) (PartitionStatus, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == fenced {
		return PartitionStatus{}, false
	}
	s := PartitionStatus{
		Topic: p.topic, Partition: p.partition, Since: p.place.since,
		Committed: p.place.committed, Processed: p.place.begin, End: p.place.end, Lag: Unknown,
		EndAt: p.place.endAt, EndErr: p.place.endErr,
		InFlight: p.pending, Paused: p.paused, Draining: p.state == draining, Waiting: p.gated,
	}
	if p.track.passed {
		s.Processed = p.track.next
	}
	if s.Committed != Unknown && s.End != Unknown {
		s.Lag = max(0, s.End-s.Committed)
	}
	if e, came := p.track.first(); e != nil {
		s.OldestInFlight, s.OldestRecord = time.Duration(now.UnixNano()-came), e.rec.Timestamp
	}
	return s, true
}

// inherit takes over what is known of the partition from the epoch before it.
func (p *partition) inherit(earlier *partition) {
	earlier.mu.Lock()
	known := earlier.place
	earlier.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place.committed, p.place.end, p.place.endAt = known.committed, known.end, known.endAt
}

// startsAt takes where the epoch begins: at what the broker has committed, and
// with a store of positions at what that has; Unknown where there is none. It
// comes before the first records.
func (p *partition) startsAt(broker, store int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == fenced || p.track.any || p.track.passed {
		return
	}
	p.place.begin, p.place.committed = broker, broker
	if store != Unknown {
		p.place.begin, p.place.committed = store, store
	}
	maps.DeleteFunc(p.known, func(offset int64, _ trial) bool { return offset < p.place.begin }) // others have brought them to an end
	if store > broker {
		// What the store has is done. Kafka's own offset is behind it after a crash
		// between the two, and would stay so until the next record comes.
		p.track.next, p.track.epoch, p.track.passed = store, -1, true
	}
}
