package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	errAborted   = errors.New("consumer: the transaction was aborted")
	errOverdue   = errors.New("consumer: the transaction was not done in time")
	errOvertaken = errors.New("consumer: a rebalance did not wait for the transaction")
)

// transactor runs the transactions of a session, one for each poll, in the
// session's poll loop. A kgo.GroupTransactSession commits what was polled, so a
// transaction is committed when all of that is done, or else aborted as a whole.
//
// Partitions and handlers work as in any session. At an abort every epoch ends,
// and new ones begin where the client goes on: at what is committed.
type transactor struct {
	s      *session
	group  *kgo.GroupTransactSession
	forced context.Context // ends when the end of a transaction must not be waited for any more
	force  context.CancelFunc
	aborts int        // in a row, for the back-off
	one    sync.Mutex // see emit

	// enter is held for reading while records are handed to the client, and for
	// writing when the transaction ends: a handler that comes too late must not
	// get its outputs into the next one.
	enter sync.RWMutex
	now   atomic.Pointer[transaction] // nil between transactions

	gate    sync.Mutex
	blocked bool          // a rebalance waits for AllowRebalance
	open    bool          // and is let through at once
	wants   chan struct{} // closed when blocked; nil between transactions
	// unfinished: handler calls still ran when shutting down had to go on.
	unfinished bool
}

// transaction is what one poll brought.
type transaction struct {
	mu      sync.Mutex
	total   int // records
	left    int // of them, those not done
	err     error
	careful bool // see emit

	done, failed chan struct{}
	first        map[topicPartition]int64 // the first offset of each partition
}

func newTransactor(s *session) *transactor {
	t := &transactor{s: s}
	t.forced, t.force = context.WithCancel(context.Background())
	return t
}

func (t *transactor) connect(ctx context.Context) (*kgo.Client, error) {
	group, err := kgo.NewGroupTransactSession(t.s.clientOpts(ctx)...)
	if err != nil {
		return nil, err
	}
	t.group = group
	return group.Client(), nil
}

// claim takes the transactional id over, before anything is consumed. The broker
// then ends what an earlier life of this member has left open: until it has,
// nobody can be told where the partitions of that transaction stand (KIP-447),
// this member included, so it must not wait for the first record.
func (t *transactor) claim(quit context.Context) {
	ctx, cancel := context.WithTimeout(quit, t.s.e.cfg.TransactionTimeout)
	defer cancel()
	if _, _, err := t.s.cl.ProducerID(ctx); err != nil && quit.Err() == nil {
		t.broken(err)
	}
}

// run takes what a poll brought through one transaction.
func (t *transactor) run(quit context.Context, f kgo.Fetches) {
	if f.Empty() {
		return
	}
	x := &transaction{done: make(chan struct{}), failed: make(chan struct{}), first: make(map[topicPartition]int64)}
	for _, p := range t.s.all() {
		x.careful = x.careful || p.suspects()
	}
	f.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) > 0 {
			tp, first := topicPartition{p.Topic, p.Partition}, p.Records[0].Offset
			if at, ok := x.first[tp]; !ok || first < at { // it can come from two brokers, when its leader has moved
				x.first[tp] = first
			}
			for _, r := range p.Records {
				if !r.Attrs.IsControl() { // what has ended others' transactions is done already
					x.left++
				}
			}
		}
	})
	if x.total = x.left; x.left == 0 {
		close(x.done)
	}
	if err := t.group.Begin(); err != nil {
		t.s.rejoin(fmt.Errorf("consumer: cannot begin a transaction: %w", err))
		return
	}
	t.begin(x)
	defer t.shut()
	f.EachPartition(t.s.deliver)
	cause := t.await(quit, x)
	if cause == nil {
		cause = t.flush(x)
	}
	if cause == nil {
		cause = t.commit(x)
	} else {
		t.abort(x, cause)
	}
	t.rest(quit, cause)
}

func (t *transactor) begin(x *transaction) {
	t.gate.Lock()
	defer t.gate.Unlock()
	t.wants = make(chan struct{})
	if t.blocked {
		close(t.wants)
	}
	t.now.Store(x)
}

// await waits until all records are done, and returns nil; or until there is a
// reason to abort.
func (t *transactor) await(quit context.Context, x *transaction) error {
	cfg := t.s.e.cfg
	overdue := time.NewTimer(cfg.TransactionTimeout * 4 / 5)
	defer overdue.Stop()
	turn := time.NewTicker(cfg.HealthTimeout / 4)
	defer turn.Stop()
	quitting, wants := quit.Done(), t.wants
	var shutdown, drained <-chan time.Time
	for {
		select {
		case <-x.done:
			return nil
		case <-x.failed:
			return x.cause()
		case <-t.s.stopped.Done(): // or aborted, which ends it too
			return context.Cause(t.s.stopped)
		case <-overdue.C:
			return errOverdue
		case <-turn.C:
			t.s.e.vitals.pollTurned() // it is this that the poll loop has to do
		case <-quitting:
			quitting = nil
			timer := time.NewTimer(cfg.ShutdownTimeout * 5 / 10)
			defer timer.Stop()
			shutdown = timer.C
		case <-shutdown:
			return errShutdown
		case <-wants:
			wants = nil
			timer := time.NewTimer(cfg.DrainTimeout * 8 / 10)
			defer timer.Stop()
			drained = timer.C
		case <-drained:
			return errOvertaken
		}
	}
}

