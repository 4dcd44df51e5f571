package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	errShutdown = errors.New("consumer: shutting down")
	errRevoked  = errors.New("consumer: the partition was revoked")
	errLost     = errors.New("consumer: the partition was lost: the group goes on without this member")
)

// rejoinError ends a session so that a new client joins from scratch.
type rejoinError struct{ err error }

func (e *rejoinError) Error() string { return e.err.Error() }
func (e *rejoinError) Unwrap() error { return e.err }

// session is one Kafka client in the group, from its first join to its close.
//
// A refused commit ends it. kgo would rejoin by itself, but may then take its
// partitions for retained and go on at its old position, though another member
// had them meanwhile. A new client starts at what is committed.
type session struct {
	e      *engine
	cl     *kgo.Client   // see client
	made   chan struct{} // closed when cl is set
	commit *committer    // nil in a transactional session
	txn    *transactor   // nil in any other
	polled chan struct{} // closed when polling has ended
	lag    *lagLoop

	// life ends when the session must be over: it was aborted, or shutting down
	// took too long.
	life    context.Context
	endLife context.CancelCauseFunc
	stopped context.Context // ends when the session is to stop gracefully
	endStop context.CancelCauseFunc
	aborted context.Context // ends when it is to stop at once
	endAll  context.CancelCauseFunc

	mu     sync.Mutex
	member string
	gen    int32
	parts  map[topicPartition]*partition
}

func newSession(e *engine) *session {
	s := &session{e: e, parts: make(map[topicPartition]*partition), made: make(chan struct{}), polled: make(chan struct{})}
	s.aborted, s.endAll = context.WithCancelCause(context.Background())
	s.life, s.endLife = context.WithCancelCause(s.aborted)
	s.stopped, s.endStop = context.WithCancelCause(s.aborted)
	if e.tx != nil {
		s.txn = newTransactor(s)
	} else {
		s.commit = newCommitter(s)
	}
	s.lag = newLagLoop(s)
	return s
}

// run joins the group and works until ctx ends, or the session ends by itself.
func (s *session) run(ctx context.Context) error {
	base, endBase := context.WithCancel(context.Background())
	defer endBase()
	if err := s.connect(base); err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	quit, endQuit := context.WithCancel(s.stopped)
	defer endQuit()
	var loops sync.WaitGroup
	s.e.vitals.enter(s)
	defer s.e.vitals.exit()
	loops.Go(func() { s.poll(quit) })
	loops.Go(func() { s.lag.run(quit) })
	if s.commit != nil {
		loops.Go(func() { s.commit.run(quit, s.life) })
	}
	s.e.log.Info("joining", "group", s.e.cfg.Group, "topics", s.e.cfg.Topics, "protocol", string(s.e.cfg.Protocol))

	select {
	case <-ctx.Done():
	case <-s.stopped.Done():
	}
	deadline := time.Now().Add(s.e.cfg.ShutdownTimeout)
	s.e.vitals.leaving(context.Cause(s.stopped))
	if s.aborted.Err() == nil {
		s.e.log.Info("stopping", "timeout", s.e.cfg.ShutdownTimeout)
	}
	endQuit()
	if s.txn != nil {
		s.txn.finish(deadline)
	}
	result := s.finish(deadline)
	s.tellRest()
	s.close(deadline, endBase)
	loops.Wait()
	s.fenceAll(errShutdown)
	s.endLife(errShutdown)
	s.endAll(errShutdown)
	return result
}

// client is for callbacks: the first of them can come before NewClient has returned.
func (s *session) client() *kgo.Client {
	<-s.made
	return s.cl
}

func (s *session) connect(ctx context.Context) (err error) {
	defer close(s.made)
	if s.txn != nil {
		s.cl, err = s.txn.connect(ctx)
		return err
	}
	s.cl, err = kgo.NewClient(s.clientOpts(ctx)...)
	return err
}

