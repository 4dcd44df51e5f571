package consumer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// machine drives the partitions of one consumer, and the model beside them, in
// virtual time.
type machine struct {
	*model
	e      *engine
	owner  *modelOwner
	steps  int
	commit *modelCommit   // sent and not answered
	drains []*modelRevoke // under way
	paused func(topicPartition) bool
	follow func() // takes notice of what has happened by itself
}

type modelCommit struct {
	ep    *modelEpoch
	snap  snapshot
	taken bool // by the broker
}

type modelRevoke struct {
	ep   *modelEpoch
	done chan bool
}

const (
	// All times are multiples of hop, apart from deadlines, so that no two things
	// happen at once of which the order would matter.
	hop       = 50 * time.Millisecond
	odd       = 7 * time.Millisecond
	softDrain = 20*hop + odd
	hardDrain = 24*hop + odd
)

// drawModelConfig draws what matters to the core, with small bounds.
func drawModelConfig(t *rapid.T) Config {
	cfg := testConfig()
	cfg.Order = rapid.SampledFrom([]Order{OrderPartition, OrderKey, Unordered}).Draw(t, "order")
	cfg.BatchSize = rapid.IntRange(1, 4).Draw(t, "batch")
	cfg.BatchWait = rapid.SampledFrom([]time.Duration{0, 0, 2 * hop}).Draw(t, "batch wait")
	cfg.Concurrency = rapid.IntRange(1, 4).Draw(t, "concurrency")
	cfg.MaxInFlight = rapid.IntRange(cfg.BatchSize, 12).Draw(t, "in flight")
	cfg.MaxSpan = rapid.IntRange(cfg.BatchSize, 20).Draw(t, "span")
	cfg.CommitEachBatch = rapid.Bool().Draw(t, "commit each batch")
	cfg.Retry = Retry{Attempts: rapid.IntRange(1, 4).Draw(t, "attempts"), Initial: 2 * hop, Max: 8 * hop, Multiplier: 2}
	cfg.HandlerTimeout = 0
	cfg.StallTimeout = rapid.SampledFrom([]time.Duration{0, 0, 30 * hop}).Draw(t, "stall")
	cfg.Poison.Policy = rapid.SampledFrom([]PoisonPolicy{PoisonSkip, PoisonSkip, PoisonStop, PoisonDeadLetter}).Draw(t, "poison")
	return cfg
}

func newMachine(cfg Config, partitions int) *machine {
	x := &machine{model: newModel(cfg, partitions)}
	x.owner = &modelOwner{m: x.model, paused: make(map[topicPartition]bool)}
	x.cfg.Hooks.OnPoison = x.owner.skipped
	x.follow = func() {}
	x.paused = func(tp topicPartition) bool {
		x.owner.mu.Lock()
		defer x.owner.mu.Unlock()
		return x.owner.paused[tp]
	}
	x.start()
	return x
}

// start begins a life of the process.
func (x *machine) start() {
	x.e = &engine{cfg: &x.cfg, log: x.cfg.Logger, running: make(map[topicPartition]<-chan struct{})}
	if x.cfg.TransactionalID != "" {
		x.e.tx = x.handleTx
	} else {
		x.e.handler = x.handle
	}
	x.e.pool = newPool(x.cfg.Concurrency, x.e.work)
}

// begin starts an epoch of a partition, as a session does.
func (x *machine) assign(p *modelPart, from int64) *modelEpoch {
	x.mu.Lock()
	ep := newModelEpoch(p, from, newPartition(p.tp, "m", &x.cfg, x.owner, x.e.pool, &x.e.attempts))
	p.epochs = append(p.epochs, ep)
	x.mu.Unlock()
	if earlier := x.e.succeed(p.tp, ep.part.idle); earlier != nil {
		ep.part.gate(earlier)
	}
	return ep
}

// takeOver is the assignment of a partition by the group.
func (x *machine) takeOver(p *modelPart) {
	ep := x.assign(p, p.committed)
	if x.cfg.TransactionalID != "" {
		return
	}
	ep.part.learn(p.note)
	ep.part.startsAt(p.committed, Unknown)
	x.learn(p, ep)
}

// learn takes what the last owner has noted.
func (x *machine) learn(p *modelPart, ep *modelEpoch) {
	known, err := parseAttempts(p.note)
	if err != nil {
		x.fail("the note %q cannot be read", p.note)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	ep.noted = p.note
	for offset, tr := range known {
		p.memory[offset] = max(p.memory[offset], tr.attempts)
	}
	maps.DeleteFunc(p.memory, func(offset int64, _ int) bool { return offset < p.committed })
}

// step hands the model over to whoever runs next, as the race detector sees it: this
// goroutine reads it without a lock while all others are at rest.
func (x *machine) step() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.steps++
}

// hopOn lets time pass in small steps, and the model follow.
func (x *machine) hopOn(t *rapid.T, d time.Duration) {
	for range d / hop {
		x.step()
		time.Sleep(hop)
		synctest.Wait()
		x.mu.Lock()
		now := time.Now()
		for _, c := range slices.Clone(x.calls) {
			if x.cfg.StallTimeout > 0 && !c.stuck && c.poison == nil && now.Sub(c.began) >= x.cfg.StallTimeout {
				x.stall(c)
			}
		}
		x.cutOff()
		x.mu.Unlock()
		x.check(t)
	}
}

