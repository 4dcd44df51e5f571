package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// shareSession is one Run of a ShareConsumer: one member of the group.
type shareSession struct {
	cfg     *ShareConfig
	engine  *engine // for what both kinds of consumer do alike: dead letters
	handler Handler
	log     *slog.Logger
	counts  *shareCounters
	cl      shareClient
	member  *standing
	renews  bool // the brokers can renew locks (KIP-1222)
	limit   int  // deliveries of a record, after which the broker archives it; 0 if not known

	calls    context.Context // of handler calls; ends when draining has taken too long
	endCalls context.CancelCauseFunc
	// letterCtx ends a little later: what was handled in time may still become a
	// dead letter.
	letterCtx  context.Context
	endLetters context.CancelCauseFunc
	stopped    context.Context // ends when the session is to stop by itself
	endStop    context.CancelCauseFunc

	stopping chan struct{} // closed when draining starts, see Stopping
	drained  chan struct{} // closed when it has ended
	noMore   chan struct{} // closed when nothing more will end
	watched  atomic.Bool
	ackSoon  chan struct{} // something is to be acknowledged or renewed
	freed    chan struct{} // there may be room for more records

	// polling is held during a poll, and while records in the client's buffer are
	// renewed: their veil is off then.
	polling sync.Mutex

	answersMu sync.Mutex
	answers   map[topicPartition]error // of the flush under way

	mu       sync.Mutex
	queues   map[topicPartition]*shareQueue
	buffered map[*kgo.Record]*held
	turn     []*shareQueue // those with ready records
	ends     []*held       // to be acknowledged
	running  int           // goroutines that have records
	stuck    int           // of them, those whose handler has stalled
	closing  bool          // nothing is fetched or started any more
	lock     time.Duration // as the broker said last
}

func newShareSession(cfg *ShareConfig, e *engine, handler Handler, counts *shareCounters) *shareSession {
	s := &shareSession{
		cfg: cfg, engine: e, handler: handler, log: e.log, counts: counts,
		stopping: make(chan struct{}), drained: make(chan struct{}), noMore: make(chan struct{}),
		ackSoon: make(chan struct{}, 1), freed: make(chan struct{}, 1),
		queues: make(map[topicPartition]*shareQueue), buffered: make(map[*kgo.Record]*held),
	}
	s.calls, s.endCalls = context.WithCancelCause(context.Background())
	s.letterCtx, s.endLetters = context.WithCancelCause(context.Background())
	s.stopped, s.endStop = context.WithCancelCause(context.Background())
	s.member = newStanding(&e.vitals, e.log)
	return s
}

// run joins the group and works until ctx ends, or the session stops by itself.
func (s *shareSession) run(ctx context.Context, set shareSettings) error {
	s.renews, s.limit, s.lock = set.renews, set.limit, set.lock
	base, endBase := context.WithCancel(context.Background())
	defer endBase()
	cl, err := kgo.NewClient(s.clientOpts(base)...)
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	s.cl = cl
	quit, endQuit := context.WithCancel(s.stopped)
	defer endQuit()
	life, endLife := context.WithCancel(context.Background())
	defer endLife()
	var poller, loops sync.WaitGroup
	acked := make(chan struct{})
	s.engine.vitals.enterShare(set.beat)
	poller.Go(func() { s.poll(quit, cl) })
	loops.Go(func() { defer close(acked); s.ackLoop(life) })
	loops.Go(s.watchLocks)
	s.log.Info("joining", "share_group", s.cfg.Group, "topics", s.cfg.Topics, "renews", s.renews, "lock", set.lock, "deliveries", set.limit)

	select {
	case <-ctx.Done():
	case <-s.stopped.Done():
	}
	deadline := time.Now().Add(s.cfg.ShutdownTimeout)
	s.engine.vitals.leaving(context.Cause(s.stopped))
	endQuit()
	poller.Wait() // nothing arrives any more
	cl.PauseFetchTopics(s.cfg.Topics...)
	result := s.finish(deadline, acked, endLife)
	s.unveil()
	s.leave(cl, deadline, endBase)
	loops.Wait()
	return result
}