// finish drains, commits and fences what the session still has, and returns
// what Run should say.
func (s *session) finish(deadline time.Time) error {
	// What is left to do after the drain has its share of the time: handlers that
	// were cancelled return, the last commit, the leave.
	total := time.Until(deadline)
	soft, cancelSoft := context.WithTimeout(s.life, total*7/10)
	defer cancelSoft()
	hard, cancelHard := context.WithTimeout(s.life, total*8/10)
	defer cancelHard()
	last, cancelLast := context.WithTimeout(s.life, total*9/10)
	defer cancelLast()

	parts := s.all()
	drained := drainAll(soft, hard, parts, errShutdown)
	err := s.commitAll(last, parts)
	for _, p := range parts {
		p.fence(errShutdown)
	}
	clean := true
	for _, p := range parts {
		clean = clean && p.clean()
	}
	s.endLife(errShutdown)
	switch {
	case s.aborted.Err() != nil:
		return context.Cause(s.aborted)
	case context.Cause(s.stopped) != nil:
		return context.Cause(s.stopped)
	case !drained, s.txn != nil && s.txn.unfinished:
		return fmt.Errorf("%w: handler calls were still running", ErrShutdownTimeout)
	case err != nil && !clean:
		return fmt.Errorf("%w: %w", ErrShutdownTimeout, err)
	}
	return nil
}

// close leaves the group and closes the client, by the deadline: after it, the
// broker finds out by the session timeout that this member is gone.
func (s *session) close(deadline time.Time, kill context.CancelFunc) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.cl.AllowRebalance()
		member, _ := s.cl.GroupMetadata()
		err := s.cl.LeaveGroupContext(ctx)
		if s.e.cfg.Protocol == ProtocolConsumer && s.e.cfg.InstanceID != "" {
			err = s.vacate(ctx, member)
		}
		if err != nil && !errors.Is(err, kerr.UnknownMemberID) {
			s.e.log.Warn("could not leave the group", "err", err)
		}
		s.cl.CloseAllowingRebalance()
	}()
	select {
	case <-closed:
	case <-ctx.Done():
		kill()
		<-closed
	}
}

// poll delivers what the brokers send, until ctx ends. Rebalances are allowed
// again as soon as it is queued, so slow work never holds one up. It turns even
// if nothing comes, to show that it can.
func (s *session) poll(ctx context.Context) {
	defer close(s.polled)
	if s.txn != nil {
		s.txn.claim(ctx)
	}
	// All that has come: what a poll left behind would be thrown away and fetched again
	// if its partition paused meanwhile. A transaction is what one poll brings.
	most := -1
	if s.txn != nil {
		most = s.e.cfg.MaxInFlight
	}
	turn := turn(s.e.cfg.HealthTimeout)
	for {
		s.e.vitals.pollTurned()
		wait, cancel := context.WithTimeout(ctx, turn)
		f := s.cl.PollRecords(wait, most)
		cancel()
		f.EachError(s.fetchError)
		if s.txn != nil {
			s.txn.run(ctx, f)
		} else {
			f.EachPartition(s.deliver)
		}
		s.cl.AllowRebalance()
		if ctx.Err() != nil || f.IsClientClosed() {
			return
		}
	}
}

func (s *session) deliver(f kgo.FetchTopicPartition) {
	tp := topicPartition{f.Topic, f.Partition}
	p := s.part(tp)
	if p != nil {
		p.raiseEnd(f.LastStableOffset)
	}
	if len(f.Records) == 0 {
		return
	}
	if p == nil {
		// Dropping records would lose them, since the position has moved on.
		s.rejoin(fmt.Errorf("consumer: records of %s/%d came, which is not assigned", tp.topic, tp.partition))
		return
	}
	if err := p.deliver(f.Records); err != nil {
		if first := f.Records[0].Offset; p.openBelow(first) {
			// Who only went on from here would leave those out.
			s.rejoin(fmt.Errorf("consumer: the position of %s/%d went back to %d, and records before it are not done: %w", tp.topic, tp.partition, first, err))
			return
		}
		s.e.log.Warn("the position went back", "topic", tp.topic, "partition", tp.partition, "offset", f.Records[0].Offset)
		p = s.replace(p, err)
		if err := p.deliver(f.Records); err != nil {
			s.rejoin(err)
		}
	}
}

