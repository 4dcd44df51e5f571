package consumer

import "github.com/twmb/franz-go/pkg/kgo"

// end decides how a record ends. It is acknowledged next.
func (s *shareSession) end(h *held, status kgo.AckStatus) {
	if h.state >= holdEnding {
		return
	}
	s.unqueue(h)
	h.state, h.status, h.batch = holdEnding, status, nil
	s.counts.flightCount.Add(-1)
	s.ends = append(s.ends, h)
	signal(s.ackSoon)
	signal(s.freed)
}

// drop forgets a record: it is acknowledged, or its lock is lost.
func (s *shareSession) drop(h *held) {
	if h.state == holdEnded {
		return
	}
	if h.state != holdEnding && h.state != holdBuffered {
		s.counts.flightCount.Add(-1)
		signal(s.freed)
	}
	s.unqueue(h)
	h.state, h.batch = holdEnded, nil
	if q := s.queue(h.tp); q.held[h.rec.Offset] == h {
		delete(q.held, h.rec.Offset)
	}
}

// giveBack ends a record that was not handled: the next member gets it. The
// broker archives a record that is given back after its last delivery, without a
// word. Such a one is returned, to be treated as poison while it is still ours.
func (s *shareSession) giveBack(h *held) []*held {
	if s.limit > 0 && h.delivery >= s.limit {
		if s.cfg.Poison.policy() != PoisonStop {
			s.unqueue(h)
			h.state, h.batch = holdRunning, nil
			return []*held{h}
		}
		s.logArchived(h)
	}
	s.end(h, kgo.AckRelease)
	return nil
}

func (s *shareSession) logArchived(h *held) {
	s.log.Error("given back after its last delivery: the broker archives it, and nobody gets it again", "topic", h.tp.topic, "partition", h.tp.partition, "offset", h.rec.Offset, "deliveries", h.delivery)
}

// bury treats records as poison, on a goroutine of its own.
func (s *shareSession) bury(recs ...*held) {
	if len(recs) == 0 {
		return
	}
	s.running++
	go func() {
		for _, h := range recs {
			s.poison(h, errLastDelivery)
		}
		s.finished(nil)
	}()
}
