package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// due is the records whose lock should be renewed. Those in the client's buffer
// are included: it stays full while handlers are busy.
func (s *shareSession) due(now time.Time) []*held {
	if !s.renews {
		return nil
	}
	var due []*held
	s.eachHeld(func(h *held) {
		if h.state < holdEnding && !h.lost && h.stale(now) {
			due = append(due, h)
		}
	})
	return due
}

// renew renews locks. If the broker refuses a partition, its records are tried
// one by one, for one that was lost spoils the others. After some failures
// franz-go does not try a record again, and says nothing: then the first answer
// stands.
func (s *shareSession) renew(ctx context.Context, recs []*held) {
	if len(recs) == 0 {
		return
	}
	for tp, hs := range s.renewOnce(ctx, recs, nil) {
		if len(hs.recs) == 1 {
			s.loseAll(hs.recs, fmt.Errorf("%w: %w", errTaken, hs.err))
			continue
		}
		for _, h := range hs.recs {
			if again, refused := s.renewOnce(ctx, []*held{h}, hs.err)[tp]; refused {
				s.loseAll(again.recs, fmt.Errorf("%w: %w", errTaken, again.err))
			}
		}
	}
}

type refusal struct {
	recs []*held
	err  error
}

// renewOnce renews locks, and returns the partitions for which that failed.
func (s *shareSession) renewOnce(ctx context.Context, recs []*held, before error) map[topicPartition]refusal {
	byTP := make(map[topicPartition][]*held)
	sent := time.Now()
	answers, err := s.flush(ctx, func() { s.markRenewed(recs, byTP) })
	if err != nil {
		return nil // Run ends; what holds no longer expires
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := make(map[topicPartition]refusal)
	for tp, hs := range byTP {
		answer, told := answers[tp]
		switch {
		case !told && before != nil:
			refused[tp] = refusal{hs, before}
		case !told:
			s.abort(errImplicit)
		case answer != nil:
			refused[tp] = refusal{hs, answer}
		default:
			s.counts.renewed.Add(int64(len(hs)))
			if hook := s.cfg.Hooks.OnRenew; hook != nil {
				hook(tp.topic, tp.partition, len(hs))
			}
			for _, h := range hs {
				h.renewed(sent, h.lock)
			}
		}
	}
	return refused
}

// markRenewed asks franz-go to renew. For records in its buffer the veil has to
// be off for a moment, in which no poll may take them.
func (s *shareSession) markRenewed(recs []*held, byTP map[topicPartition][]*held) {
	between := s.polling.TryLock() // else a poll is about to take what is buffered
	s.mu.Lock()
	defer s.mu.Unlock()
	rs := make([]*kgo.Record, 0, len(recs))
	for _, h := range recs {
		if h.lost || h.state == holdEnded || h.state == holdBuffered && !between {
			continue
		}
		rs = append(rs, h.rec)
		byTP[h.tp] = append(byTP[h.tp], h)
		if h.state == holdBuffered {
			h.veil.off.Store(true)
		}
	}
	if len(rs) > 0 { // with none, franz-go would mark what it polled last
		s.cl.MarkAcks(kgo.AckRenew, rs...)
	}
	for _, h := range recs {
		if h.state == holdBuffered {
			h.veil.off.Store(false)
		}
	}
	if between {
		s.polling.Unlock()
	}
}

func (s *shareSession) loseAll(recs []*held, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range recs {
		s.lose(h, err)
	}
}

// lose notes that somebody else may have a record. A handler that has it is told
// by its context. Nothing is acknowledged for it any more.
func (s *shareSession) lose(h *held, err error) {
	if h.lost || h.state >= holdEnding {
		return
	}
	h.lost = true
	s.taken(h, err)
	switch h.state {
	case holdReady, holdWaiting:
		s.drop(h)
	case holdRunning:
		if h.batch != nil {
			h.batch.cancel(err)
		}
	}
}

// watchLocks looks after deadlines until the session ends.
func (s *shareSession) watchLocks() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			timer.Reset(s.checkLocks(time.Now()))
		case <-s.noMore:
			return
		}
	}
}

// checkLocks wakes the acknowledger if locks have to be renewed, and loses those
// that have expired. Without renewal, what waits is given back while it is ours.
func (s *shareSession) checkLocks(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var expired, late []*held
	s.eachHeld(func(h *held) {
		switch left := h.deadline.Sub(now); {
		case h.state >= holdEnding || h.lost:
		case left <= 0:
			expired = append(expired, h)
		case s.renews && h.stale(now):
			signal(s.ackSoon)
		case !s.renews && left < h.lock/4 && (h.state == holdReady || h.state == holdWaiting):
			late = append(late, h)
		}
	})
	for _, h := range expired {
		s.lose(h, errExpired)
	}
	for _, h := range late {
		s.bury(s.giveBack(h)...)
	}
	return min(max(s.lock/20, 20*time.Millisecond), time.Second)
}

// taken tells that the lock of a record was lost.
func (s *shareSession) taken(h *held, err error) {
	s.counts.taken.Add(1)
	s.log.Warn("a record was taken away", "topic", h.tp.topic, "partition", h.tp.partition, "offset", h.rec.Offset, "deliveries", h.delivery, "limit", s.limit, "err", err)
	if hook := s.cfg.Hooks.OnTaken; hook != nil {
		hook(h.tp.topic, h.tp.partition, h.rec.Offset, err)
	}
}