// fetchError takes an error that came with a poll. The client retries what can
// be retried; what remains is told, or ends the consumer.
func (s *session) fetchError(topic string, partition int32, err error) {
	var group *kgo.ErrGroupSession
	var tooLarge *kgo.ErrDecompressTooLarge
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
	case topic == "" && errors.Is(err, context.DeadlineExceeded): // nothing came in this turn
	case errors.As(err, &group) && errors.Is(err, kerr.FencedInstanceID):
		s.abort(fmt.Errorf("consumer: another member has taken the instance id %q: %w", s.e.cfg.InstanceID, err))
	case denied(err), errors.As(err, &tooLarge):
		s.stop(fmt.Errorf("consumer: cannot consume %s: %w", topic, err))
	case errors.Is(err, kerr.UnknownTopicID):
		// The topic was deleted and made anew. kgo stays with the old one for ever; a new client finds the new one.
		s.rejoin(fmt.Errorf("consumer: topic %s is another one now: %w", topic, err))
	case errors.As(err, &group):
		s.e.log.Warn("the group session failed, will join again", "err", err)
	default:
		s.e.log.Warn("fetching failed", "topic", topic, "partition", partition, "err", err)
	}
}

// part returns the epoch of a partition; nil if it is not assigned.
func (s *session) part(tp topicPartition) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts[tp]
}

// all returns the partitions that are assigned.
func (s *session) all() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*partition, 0, len(s.parts))
	for _, p := range s.parts {
		out = append(out, p)
	}
	return out
}

func (s *session) identity() (member string, generation int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.member, s.gen
}

func (s *session) fenceAll(cause error) {
	for _, p := range s.all() {
		p.fence(cause)
	}
}

// stop ends the session gracefully, and Run with err.
func (s *session) stop(err error) { s.endStop(err) }

// abort ends the session at once: nothing of it is committed any more.
func (s *session) abort(err error) {
	s.endAll(err)
	s.fenceAll(err)
}

// halt ends Run, gracefully unless it is by [Fatal].
func (s *session) halt(err error) {
	var f *fatal
	if errors.As(err, &f) {
		s.abort(f.err)
		return
	}
	s.stop(err)
}

// rejoin ends the session at once, and another one takes its place.
func (s *session) rejoin(err error) { s.abort(&rejoinError{err}) }

func (s *session) pause(tp topicPartition) {
	s.cl.PauseFetchPartitions(map[string][]int32{tp.topic: {tp.partition}})
	if hook := s.e.cfg.Hooks.OnPause; hook != nil {
		hook(tp.topic, tp.partition)
	}
}

func (s *session) resume(tp topicPartition) {
	s.cl.ResumeFetchPartitions(map[string][]int32{tp.topic: {tp.partition}})
	if hook := s.e.cfg.Hooks.OnResume; hook != nil {
		hook(tp.topic, tp.partition)
	}
}

func (s *session) commitSoon() { s.commit.soon() }

// commitAll commits what parts have done. In a transactional session there is
// nothing to do: what is not in a transaction is not done.
func (s *session) commitAll(ctx context.Context, parts []*partition) error {
	if s.commit == nil {
		return nil
	}
	return s.commit.finish(ctx, parts)
}

func (s *session) letter(ctx context.Context, r *kgo.Record) error {
	if s.txn != nil {
		return s.txn.letter(ctx, r)
	}
	return s.e.letters.ProduceSync(ctx, r).FirstErr()
}

func (s *session) emit(p *partition, offset int64, outputs []*kgo.Record) {
	s.txn.emit(p, offset, outputs)
}

func (s *session) settled(n int) {
	if s.txn != nil {
		s.txn.settled(n)
	}
}

func (s *session) memberOf(member string) bool {
	now, _ := s.cl.GroupMetadata()
	return now == member
}
