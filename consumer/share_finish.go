package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// finish gives back what was not begun, waits for what was, sees to it that the
// broker hears of it, and returns what Run should say. Locks are renewed until
// then.
func (s *shareSession) finish(deadline time.Time, acked <-chan struct{}, endAcks context.CancelFunc) error {
	total := time.Until(deadline)
	soft := time.NewTimer(total * 6 / 10)
	defer soft.Stop()
	s.startDraining()
	select {
	case <-s.drained:
	case <-soft.C:
	case <-s.calls.Done(): // aborted
	}
	s.endCalls(errShutdown)
	hard := time.NewTimer(time.Until(deadline) * 4 / 10)
	defer hard.Stop()
	drained := true
	select {
	case <-s.drained:
	case <-hard.C:
		drained = false
	}
	s.endLetters(errShutdown)
	s.abandon()
	close(s.noMore)

	last := time.NewTimer(time.Until(deadline) * 6 / 10)
	defer last.Stop()
	told := true
	select {
	case <-acked:
	case <-last.C:
		told = false
	}
	endAcks()
	<-acked
	switch cause := context.Cause(s.stopped); {
	case s.stopped.Err() != nil:
		return cause
	case !drained:
		return fmt.Errorf("%w: handler calls were still running", ErrShutdownTimeout)
	case !told:
		return fmt.Errorf("%w: the broker has not heard of all that was done", ErrShutdownTimeout)
	}
	return nil
}

// startDraining tells handlers to stop, and gives back what none has.
func (s *shareSession) startDraining() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	close(s.stopping)
	signal(s.ackSoon)
	var idle []*held
	for _, q := range s.queues {
		for _, h := range q.held {
			if h.state == holdReady || h.state == holdWaiting {
				idle = append(idle, h)
			}
		}
	}
	for _, h := range idle {
		s.bury(s.giveBack(h)...)
	}
	s.checkDrained()
}

// abandon gives back what handlers have that did not return in time.
func (s *shareSession) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []*held
	for _, q := range s.queues {
		for _, h := range q.held {
			if h.state < holdEnding {
				left = append(left, h)
			}
		}
	}
	for _, h := range left {
		if s.limit > 0 && h.delivery >= s.limit {
			s.logArchived(h)
		}
		if h.lost {
			s.drop(h)
			continue
		}
		s.end(h, kgo.AckRelease)
	}
}

// checkDrained notes that no goroutine has records any more, but for handlers
// that have stalled.
func (s *shareSession) checkDrained() {
	if !s.closing || s.running > s.stuck {
		return
	}
	select {
	case <-s.drained:
	default:
		close(s.drained)
	}
}

// unveil lets franz-go see what it still has buffered, so that it gives that
// back when it leaves.
func (s *shareSession) unveil() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.buffered {
		h.veil.off.Store(true)
	}
}

// leave leaves the group and closes the client, by the deadline: after it, the
// broker finds out by the session timeout that this member is gone.
func (s *shareSession) leave(cl *kgo.Client, deadline time.Time, kill context.CancelFunc) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if err := cl.LeaveGroupContext(ctx); err != nil && !errors.Is(err, kgo.ErrClientClosed) {
			s.log.Warn("could not leave the share group", "err", err)
		}
		cl.Close()
	}()
	select {
	case <-closed:
	case <-ctx.Done():
		kill()
		<-closed
	}
}
