package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	errTaken        = errors.New("consumer: the lock of a record was lost, and others may handle it")
	errAgain        = fmt.Errorf("%w: the broker delivered it again", errTaken)
	errExpired      = fmt.Errorf("%w: it could not be renewed in time", errTaken)
	errLastDelivery = errors.New("consumer: it was not handled in its last delivery, and given back it would be archived")
)

// work takes a batch through the handler and settles each of its records.
func (s *shareSession) work(b *shareBatch) {
	v := read(s.call(b), len(b.recs))
	if v.fatal != nil {
		s.abort(v.fatal)
	}
	poison := s.settle(b, v)
	b.cancel(nil)
	for _, h := range poison {
		s.poison(h, h.tried().err)
	}
	s.finished(b)
}

// call gives a batch to the handler.
func (s *shareSession) call(b *shareBatch) error {
	ctx := context.WithValue(b.ctx, stoppingKey{}, stopSign{s.stopping, &s.watched, b.recs[0].attempts() + 1})
	if d := s.patience(b); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, errHandlerTimeout)
		defer cancel()
	}
	tp := b.queue.tp
	batch := Batch{Topic: tp.topic, Partition: tp.partition, Records: make([]*kgo.Record, len(b.recs))}
	for i, h := range b.recs {
		batch.Records[i] = h.rec
	}
	at := RecordID{tp.topic, tp.partition, batch.Records[0].Offset}
	defer s.engine.vitals.calls.begin(at, len(b.recs), s.cfg.StallTimeout, func(one *call) { s.stalled(b, one) })()
	return s.engine.guard(batch, func() error { return s.handler(ctx, batch) })
}

// patience is how long a handler call may take; 0 is for ever. Without renewal
// it must end while the records are still locked.
func (s *shareSession) patience(b *shareBatch) time.Duration {
	d := s.cfg.HandlerTimeout
	if s.renews {
		return d
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range b.recs {
		if left := max(time.Until(h.deadline), 1); d == 0 || left < d {
			d = left
		}
	}
	return d
}

// stalled gives the records of a handler call that hangs to others, and stops.
func (s *shareSession) stalled(b *shareBatch, one *call) {
	err := s.engine.tellStall(one)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop(err)
	if b.over { // it has returned just now
		return
	}
	b.stalled = true
	s.stuck++
	for _, h := range b.recs {
		switch {
		case h.batch != b:
		case h.lost: // there is nothing to give back
			s.drop(h)
		default:
			s.bury(s.giveBack(h)...)
		}
	}
	b.cancel(ErrStalled)
	s.checkDrained()
}

// settle decides for each record of a batch how it goes on, and returns those
// that are poison. They are still held, and renewed.
func (s *shareSession) settle(b *shareBatch, v verdict) (poison []*held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	abandoned := b.ctx.Err() != nil || v.fatal != nil || v.fenced != nil
	if !abandoned && !s.closing && v.fates[0] == fateUntried {
		v.set(0, ErrStopped) // nobody asked it to stop: without this it would spin
	}
	for i := len(b.recs) - 1; i >= 0; i-- { // what goes back to the front keeps its order
		h, fate := b.recs[i], v.fates[i]
		if h.batch != b {
			continue // it was given back when the handler stalled
		}
		h.batch = nil
		if !h.lost && !time.Now().Before(h.deadline) {
			s.expired(h, fate == fateDone)
		}
		if fate != fateDone && abandoned || v.fatal != nil || v.fenced != nil {
			fate = fateUntried
		}
		if h.lost {
			poison = append(poison, s.settleLost(b.queue, h, fate == fateDone)...)
			continue
		}
		switch fate {
		case fateDone:
			s.end(h, kgo.AckAccept)
		case fateFailed, fatePoison:
			h.failedOnce(v.errs[i])
			if fate == fatePoison || h.attempts() >= s.cfg.Retry.Attempts {
				poison = append(poison, h)
				continue
			}
			h.alone = true
			poison = append(poison, s.again(b.queue, h, h.attempts(), v.after, v.errs[i])...)
		case fateUnavailable:
			h.down++
			poison = append(poison, s.again(b.queue, h, h.down, v.after, v.errs[i])...)
		case fateIsolate:
			h.alone = true
			poison = append(poison, s.requeue(b.queue, h)...)
		case fateUntried:
			poison = append(poison, s.requeue(b.queue, h)...)
		}
	}
	return poison
}

// expired is for a lock that ended unnoticed: the process was frozen, say. The
// broker does not say so if others are done with the record by now: it takes an
// acknowledgement of what has ended. So this is told here, and what is done is
// acknowledged all the same.
func (s *shareSession) expired(h *held, done bool) {
	if done {
		s.taken(h, errExpired)
		return
	}
	s.lose(h, errExpired)
}

// settleLost is settle for a record that may be somebody else's by now. If it
// came to this member again, what was done counts for that delivery.
func (s *shareSession) settleLost(q *shareQueue, h *held, done bool) []*held {
	next := h.next
	s.drop(h)
	for next != nil && next.lost { // that one was taken away too, while it waited
		s.drop(next)
		next = next.next
	}
	switch {
	case next == nil || next.state != holdBehind:
		if done {
			s.ackFailed(h.tp, []*held{h}, kgo.AckAccept, errTaken)
		}
	case done:
		s.end(next, kgo.AckAccept)
	default:
		return s.requeue(q, next)
	}
	return nil
}

// again keeps a record to be tried once more, after a wait. A record that was
// given back instead would come again at once, from delivery to delivery, until
// the broker archived it.
func (s *shareSession) again(q *shareQueue, h *held, attempts int, after time.Duration, err error) []*held {
	if s.closing {
		return s.giveBack(h)
	}
	info := RetryInfo{Topic: h.tp.topic, Partition: h.tp.partition, Offset: h.rec.Offset, Attempts: h.attempts(), Wait: s.cfg.Retry.after(attempts, after), Err: err}
	s.engine.retrying(info)
	s.wait(q, h, info.Wait)
	return nil
}

// requeue puts a record that was not tried back at the front.
func (s *shareSession) requeue(q *shareQueue, h *held) []*held {
	if s.closing {
		return s.giveBack(h)
	}
	s.enqueue(q, h, true)
	return nil
}

// finished ends a goroutine that dispatch or bury has started.
func (s *shareSession) finished(b *shareBatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if b != nil {
		b.over = true
		if b.stalled {
			s.stuck--
		}
	}
	s.dispatch()
	s.checkDrained()
}
