package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// shareClient is what acknowledging needs of *kgo.Client.
type shareClient interface {
	MarkAcks(status kgo.AckStatus, rs ...*kgo.Record)
	FlushAcks(ctx context.Context) error
}

// ackLoop is the only one that acknowledges and renews. It has one flush under
// way at a time, so each answer can be told to belong to what was just sent: Kafka
// answers by partition, not by record. What ends meanwhile shares the next flush.
func (s *shareSession) ackLoop(ctx context.Context) {
	idle := time.NewTicker(turn(s.cfg.HealthTimeout)) // it turns even if nothing ends, to show that it can
	defer idle.Stop()
	for {
		for s.ackOnce(ctx) && ctx.Err() == nil {
		}
		select {
		case <-s.ackSoon:
		case <-idle.C:
		case <-s.noMore:
			for s.ackOnce(ctx) && ctx.Err() == nil {
			}
			return
		case <-ctx.Done():
			return
		}
	}
}

// ackOnce sends what is due, and tells whether there was any end to send. If one
// acknowledgement of a partition is refused, the broker takes none of that
// request. So records whose lock has probably expired go last, apart. What is given
// back because the session stops waits until nothing is fetched any more: the
// request that gives it back could bring it again, and use up a delivery.
func (s *shareSession) ackOnce(ctx context.Context) bool {
	s.engine.vitals.commitTurned()
	s.mu.Lock()
	now := time.Now()
	var sure, doubtful, later []*held
	for _, h := range s.ends {
		switch {
		case h.status == kgo.AckRelease && !s.closing && s.stopped.Err() != nil:
			later = append(later, h)
		case now.Before(h.deadline):
			sure = append(sure, h)
		default:
			doubtful = append(doubtful, h)
		}
	}
	s.ends = later
	due := s.due(now)
	s.mu.Unlock()
	s.acknowledge(ctx, sure)
	s.renew(ctx, due)
	s.acknowledge(ctx, doubtful)
	return len(sure)+len(doubtful) > 0
}

// acknowledge sends how records end, and settles what the broker says of it.
func (s *shareSession) acknowledge(ctx context.Context, recs []*held) {
	if len(recs) == 0 {
		return
	}
	type group struct {
		tp     topicPartition
		status kgo.AckStatus
	}
	groups := make(map[group][]*held)
	byStatus := make(map[kgo.AckStatus][]*kgo.Record)
	for _, h := range recs {
		g := group{h.tp, h.status}
		groups[g] = append(groups[g], h)
		byStatus[h.status] = append(byStatus[h.status], h.rec)
	}
	answers, err := s.flush(ctx, func() {
		for status, rs := range byStatus {
			s.cl.MarkAcks(status, rs...)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for g, hs := range groups {
		for _, h := range hs {
			s.drop(h)
		}
		refused, told := answers[g.tp]
		switch {
		case err != nil: // the session ends
			refused = err
		case !told:
			s.abort(errImplicit)
			refused = errImplicit
		default: // what was refused comes again when its lock has ended, and then an answer does
			s.engine.vitals.acked(g.tp, refused, s.cfg.HealthTimeout+s.lock)
		}
		if refused != nil {
			s.ackFailed(g.tp, hs, g.status, refused)
			continue
		}
		s.counts.ends[g.status].Add(int64(len(hs)))
		if hook := s.cfg.Hooks.OnAck; hook != nil {
			hook(ShareAckInfo{g.tp.topic, g.tp.partition, offsets(hs), g.status, nil})
		}
	}
}

func (s *shareSession) ackFailed(tp topicPartition, hs []*held, status kgo.AckStatus, err error) {
	s.counts.failed.Add(int64(len(hs)))
	info := ShareAckInfo{tp.topic, tp.partition, offsets(hs), status, err}
	s.log.Warn("an acknowledgement failed", "topic", tp.topic, "partition", tp.partition, "records", len(hs), "first", info.Offsets[0], "status", status.String(), "err", err)
	if hook := s.cfg.Hooks.OnAckFailed; hook != nil {
		hook(info)
	}
}

// flush marks, sends, and waits for the answers, by partition: nil where the
// broker took all.
func (s *shareSession) flush(ctx context.Context, mark func()) (map[topicPartition]error, error) {
	s.answersMu.Lock()
	s.answers = make(map[topicPartition]error)
	s.answersMu.Unlock()
	mark()
	answered := s.engine.vitals.commitSent()
	err := s.nudge(ctx)
	answered()
	s.answersMu.Lock()
	defer s.answersMu.Unlock()
	answers := s.answers
	s.answers = nil
	return answers, err
}

// nudge flushes until all is answered. What the broker wants to be sent again
// (it is loading, say), franz-go sends with its next fetch, or the next flush; and
// while handlers are busy there is no fetch.
func (s *shareSession) nudge(ctx context.Context) error {
	const each = 250 * time.Millisecond
	for {
		again, cancel := context.WithTimeout(ctx, each)
		err := s.cl.FlushAcks(again)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// onAcks is franz-go's callback. It returns before FlushAcks does.
func (s *shareSession) onAcks(_ *kgo.Client, results kgo.ShareAckResults) {
	s.answersMu.Lock()
	defer s.answersMu.Unlock()
	if s.answers == nil {
		return // of a flush that was given up
	}
	for _, r := range results {
		tp := topicPartition{r.Topic, r.Partition}
		s.answers[tp] = errors.Join(s.answers[tp], r.Err)
	}
}

func offsets(hs []*held) []int64 {
	out := make([]int64, len(hs))
	for i, h := range hs {
		out[i] = h.rec.Offset
	}
	return out
}
