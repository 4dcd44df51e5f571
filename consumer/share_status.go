package consumer

import (
	"net/http"
	"time"
)

// ShareStatus is a snapshot of a [ShareConsumer]. A share group has no partitions
// that a member owns and no offset that it has committed, so there is no lag of a
// member: what waits for the group is for the brokers to tell.
type ShareStatus struct {
	At    time.Time // when it was taken
	State State
	Since time.Time // when State began; zero for StateNew
	// Err is what Run returned (StateFailed), why it is about to return an error
	// (StateStopping), or why the consumer is not in the group (StateJoining).
	Err error

	Group string
	// Member is the id of the member, and Epoch what the coordinator gave it last.
	// They are empty and -1 while it is not in the group, or if they are not known:
	// with a version of franz-go that does not tell, or a logger in ClientOpts.
	Member string
	Epoch  int32

	Stats ShareStats // InFlight among them: records that are here and not done
	// Buffered is how many records the Kafka client has fetched and not handed
	// over, besides those in flight: they are locked too.
	Buffered int
	// OldestHeld is how long ago the oldest record that is held and not done was
	// fetched, and OldestRecord the timestamp that it carries; zero if there is none.
	OldestHeld   time.Duration
	OldestRecord time.Time
	Calls        CallStatus
}

// Status returns a snapshot of the consumer. It asks no broker, and may be called
// at any time from any goroutine, but not from a hook.
func (c *ShareConsumer) Status() ShareStatus {
	v := &c.e.vitals
	v.mu.Lock()
	s := ShareStatus{State: v.current(), Since: v.since, Err: v.err, Group: c.cfg.Group, Epoch: -1}
	v.mu.Unlock()
	session := c.session.Load()
	if session != nil && s.State != StateJoining {
		s.Member, s.Epoch = session.member.identity()
	}
	if session != nil {
		var oldest time.Time
		s.Buffered, oldest, s.OldestRecord = session.holds()
		if !oldest.IsZero() {
			s.OldestHeld = time.Since(oldest)
		}
	}
	s.Stats = c.counts.stats()
	s.At = time.Now()
	s.Calls = v.calls.status(s.At)
	return s
}

// holds tells how many records are in the client's buffer, and when the oldest of
// all that are held and not done came, and its timestamp.
func (s *shareSession) holds() (buffered int, came, stamp time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.eachHeld(func(h *held) {
		if at := time.Unix(0, h.came); h.state < holdEnding && (came.IsZero() || at.Before(came)) {
			came, stamp = at, h.rec.Timestamp
		}
	})
	return len(s.buffered), came, stamp
}

// Health tells whether the consumer works. It asks no broker, and may be called at
// any time from any goroutine, but not from a hook.
//
// It is not live if one of these checks fails:
//
//   - run: Run has returned an error, or takes longer to stop than
//     ShareConfig.ShutdownTimeout and ShareConfig.HealthTimeout together
//   - handlers: a handler call has run for longer than ShareConfig.StallTimeout
//   - poll-loop: it has not turned for ShareConfig.HealthTimeout; a hook that
//     blocks stops it
//   - ack-loop: it has not turned for ShareConfig.HealthTimeout, apart from the time
//     that the broker takes to answer
//
// It is live, but not ready, if one of these fails:
//
//   - group: it is not in the group: it joins for the first time, or was thrown
//     out and joins again; or the coordinator has refused its heartbeats for
//     ShareConfig.HealthTimeout
//   - shutdown: it was not started, stops, or has stopped
//   - acknowledgements: all of a partition have failed for
//     ShareConfig.HealthTimeout, or the broker has taken none, nor any renewal, for
//     so long. One that fails is not repeated: its records come again when their
//     lock has ended. So failures count for ShareConfig.HealthTimeout and that lock;
//     if nothing follows them, they are forgotten.
//   - brokers: none has answered anything for ShareConfig.HealthTimeout and a
//     heartbeat interval
//
// A consumer that is full is healthy: it takes no more than it can hold. So is one
// without partitions, or with nothing to do. Brokers that are away make nobody
// restart, and locks that were lost neither: others have the records.
func (c *ShareConsumer) Health() Health { return c.e.vitals.health(&c.common, shareProbes) }

var shareProbes = []probe{
	{"run", true, (*vitals).runTrouble},
	{"handlers", true, (*vitals).callTrouble},
	{"poll-loop", true, (*vitals).pollTrouble},
	{"ack-loop", true, (*vitals).ackLoopTrouble},
	{"group", false, (*vitals).groupTrouble},
	{"shutdown", false, (*vitals).shutdownTrouble},
	{"acknowledgements", false, (*vitals).ackTrouble},
	{"brokers", false, (*vitals).brokerTrouble},
}

// HealthHandler serves [ShareConsumer.Health] as [Consumer.HealthHandler] does.
func (c *ShareConsumer) HealthHandler() http.Handler { return healthHandler(c.Health) }