// flush waits for the answers to all outputs, and returns why the transaction
// must not be committed. The client would commit it without those that failed.
func (t *transactor) flush(x *transaction) error {
	t.leave()
	ctx, cancel := context.WithTimeout(t.forced, t.s.e.cfg.TransactionTimeout/2)
	defer cancel()
	if err := t.s.cl.Flush(ctx); err != nil {
		return fmt.Errorf("%w: %w", errOverdue, err)
	}
	return x.cause()
}

// commit ends a transaction of which everything is done. It returns nil if the
// broker has committed it.
func (t *transactor) commit(x *transaction) error {
	ctx, cancel := context.WithTimeout(t.forced, t.s.e.cfg.TransactionTimeout)
	defer cancel()
	parts := t.s.all()
	defer t.letRebalance()()
	took := t.s.e.vitals.commitSent()
	committed, err := t.group.End(ctx, kgo.TryCommit)
	info := CommitInfo{Partitions: len(x.first), Duration: took(), Err: err}
	if err == nil && !committed {
		info.Err = errAborted
	}
	t.s.e.vitals.commitEnded(info.Err)
	if hook := t.s.e.cfg.Hooks.OnCommitRequest; hook != nil {
		hook(info)
	}
	switch {
	case committed && err == nil:
		t.told(parts)
		return nil
	case err == nil:
		t.restart(x, errAborted)
		return errAborted
	}
	t.broken(err)
	return err
}

// abort ends a transaction that cannot be committed, and whose handlers may
// still run.
func (t *transactor) abort(x *transaction, cause error) {
	parts := t.s.all()
	for _, p := range parts {
		p.fence(cause)
	}
	// Those that still run cannot put anything into this transaction or another:
	// their epoch is fenced. Waiting is for effects that they have elsewhere.
	grace := lostGrace
	if errors.Is(cause, errShutdown) {
		grace = t.s.e.cfg.ShutdownTimeout / 10
	}
	t.unfinished = !awaitIdle(t.forced, parts, grace) && errors.Is(cause, errShutdown)
	t.leave()
	// The gate stays closed: a rebalance that is let through now could give this
	// member a new generation in which its positions are not yet set back.
	ctx, cancel := context.WithTimeout(t.forced, 2*t.s.e.cfg.CommitTimeout)
	defer cancel()
	if _, err := t.group.End(ctx, kgo.TryAbort); err != nil {
		t.broken(err)
		return
	}
	if t.s.aborted.Err() == nil {
		t.restart(x, cause)
	}
}

// leave ends the time in which records can be produced.
func (t *transactor) leave() {
	t.enter.Lock()
	defer t.enter.Unlock()
	t.now.Store(nil)
}

// broken: the client cannot be used any more (see kgo.GroupTransactSession.End).
func (t *transactor) broken(err error) {
	err = fmt.Errorf("consumer: the transactional client has failed: %w", err)
	switch {
	case t.s.aborted.Err() != nil:
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed), denied(err):
		t.s.abort(err)
	default:
		t.s.rejoin(err)
	}
}

// restart begins new epochs where the client goes on after an abort.
func (t *transactor) restart(x *transaction, cause error) {
	t.rewind(x)
	t.s.e.log.Warn("transaction aborted, its records are handled again", "records", x.total, "err", cause)
	for _, p := range t.s.all() {
		t.s.replace(p, cause)
	}
}

// rewind puts partitions of which nothing is committed back to where this
// transaction found them. The client puts those to offset 0, which need not
// exist, or be where a member that starts at the end should go on.
func (t *transactor) rewind(x *transaction) {
	back := make(map[string]map[int32]kgo.EpochOffset)
	committed := t.s.cl.CommittedOffsets()
	for tp, first := range x.first {
		if at, ok := committed[tp.topic][tp.partition]; !ok || at.Offset >= first || at.Offset > 0 {
			continue
		}
		if back[tp.topic] == nil {
			back[tp.topic] = make(map[int32]kgo.EpochOffset)
		}
		back[tp.topic][tp.partition] = kgo.EpochOffset{Epoch: -1, Offset: first}
	}
	if len(back) > 0 {
		t.s.cl.SetOffsets(back)
	}
}

// told notes what a committed transaction has committed.
func (t *transactor) told(parts []*partition) {
	for _, p := range parts {
		offset, moved := p.sealTransaction()
		if hook := t.s.e.cfg.Hooks.OnCommit; hook != nil && moved {
			hook(p.topic, p.partition, offset, nil)
		}
	}
}

// rest waits after transactions that failed one after the other, so that an
// output that the broker refuses does not keep the cluster busy.
func (t *transactor) rest(quit context.Context, cause error) {
	switch {
	case cause == nil:
		t.aborts = 0
		return
	case t.s.aborted.Err() != nil:
		return
	}
	if t.aborts++; t.aborts == 1 && (errors.Is(cause, errOvertaken) || errors.Is(cause, errAborted)) {
		return // by a rebalance, as it seems
	}
	t.s.cl.AllowRebalance()
	pause(quit, t.s.e.cfg.Retry.after(t.aborts, 0))
}

// finish waits for the last transaction; it is given the first part of the time
// that the shutdown has (see await), and not waited for after most of it.
func (t *transactor) finish(deadline time.Time) {
	timer := time.NewTimer(time.Until(deadline) * 8 / 10)
	defer timer.Stop()
	select {
	case <-t.s.polled:
	case <-timer.C:
		t.force()
		<-t.s.polled
	}
	t.force()
}
