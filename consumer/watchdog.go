package consumer

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// calls are the handler calls that run, of all sessions and epochs: one of a
// partition that was lost long ago still holds a worker.
type calls struct {
	mu      sync.Mutex
	running map[*call]struct{}
}

// call is one handler call.
type call struct {
	at      RecordID // its first record
	records int
	began   time.Time
	stalled bool // guarded by calls.mu
}

func (c *calls) status(now time.Time) CallStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := CallStatus{Running: len(c.running)}
	var stalled time.Duration
	for one := range c.running {
		age := now.Sub(one.began)
		s.Oldest = max(s.Oldest, age)
		if !one.stalled {
			continue
		}
		if s.Stalled++; age > stalled {
			stalled, s.StalledAt = age, one.at
		}
	}
	return s
}

// stall marks a call, unless it has just returned.
func (c *calls) stall(one *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, running := c.running[one]
	one.stalled = running
	return running
}

// begin notes a handler call, and starts its watchdog: stalled is called if it runs
// for longer than limit; 0 is for ever. What it returns ends both.
func (c *calls) begin(at RecordID, records int, limit time.Duration, stalled func(*call)) (end func()) {
	one := &call{at: at, records: records, began: time.Now()}
	c.mu.Lock()
	if c.running == nil {
		c.running = make(map[*call]struct{})
	}
	c.running[one] = struct{}{}
	c.mu.Unlock()
	var dog *time.Timer
	if limit > 0 {
		dog = time.AfterFunc(limit, func() {
			if c.stall(one) {
				stalled(one)
			}
		})
	}
	return func() {
		if dog != nil {
			dog.Stop()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.running, one)
	}
}

// watch watches over a handler call, until what it returns is called.
func (e *engine) watch(t *task) (end func()) {
	at := RecordID{t.part.topic, t.part.partition, t.entries[0].rec.Offset}
	return e.vitals.calls.begin(at, len(t.entries), e.cfg.StallTimeout, func(one *call) { e.stalled(t, one) })
}

// stalled ends the consumer, since a handler call has run for too long. Nothing
// can end its goroutine, so nobody waits for it: what else is in flight drains and
// is committed, its own partition up to its batch, and the group is left.
//
// It ends the session at work now, which need not be the one that the batch is of:
// a partition may have been lost and have come back, and would wait here for ever
// for the call of its earlier epoch.
func (e *engine) stalled(t *task, one *call) {
	t.part.stall(t)
	err := e.tellStall(one)
	t.part.owner.stop(err)
	e.stopRun(err)
}

// tellStall tells that a handler call has stalled, and returns what Run is to say.
func (e *engine) tellStall(one *call) error {
	at := one.at
	e.log.Error("a handler call has stalled, the consumer stops", "topic", at.Topic, "partition", at.Partition, "offset", at.Offset, "records", one.records, "stall_timeout", e.cfg.StallTimeout)
	if hook := e.cfg.Hooks.OnStall; hook != nil {
		hook(StallInfo{Topic: at.Topic, Partition: at.Partition, FirstOffset: at.Offset, Records: one.records, Running: time.Since(one.began)})
	}
	return fmt.Errorf("%w: %s/%d@%d, %d records, for more than %v", ErrStalled, at.Topic, at.Partition, at.Offset, one.records, e.cfg.StallTimeout)
}

// halting returns a context that stopRun ends.
func (e *engine) halting() (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.halt = cancel
	return ctx, cancel
}

// stopRun ends Run with err, whatever session is at work: gracefully, unless it is by
// [Fatal].
func (e *engine) stopRun(err error) {
	e.mu.Lock()
	halt, s := e.halt, e.session
	e.mu.Unlock()
	if halt != nil {
		halt(err) // for the time between two sessions
	}
	if s != nil {
		s.halt(err)
	}
}

// stall marks a batch that nobody waits for any more.
func (p *partition) stall(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.over {
		return
	}
	t.stuck = true
	p.stuck++
	t.lane.stuck = t.lane.ordered()
	p.checkDrained()
}

// settled: a batch has ended, and if it had stalled, is no longer stuck.
func (p *partition) settled(t *task) {
	p.running--
	t.over = true
	if t.stuck {
		p.stuck--
		t.lane.stuck = false
	}
}
