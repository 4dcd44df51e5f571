package consumer

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// poison settles the end of a record that cannot be handled, by the policy. A
// dead letter is acknowledged by all in-sync replicas before the record ends. It
// is then accepted, not rejected: its end is settled here, and where the group has
// a dead-letter topic of the broker's own, a rejected record would go there too.
func (s *shareSession) poison(h *held, cause error) {
	if cause == nil {
		cause = errLastDelivery
	}
	policy := s.cfg.Poison.policy()
	if policy == PoisonDeadLetter {
		if err := s.deadLetter(h, cause); err != nil {
			if errors.Is(err, errTaken) {
				return // its next owner decides
			}
			cause = fmt.Errorf("%w; and no dead letter could be made: %w", cause, err)
			policy = PoisonStop
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := h.rec
	switch policy {
	case PoisonStop:
		if s.limit > 0 && h.delivery >= s.limit {
			s.logArchived(h)
		}
		if s.letterCtx.Err() == nil {
			s.stop(&PoisonError{r.Topic, r.Partition, r.Offset, h.attempts(), cause})
		}
		s.end(h, kgo.AckRelease)
		return
	case PoisonDeadLetter:
		s.end(h, kgo.AckAccept)
	case PoisonSkip:
		s.end(h, kgo.AckReject)
	}
	s.log.Error("poison", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "attempts", h.attempts(), "deliveries", h.delivery, "policy", string(policy), "err", cause)
	if hook := s.cfg.Hooks.OnPoison; hook != nil {
		hook(r, h.attempts(), cause, policy)
	}
}

// deadLetter produces and waits for the acknowledgement, as often as the retry
// policy allows, as long as the record is ours.
func (s *shareSession) deadLetter(h *held, cause error) error {
	cause = Annotate(cause, HeaderDeliveryCount, strconv.Itoa(h.delivery))
	e := h.entry
	return s.engine.persist(s.letterCtx, func() bool { return s.letterCtx.Err() != nil }, func() error {
		if s.isLost(h) {
			return errTaken
		}
		letter := deadLetter(s.engine.cfg, &e, cause, time.Now())
		if err := s.engine.letters.ProduceSync(s.letterCtx, letter).FirstErr(); err != nil {
			return fmt.Errorf("dead letter of %s/%d@%d to %s: %w", h.tp.topic, h.tp.partition, h.rec.Offset, letter.Topic, err)
		}
		return nil
	})
}

// isLost tells whether a record that is poison was lost meanwhile, and forgets it.
func (s *shareSession) isLost(h *held) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.lost {
		s.drop(h)
	}
	return h.lost
}
