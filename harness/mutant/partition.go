package mutant

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partition is one assignment of a partition, with its worker.
type partition struct {
	c      *consumer
	id     int32
	ctx    context.Context // ends when the partition is gone
	cancel context.CancelFunc
	gone   atomic.Bool   // another member may have it: no commit any more
	over   chan struct{} // closed by stop: begin nothing more
	ended  sync.Once
	idle   chan struct{} // closed when the worker has ended
	more   chan struct{} // has one while something waits
	// letters counts dead letters.
	letters atomic.Int64

	mu        sync.Mutex
	waiting   []*kgo.Record
	paused    bool
	open      []*kgo.Record // begun or not, in order; what is at its front holds the position back
	done      map[int64]bool
	next      int64 // all below has come to its end; 0 if nothing has
	committed int64
}

func newPartition(c *consumer, id int32) *partition {
	ctx, cancel := context.WithCancel(context.Background()) // not that of the process: what is begun is finished
	return &partition{
		c: c, id: id, ctx: ctx, cancel: cancel,
		over: make(chan struct{}), idle: make(chan struct{}), more: make(chan struct{}, 1), done: map[int64]bool{},
	}
}

func (p *partition) named() map[string][]int32 { return map[string][]int32{p.c.env.Topic: {p.id}} }

// stop lets the worker end after the record in hand.
func (p *partition) stop() { p.ended.Do(func() { close(p.over) }) }

func (p *partition) stopped() bool {
	select {
	case <-p.over:
		return true
	case <-p.ctx.Done():
		return true
	default:
		return false
	}
}

// queue appends records, and stops fetching more of them where too many wait.
func (p *partition) queue(records []*kgo.Record) {
	p.mu.Lock()
	p.waiting = append(p.waiting, records...)
	p.open = append(p.open, records...)
	if !p.paused && p.c.do.full(p, len(p.waiting)) {
		p.paused = true
		p.c.client.PauseFetchPartitions(p.named())
	}
	p.mu.Unlock()
	p.wake()
}

func (p *partition) wake() {
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// take waits for the next batch; nil when the partition is given up.
func (p *partition) take() []*kgo.Record {
	for !p.stopped() {
		p.mu.Lock()
		n := min(len(p.waiting), p.c.env.BatchSize)
		batch := p.waiting[:n:n]
		p.waiting = p.waiting[n:]
		resume := p.paused && !p.c.do.full(p, 2*len(p.waiting))
		if resume {
			p.paused = false
		}
		p.mu.Unlock()
		if resume {
			p.c.do.resume(p)
		}
		if n > 0 {
			return batch
		}
		select {
		case <-p.more:
		case <-p.over:
		case <-p.ctx.Done():
		}
	}
	return nil
}

// work is the worker: batch after batch, each committed when it is done.
func (p *partition) work() {
	defer close(p.idle)
	for batch := p.take(); batch != nil; batch = p.take() {
		p.c.do.batch(p, batch)
		p.c.do.commit(p)
	}
}

// inOrder does one record after the other. One that does not come to its end
// keeps those behind it from being begun.
func (p *partition) inOrder(records []*kgo.Record) {
	for _, r := range records {
		if p.stopped() || !p.handle(r) {
			return
		}
		p.c.do.finished(p, r)
	}
}

// finished moves the position behind everything that is done without a gap. Offsets that
// were never delivered are no gaps.
func (p *partition) finished(r *kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[r.Offset] = true
	for len(p.open) > 0 && p.done[p.open[0].Offset] {
		delete(p.done, p.open[0].Offset)
		p.next = p.c.do.position(p.open[0])
		p.open = p.open[1:]
	}
}

// uncommitted is the position to commit; false if it is committed.
func (p *partition) uncommitted() (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next, p.next != p.committed
}

var errGone = errors.New("the partition is gone")

// commit commits the position and waits for the answer. kgo holds a commit back while
// it joins, and could then send it as a new member for a partition that is another's
// by now: so it looks again when the request is made.
func (p *partition) commit() {
	next, dirty := p.uncommitted()
	if !dirty || p.gone.Load() {
		return
	}
	ctx := kgo.PreCommitFnContext(p.c.do.until(p), func(*kmsg.OffsetCommitRequest) error {
		if p.gone.Load() {
			return errGone
		}
		return nil
	})
	if p.c.send(ctx, map[int32]int64{p.id: next}) == nil {
		p.mu.Lock()
		p.committed = next
		p.mu.Unlock()
	}
}

// attempts counts attempts at records for the life of the process, and keeps when the next one
// may be made: that a partition goes and comes back is no reason to begin anew, nor to hurry.
type attempts struct {
	mu   sync.Mutex
	of   map[place]int
	next map[place]time.Time
}

type place struct {
	partition int32
	offset    int64
}

func newAttempts() *attempts { return &attempts{of: map[place]int{}, next: map[place]time.Time{}} }

func (a *attempts) add(r *kgo.Record) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := place{r.Partition, r.Offset}
	a.of[at]++
	return a.of[at]
}

func (a *attempts) forget(r *kgo.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.of, place{r.Partition, r.Offset})
	delete(a.next, place{r.Partition, r.Offset})
}

func (a *attempts) notBefore(r *kgo.Record, d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next[place{r.Partition, r.Offset}] = time.Now().Add(d)
}

// left is how long the next attempt has to wait still.
func (a *attempts) left(r *kgo.Record) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, ok := a.next[place{r.Partition, r.Offset}]; ok {
		return time.Until(at)
	}
	return 0
}