// clientOpts are the options of the session's Kafka client. One fetch at a time
// is under way, and only during a poll (ShareMaxRecordsStrict): what is fetched
// early is kept from other members. A fetch waits little at the broker, because
// acknowledgements wait for it.
func (s *shareSession) clientOpts(ctx context.Context) []kgo.Opt {
	cfg := s.cfg
	wait := 200 * time.Millisecond
	if s.lock > 0 {
		wait = min(wait, s.lock/10)
	}
	opts := []kgo.Opt{
		kgo.WithContext(ctx), // not that of Run: the last acknowledgements come after its end
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.WithLogger(s.member),
		kgo.ConsumeTopics(cfg.Topics...),
		kgo.ShareGroup(cfg.Group),
		kgo.ShareMaxRecords(int32(max(cfg.MaxInFlight/2, cfg.BatchSize))),
		kgo.ShareMaxRecordsStrict(),
		kgo.ShareAckCallback(s.onAcks),
		kgo.FetchMaxWait(wait),
		kgo.FetchMaxBytes(cfg.FetchMaxBytes),
		kgo.FetchMaxPartitionBytes(cfg.FetchMaxPartitionBytes),
		// A connection that closes gives up all records of this member there.
		kgo.ConnIdleTimeout(5 * time.Minute),
		kgo.WithHooks(veiler{s}, s.member, connectLog{s.log}, pulse{&s.engine.vitals}), // before those of ClientOpts
	}
	if cfg.ClientID != "" {
		opts = append(opts, kgo.ClientID(cfg.ClientID))
	}
	return append(opts, cfg.ClientOpts...)
}

// poll takes what the brokers send, as long as there is room. It turns even if
// nothing comes, to show that it can.
func (s *shareSession) poll(ctx context.Context, cl *kgo.Client) {
	for {
		n := s.room(ctx)
		if n == 0 {
			return
		}
		s.polling.Lock()
		wait, cancel := context.WithTimeout(ctx, turn(s.cfg.HealthTimeout))
		f := cl.PollRecords(wait, n)
		cancel()
		f.EachRecord(s.arrive)
		s.polling.Unlock()
		s.start()
		f.EachError(s.fetchError)
		if f.IsClientClosed() {
			return
		}
	}
}

// start hands out what has arrived.
func (s *shareSession) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch()
}

// room waits until more records may come, and returns how many; 0 at the end.
func (s *shareSession) room(ctx context.Context) int {
	for {
		s.engine.vitals.pollTurned()
		if n := s.cfg.MaxInFlight - int(s.counts.flightCount.Load()); n > 0 && ctx.Err() == nil {
			return n
		}
		select {
		case <-s.freed:
		case <-time.After(turn(s.cfg.HealthTimeout)):
		case <-ctx.Done():
			return 0
		}
	}
}

func (s *shareSession) fetchError(topic string, partition int32, err error) {
	var group *kgo.ErrGroupSession
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
	case topic == "" && errors.Is(err, context.DeadlineExceeded): // nothing came in this turn
	case errors.Is(err, kerr.UnsupportedVersion):
		s.stop(fmt.Errorf("consumer: these brokers have no share groups: they need Kafka 4.2, or 4.1 with the feature share.version=1: %w", err))
	case denied(err):
		s.stop(fmt.Errorf("consumer: cannot consume %s: %w", topic, err))
	case errors.As(err, &group):
		s.log.Warn("the share group failed, will try again", "err", err)
	default:
		s.log.Warn("fetching failed", "topic", topic, "partition", partition, "err", err)
	}
}

// eachHeld calls fn for all that is held, the client's buffer included.
func (s *shareSession) eachHeld(fn func(*held)) {
	for _, h := range s.buffered {
		fn(h)
	}
	for _, q := range s.queues {
		for _, h := range q.held {
			fn(h)
		}
	}
}

// stop ends the session gracefully, and Run with err.
func (s *shareSession) stop(err error) { s.endStop(err) }

// abort ends the session, and Run with err, without waiting for handlers.
func (s *shareSession) abort(err error) {
	s.endStop(err)
	s.endCalls(err)
}
