package consumer

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// shareQueue is the records of one partition that are held.
type shareQueue struct {
	tp     topicPartition
	ready  []*held
	held   map[int64]*held // by offset: the newest delivery of each
	listed bool            // it is in the session's turn
}

// shareBatch is records on their way through a handler.
type shareBatch struct {
	queue   *shareQueue
	recs    []*held
	ctx     context.Context
	cancel  context.CancelCauseFunc
	stalled bool
	over    bool
}

func (s *shareSession) queue(tp topicPartition) *shareQueue {
	q := s.queues[tp]
	if q == nil {
		q = &shareQueue{tp: tp, held: make(map[int64]*held)}
		s.queues[tp] = q
	}
	return q
}

// buffer notes a record that the Kafka client has fetched: from now on its lock
// is renewed, if the client has to keep it for long.
func (s *shareSession) buffer(h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lock = h.lock
	h.came = time.Now().UnixNano()
	s.buffered[h.rec] = h
}

// arrive takes a record over from the Kafka client.
func (s *shareSession) arrive(r *kgo.Record) {
	h := s.unbuffer(r)
	switch {
	case h == nil: // after an abort
	case r.DeliveryCount() == 0:
		s.abort(errContext) // it cannot be acknowledged any more
	default:
		if hook := s.cfg.Hooks.OnReceive; hook != nil {
			hook(r)
		}
		s.admit(h)
	}
}

func (s *shareSession) unbuffer(r *kgo.Record) *held {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.buffered[r]
	if h != nil {
		delete(s.buffered, r)
		h.veil.off.Store(true)
	}
	return h
}

// admit queues a record that is here now. It starts when all of its poll are here,
// see poll.
func (s *shareSession) admit(h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.lost { // its lock expired in the client's buffer
		h.state = holdEnded
		return
	}
	q := s.queue(h.tp)
	old := q.held[h.rec.Offset]
	q.held[h.rec.Offset] = h
	s.counts.flightCount.Add(1)
	if old != nil && s.supersede(old, h) {
		return
	}
	if s.closing {
		s.bury(s.giveBack(h)...)
		return
	}
	s.enqueue(q, h, false)
}

// supersede is for a record that comes again while an earlier delivery of it is
// still here: its lock was lost without notice. The handler never has both at
// once, and what it has done counts for the new one. It tells whether the new
// one is settled by that.
func (s *shareSession) supersede(old, h *held) bool {
	h.local, h.alone = old.local, old.alone
	if old.trial != nil {
		tr := *old.trial
		h.trial = &tr
	}
	switch old.state {
	case holdRunning, holdBehind:
		old.next = h
		h.state = holdBehind
		s.lose(old, errAgain)
		return true
	case holdReady, holdWaiting:
		s.lose(old, errAgain)
	case holdEnding:
		if old.status != kgo.AckRelease {
			s.end(h, old.status)
			return true
		}
	}
	return false
}

// enqueue makes a record ready for a handler; dispatch starts it.
func (s *shareSession) enqueue(q *shareQueue, h *held, front bool) {
	h.state = holdReady
	if front {
		q.ready = slices.Insert(q.ready, 0, h)
	} else {
		q.ready = append(q.ready, h)
	}
	s.list(q)
}

func (s *shareSession) list(q *shareQueue) {
	if !q.listed && len(q.ready) > 0 {
		q.listed = true
		s.turn = append(s.turn, q)
	}
}

// dispatch starts handler calls, a batch of each partition in turn.
func (s *shareSession) dispatch() {
	for !s.closing && s.running < s.cfg.Concurrency && len(s.turn) > 0 {
		q := s.turn[0]
		s.turn = s.turn[1:]
		q.listed = false
		if b := s.take(q); b != nil {
			s.running++
			go s.work(b)
		}
		s.list(q)
	}
}

// take forms the next batch of a partition.
func (s *shareSession) take(q *shareQueue) *shareBatch {
	n := 0
	for n < len(q.ready) && n < s.cfg.BatchSize {
		if q.ready[n].solo(s.cfg.Retry.Attempts) {
			n = max(n, 1)
			break
		}
		n++
	}
	if n == 0 {
		return nil
	}
	b := &shareBatch{queue: q, recs: slices.Clone(q.ready[:n])}
	q.ready = slices.Delete(q.ready, 0, n)
	slices.SortFunc(b.recs, func(x, y *held) int { return int(x.rec.Offset - y.rec.Offset) })
	b.ctx, b.cancel = context.WithCancelCause(s.calls)
	for _, h := range b.recs {
		h.state, h.batch = holdRunning, b
	}
	return b
}

// wait keeps a record back, and makes it ready after d.
func (s *shareSession) wait(q *shareQueue, h *held, d time.Duration) {
	h.state = holdWaiting
	h.timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if h.state == holdWaiting {
			s.enqueue(q, h, false)
			s.dispatch()
		}
	})
}

// unqueue takes a record that no handler has from where it waits.
func (s *shareSession) unqueue(h *held) {
	switch h.state {
	case holdReady:
		q := s.queue(h.tp)
		q.ready = slices.DeleteFunc(q.ready, func(o *held) bool { return o == h })
	case holdWaiting:
		h.timer.Stop()
	}
}
