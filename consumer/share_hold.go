package consumer

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// errImplicit ends Run before franz-go can acknowledge what is not done.
var errImplicit = errors.New("consumer: this version of franz-go acknowledges records of a share group in a way that this package does not know: it would accept records that are not done; use the version that this module requires")

var errContext = errors.New("consumer: a hook in ClientOpts has replaced the context of a record, which its acknowledgement needs; wrap it instead")

// holdState is where a record is that this member has acquired.
//
//	buffered ─ ready ─ running ─ ending ─ ended
//	             └─ waiting ─┘
//
// Until ending its lock is renewed. Only a record in ending is ever acknowledged
// for good, and once. A record whose lock was lost ends without.
type holdState uint8

const (
	holdBuffered holdState = iota // in the Kafka client's buffer
	holdReady                     // waits for a handler
	holdRunning                   // with a handler, or on its way to the dead-letter topic
	holdWaiting                   // for its back-off
	holdBehind                    // for a handler that still has an earlier delivery of it
	holdEnding                    // its end is decided, its acknowledgement on the way
	holdEnded
)

// held is one delivery of a record: an acquisition by this member. All but the
// veil is guarded by the mutex of the session.
type held struct {
	entry
	veil     veil
	tp       topicPartition
	delivery int // how often the broker has delivered it, this time included
	lock     time.Duration
	came     int64 // when it was fetched, in nanoseconds since 1970

	state    holdState
	status   kgo.AckStatus // how it ends
	deadline time.Time     // until when nobody else gets it
	lost     bool          // somebody else may have it
	local    int           // attempts here that failed
	down     int           // times in a row that what it needs was unavailable
	timer    *time.Timer   // while waiting
	batch    *shareBatch   // while a handler has it
	next     *held         // a later delivery of it, behind this one
}

// veil hides a record from franz-go while that has it buffered.
//
// PollRecords accepts all records of the poll before that were not acknowledged,
// done or not. A consumer that takes more records while it works on others, or
// keeps one back to try it again, would lose what it has not done in a crash.
// franz-go finds the records to accept in this way: (1) a fetch comes, and its
// records carry their state in their context; (2) hooks see them
// (HookFetchRecordBuffered); (3) a poll takes them, and notes those with a state;
// (4) the next poll accepts the noted ones. The veil is put on in (2) and taken
// off after (3), so none is noted. Acknowledging works as ever after that.
//
// That this holds is checked at each record: under the veil it must look like one
// of no share group. And that nothing was acknowledged behind our back is checked
// at each acknowledgement: the broker must have answered it.
type veil struct {
	context.Context // franz-go's own
	off             atomic.Bool
}

// Value implements context.Context.
func (v *veil) Value(key any) any {
	if v.off.Load() {
		return v.Context.Value(key)
	}
	return nil
}

// veiler is franz-go's hook.
type veiler struct{ s *shareSession }

// OnFetchRecordBuffered implements kgo.HookFetchRecordBuffered. It is the first
// hook, so that contexts of others wrap the veil, and only what franz-go itself
// has put in the context is hidden.
func (v veiler) OnFetchRecordBuffered(r *kgo.Record) {
	delivery := int(r.DeliveryCount())
	deadline := r.AcquisitionDeadline()
	if delivery < 1 || r.Context == nil {
		v.s.abort(errImplicit)
		return
	}
	h := &held{entry: entry{rec: r}, tp: topicPartition{r.Topic, r.Partition}, delivery: delivery}
	h.veil.Context = r.Context
	h.renewed(time.Now(), time.Until(deadline))
	r.Context = &h.veil
	if r.DeliveryCount() != 0 {
		v.s.abort(errImplicit)
		return
	}
	v.s.buffer(h)
}

// renewed notes that the lock began anew at a time. The broker's clock began a
// little earlier, so a tenth is taken off.
func (h *held) renewed(at time.Time, lock time.Duration) {
	h.lock = lock
	h.deadline = at.Add(lock - lock/10)
}

// stale tells whether the lock should be renewed: a third of it has passed.
func (h *held) stale(now time.Time) bool {
	return h.deadline.Sub(now) < h.lock*6/10
}

// failedOnce counts an attempt that failed. What was delivered before may have
// been tried then, so deliveries count as well.
func (h *held) failedOnce(err error) {
	h.local++
	h.count(err)
	h.trial.attempts = max(h.delivery, h.local)
}

// solo tells whether a record is to be handled alone: it failed before, or this
// is its last attempt, which an error for a whole batch must not take.
func (h *held) solo(attempts int) bool {
	again := h.local > 0 || h.delivery > 1
	return h.alone || again && max(h.delivery, h.local+1) >= attempts
}