// check compares the partitions to the model; everything must have come to rest.
func (x *machine) check(t *rapid.T) {
	x.step()
	synctest.Wait()
	x.follow()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.owner.mu.Lock()
	twice, stops, aborts := x.owner.twice, x.owner.stops, x.owner.aborts
	x.owner.mu.Unlock()
	switch {
	case x.wrong != "":
	case twice:
		x.fail("paused, resumed or settled twice")
	case stops != x.stops, aborts != x.aborts:
		x.fail("stopped %d times and aborted %d times, want %d and %d", stops, aborts, x.stops, x.aborts)
	}
	for _, p := range x.parts {
		for i, ep := range p.epochs {
			x.checkEpoch(ep, p.epochs[:i])
			ep.atRest = ep.state == fenced
		}
		paused := x.paused(p.tp)
		if want := p.owned() != nil && p.owned().paused; paused != want {
			x.fail("%v: paused %v, want %v", p.tp, paused, want)
		}
	}
	if x.wrong != "" {
		t.Fatal(x.wrong)
	}
}

func (x *machine) checkEpoch(ep *modelEpoch, earlier []*modelEpoch) {
	n, stuck := x.running(ep)
	idle := ep.state == fenced && n == 0
	for _, other := range earlier {
		m, _ := x.running(other)
		idle = idle && m == 0
	}
	if got := closed(ep.part.idle); got != idle {
		x.fail("idle %v, want %v with %d calls", got, idle, n)
	}
	if got := closed(ep.part.drained); got != ep.drained {
		x.fail("drained %v, want %v with %d calls, %d of them stuck", got, ep.drained, n, stuck)
	}
	if got := closed(ep.part.stopping); got != (ep.state != active) {
		x.fail("stopping %v in state %d", got, ep.state)
	}
	if l := x.idle(ep); l != nil {
		x.fail("%v: %d of lane %q has nothing to wait for, and is not handled, in state %d with %d calls", ep.of.tp, l.waiting()[0].rec.Offset, l.key, ep.state, len(x.calls))
	}
	ep.part.mu.Lock()
	defer ep.part.mu.Unlock()
	p := ep.part
	next, passed := ep.watermark()
	switch {
	case ep.state != fenced && !ep.cancelled && p.ctx.Err() != nil:
		x.fail("a drain was cut off %v too early", time.Until(ep.softAt))
	case p.state != ep.state:
		x.fail("state %d, want %d", p.state, ep.state)
	case p.running != n || p.stuck != stuck:
		x.fail("%d running and %d stuck, want %d and %d", p.running, p.stuck, n, stuck)
	case ep.state == fenced:
	case p.track.passed != passed || passed && p.track.next != next:
		x.fail("the watermark is %d (%v), want %d (%v)", p.track.next, p.track.passed, next, passed)
	case p.pending != ep.pending():
		x.fail("%d in flight, want %d", p.pending, ep.pending())
	case p.gated != x.gated(ep):
		x.fail("gated %v, want %v", p.gated, x.gated(ep))
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// The core of the consumer against the model: whatever handlers say, whenever
// partitions come and go and commits are lost, in any order.
func TestPartitionsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawModelConfig(t)
		partitions := rapid.IntRange(1, 2).Draw(t, "partitions")
		watches := rapid.Bool().Draw(t, "watches")
		rapid.SyncTest(t, func(t *rapid.T) {
			x := newMachine(cfg, partitions)
			x.watches = watches
			t.Cleanup(x.end)
			for _, p := range x.parts {
				x.takeOver(p)
			}
			t.Repeat(x.actions())
			t.Repeat(x.actions()) // twice as long as usual
			x.windUp(t, x.endOne)
		})
	})
}

var errLetters = errors.New("no dead letters today")

// windUp ends whatever is under way, and checks that then all is done.
func (x *machine) windUp(t *rapid.T, endOne func(*rapid.T) bool) {
	for range 1000 {
		if !endOne(t) {
			break
		}
		x.check(t)
	}
	x.mu.Lock()
	stopped := x.stops > 0 // by a record that nothing can be done about
	for _, p := range x.parts {
		ep := p.owned()
		switch {
		case ep == nil || ep.state != active || len(x.calls) > 0:
			x.fail("not wound up")
		case stopped:
		case ep.pending() > 0 || ep.at < len(p.log):
			x.fail("%v: %d records are left over", p.tp, ep.pending()+len(p.log)-ep.at)
		case len(p.log) > 0 && p.committed != p.log[len(p.log)-1].offset+1, p.note != "":
			x.fail("%v: committed %d with the note %q", p.tp, p.committed, p.note)
		}
		for _, r := range p.log {
			if r.offset < p.committed && !r.control && !p.ended[r.offset] {
				x.fail("%d is committed, and did not come to an end", r.offset)
			}
		}
		if ep != nil && !stopped {
			ep.part.mu.Lock()
			if len(ep.part.keys) > 0 || len(ep.part.retries) > 0 || len(ep.part.held) > 0 || ep.part.failures != 0 {
				x.fail("left: %d lanes, %d retries, %d held, %d failures", len(ep.part.keys), len(ep.part.retries), len(ep.part.held), ep.part.failures)
			}
			ep.part.mu.Unlock()
		}
	}
	x.mu.Unlock()
	for _, p := range x.parts {
		x.fenceOne(p.owned(), errShutdown)
	}
	x.check(t)
}

// end lets go of all that still waits, after a failure too.
func (x *machine) end() {
	close(x.over)
	for _, p := range x.parts {
		for _, ep := range p.epochs {
			ep.part.fence(errShutdown)
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}

func (x *machine) fenceOne(ep *modelEpoch, cause error) {
	if ep == nil {
		return
	}
	x.mu.Lock()
	x.fence(ep)
	x.mu.Unlock()
	ep.part.fence(cause)
}

// loseOne is a loss, which gives handlers a moment.
func (x *machine) loseOne(ep *modelEpoch) {
	x.mu.Lock()
	x.fence(ep)
	x.mu.Unlock()
	loseAll(context.Background(), []*partition{ep.part}, errLost)
}
