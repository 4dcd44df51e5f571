package consumer

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// sessionMachine drives a whole consumer, apart from its polls and the group: the
// test delivers, and calls what the client calls in a rebalance.
type sessionMachine struct {
	*machine
	broker *modelBroker
	s      *session // at work; nil if there is none
	stop   context.CancelFunc
	ended  chan error
	moving *modelMove // the rebalance callback that runs
	ending []*modelEpoch
	// unsaved: something that is done was not committed when the process ended.
	unsaved bool
	fatal   bool
}

// modelMove is a revoke.
type modelMove struct {
	eps   []*modelEpoch
	began time.Time
	done  chan struct{}
}

// A session against the model: assignments, revokes and losses of several partitions,
// its commits, their answers, and its end.
func TestSessionAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawModelConfig(t)
		cfg.Poison.Policy, cfg.StallTimeout, cfg.LagInterval = PoisonSkip, 0, 0
		cfg.DrainTimeout, cfg.ShutdownTimeout, cfg.CommitInterval = 20*hop+odd, 40*hop+odd, time.Duration(rapid.IntRange(1, 10).Draw(t, "interval"))*hop
		partitions := rapid.IntRange(1, 3).Draw(t, "partitions")
		rapid.SyncTest(t, func(t *rapid.T) {
			x := newSessionMachine(cfg, partitions)
			x.watches = rapid.Bool().Draw(t, "watches")
			t.Cleanup(func() { x.stop(); x.end() })
			x.run(t)
			base := x.actions()
			actions := map[string]func(*rapid.T){
				"": x.check, "deliver": x.poll, "deliver 2": x.poll, "assign": x.join, "assign 2": x.join, "revoke": x.revoke, "lose": x.lost,
				"rewind": x.back, "faults": x.faults, "shut down": x.shutDown,
			}
			for _, name := range []string{"end", "end 2", "end 3", "end well", "time"} {
				actions[name] = base[name]
			}
			t.Repeat(actions)
			t.Repeat(actions)
			x.finish(t)
		})
	})
}

func newSessionMachine(cfg Config, partitions int) *sessionMachine {
	x := &sessionMachine{machine: newMachine(cfg, partitions)}
	x.broker = &modelBroker{m: x.model}
	x.cfg.ClientOpts = []kgo.Opt{kgo.Dialer(x.broker.dial), kgo.DisableClientMetrics()}
	x.follow = x.takeNotice
	x.paused = func(tp topicPartition) bool {
		return x.s != nil && slices.Contains(x.s.cl.PauseFetchPartitions(nil)[tp.topic], tp.partition)
	}
	return x
}

// run starts a process.
func (x *sessionMachine) run(t *rapid.T) {
	c, err := New(x.cfg, x.handle)
	if err != nil {
		t.Fatal(err)
	}
	x.e = c.e
	ctx, stop := context.WithCancel(context.Background())
	x.stop, x.ended, x.fatal = stop, make(chan error, 1), false
	go func() { x.ended <- c.Run(ctx) }()
	x.check(t)
}

// takeNotice follows what the session does by itself.
func (x *sessionMachine) takeNotice() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cutOff()
	x.owner.aborts = x.aborts // nobody tells; what follows shows
	if x.s != nil {
		switch aborted := x.s.aborted.Err() != nil; {
		case aborted && x.broker.refused:
			x.fenceAll()
		case x.broker.heard && !aborted:
			x.fail("a refusal has no consequence")
		}
	}
	x.e.vitals.mu.Lock()
	s, _ := x.e.vitals.live.(*session)
	x.e.vitals.mu.Unlock()
	if s != x.s {
		x.s = s
		x.broker.life++
		x.broker.refused, x.broker.heard = false, false
		x.tell("session %v", s != nil)
	}
	if mv := x.moving; mv != nil && closed(mv.done) {
		x.moving = nil
		healthy := !x.broker.ok.IsZero() && !x.broker.ok.After(mv.began)
		for _, ep := range mv.eps {
			if next, passed := ep.watermark(); ep.state != fenced && healthy && passed && ep.drained && ep.of.committed != next && !ep.cancelled {
				x.fail("%v: given up with %d committed and %d done", ep.of.tp, ep.of.committed, next)
			}
			x.fence(ep)
		}
	}
	for _, ep := range x.ending {
		if ep.part.ended() && ep.state != fenced {
			if open := slices.ContainsFunc(x.ending, func(ep *modelEpoch) bool { return !ep.drained }); open && time.Now().Before(ep.softAt) {
				x.fail("%v: its drain was not waited for", ep.of.tp)
			}
			next, passed := ep.watermark()
			x.unsaved = x.unsaved || passed && ep.of.committed != next
			x.fence(ep)
		}
	}
}

// live tells whether there is a session that polls and takes part in the group.
func (x *sessionMachine) live() bool {
	return x.s != nil && x.s.stopped.Err() == nil && x.ending == nil && x.moving == nil
}

func (x *sessionMachine) poll(t *rapid.T) {
	if !x.live() {
		t.Skip("no poll")
	}
	ep := x.drawEpoch(t, active)
	n := rapid.IntRange(1, 6).Draw(t, "records")
	if ep.paused && ep.pending() >= 2*x.cfg.MaxInFlight {
		t.Skip("paused")
	}
	if missing := ep.at + n - len(ep.of.log); missing > 0 {
		ep.of.drawLog(t, missing)
	}
	x.fetched(ep, n)
}

func (x *sessionMachine) fetched(ep *modelEpoch, n int) {
	x.mu.Lock()
	recs := ep.fetch(n)
	x.deliver(ep, recs)
	x.mu.Unlock()
	x.send(ep.of.tp, recs)
}

func (x *sessionMachine) send(tp topicPartition, recs []*kgo.Record) {
	f := kgo.FetchTopicPartition{Topic: tp.topic}
	f.Partition, f.Records = tp.partition, recs
	x.s.deliver(f)
}

func (x *sessionMachine) join(t *rapid.T) {
	if !x.live() {
		t.Skip("not in the group")
	}
	var parts []*modelPart
	added := make(map[string][]int32)
	for _, p := range x.parts {
		if ep := p.owned(); ep != nil && rapid.IntRange(0, 7).Draw(t, "assigned again") == 0 {
			x.mu.Lock()
			x.fence(ep) // the client starts over
			x.mu.Unlock()
		}
		if p.owned() == nil && (p.epoch() != nil && !p.epoch().atRest || rapid.Bool().Draw(t, "assigned")) {
			parts = append(parts, p)
			added["t"] = append(added["t"], p.tp.partition)
		}
	}
	x.joinWith(t, parts, added)
}

func (x *sessionMachine) joinWith(t *rapid.T, parts []*modelPart, added map[string][]int32) {
	x.s.onAssigned(t.Context(), x.s.cl, added)
	offsets := map[string]map[int32]kgo.Offset{"t": {}}
	for _, p := range parts {
		x.adopt(p, p.committed)
		p.epoch().part.learn(p.note) // which the session cannot, since the topic is not there
		x.learn(p, p.epoch())
		offsets["t"][p.tp.partition] = kgo.NewOffset().At(p.committed)
	}
	if len(parts) == 0 {
		return
	}
	if _, err := x.s.begin(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
}

// adopt takes the epoch that the session has begun into the model.
func (x *sessionMachine) adopt(p *modelPart, from int64) *modelEpoch {
	x.s.mu.Lock()
	part := x.s.parts[p.tp]
	x.s.mu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	ep := newModelEpoch(p, from, part)
	x.tell("adopt %v", p.tp)
	p.epochs = append(p.epochs, ep)
	return ep
}

func (x *sessionMachine) revoke(t *rapid.T) {
	if !x.live() {
		t.Skip("not in the group")
	}
	mv := &modelMove{began: time.Now(), done: make(chan struct{})}
	revoked := make(map[string][]int32)
	for _, p := range x.parts {
		if ep := p.owned(); ep != nil && rapid.Bool().Draw(t, "revoked") {
			mv.eps = append(mv.eps, ep)
			revoked["t"] = append(revoked["t"], p.tp.partition)
		}
	}
	x.drainAll(mv.eps, x.cfg.DrainTimeout*8/10)
	x.moving = mv
	s := x.s
	go func() {
		s.onRevoked(context.Background(), s.cl, revoked)
		close(mv.done)
	}()
}

func (x *sessionMachine) drainAll(eps []*modelEpoch, soft time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, ep := range eps {
		ep.softAt = time.Now().Add(soft)
		x.drain(ep)
	}
}

func (x *sessionMachine) lost(t *rapid.T) {
	if !x.live() {
		t.Skip("not in the group")
	}
	ep := x.drawEpoch(t, active)
	x.mu.Lock()
	x.tell("lost")
	x.fence(ep)
	x.mu.Unlock()
	mv := &modelMove{done: make(chan struct{})}
	x.moving = mv
	s := x.s
	go func() {
		s.onLost(context.Background(), s.cl, map[string][]int32{"t": {ep.of.tp.partition}})
		close(mv.done)
	}()
	x.hopOn(t, 2*lostGrace+hop)
}

// back is a position that went back.
func (x *sessionMachine) back(t *rapid.T) {
	if !x.live() {
		t.Skip("no poll")
	}
	ep := x.drawEpoch(t, active)
	if len(ep.items) == 0 {
		t.Skip("nowhere to go back to")
	}
	to := rapid.IntRange(0, ep.at-1).Draw(t, "to")
	old := ep.fetchAt(to)
	oldest := ep.oldest()
	x.mu.Lock()
	if oldest != nil && oldest.rec.Offset < old[0].Offset {
		x.fenceAll() // the records between would be left out
		x.mu.Unlock()
		x.send(ep.of.tp, old)
		return
	}
	x.fence(ep)
	x.mu.Unlock()
	p := ep.of
	next := newModelEpoch(p, Unknown, nil)
	next.at = to
	x.mu.Lock()
	p.epochs = append(p.epochs, next)
	recs := next.fetch(1)
	x.deliver(next, recs)
	x.mu.Unlock()
	x.send(p.tp, recs)
	x.s.mu.Lock()
	next.part = x.s.parts[p.tp]
	x.s.mu.Unlock()
}

// faults sets how the broker answers to commits.
func (x *sessionMachine) faults(t *rapid.T) {
	b := x.broker
	x.mu.Lock()
	defer x.mu.Unlock()
	b.fault = rapid.SampledFrom([]*kerr.Error{nil, nil, kerr.UnknownServerError, kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID}).Draw(t, "fault")
	b.all, b.takes = rapid.Bool().Draw(t, "all"), rapid.Bool().Draw(t, "takes")
	b.delay = time.Duration(rapid.SampledFrom([]int{0, 0, 1, 6}).Draw(t, "delay")) * hop
	b.ok = time.Time{}
	if b.fault == nil && b.delay <= hop {
		b.ok = time.Now()
	}
}

// shutDown ends the process in order, and starts another one.
func (x *sessionMachine) shutDown(t *rapid.T) {
	if x.moving != nil {
		t.Skip("in a rebalance")
	}
	x.close(t, rapid.IntRange(0, 60).Draw(t, "hops before calls end"))
	x.run(t)
}

func (x *sessionMachine) close(t *rapid.T, hops int) (err error) {
	for _, p := range x.parts {
		if ep := p.owned(); ep != nil {
			x.ending = append(x.ending, ep)
		}
	}
	x.drainAll(x.ending, x.cfg.ShutdownTimeout*7/10)
	fatal := x.fatal
	x.stop()
	for waited := 0; ; waited++ {
		x.check(t)
		if waited >= hops && len(x.calls) > 0 {
			c := x.calls[0]
			x.endCall(c, plan{of: make([]told, len(c.items))})
			continue
		}
		if len(x.ended) > 0 {
			break
		}
		if waited > 1000 {
			t.Fatal("Run does not return")
		}
		x.hopOn(t, hop)
	}
	if err = <-x.ended; err != nil && !errors.Is(err, ErrShutdownTimeout) && !errors.Is(err, errModel) {
		t.Fatalf("Run: %v", err)
	}
	if fatal && !errors.Is(err, errModel) {
		t.Fatalf("a handler said Fatal, and Run: %v", err)
	}
	if err == nil && x.unsaved {
		t.Fatal("Run says that all is well, and not all that is done was committed")
	}
	x.ending, x.unsaved = nil, false
	for len(x.calls) > 0 { // with the process
		c := x.calls[0]
		x.endCall(c, plan{of: make([]told, len(c.items))})
		synctest.Wait()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range x.parts {
		p.memory = make(map[int64]int)
	}
	return err
}

// finish lets everything come to its end.
func (x *sessionMachine) finish(t *rapid.T) {
	x.mu.Lock()
	x.broker.fault, x.broker.delay = nil, 0
	x.mu.Unlock()
	for n := 0; !x.allDone(t); n++ {
		if n > 2000 {
			for _, p := range x.parts {
				t.Logf("%v: committed %d, the note %q", p.tp, p.committed, p.note)
				if ep := p.owned(); ep != nil {
					next, _ := ep.watermark()
					t.Logf("state %d, at %d of %d, paused %v, done to %d, committed %d", ep.state, ep.at, len(p.log), ep.paused, next, ep.committed)
				}
			}
			t.Fatalf("it does not come to an end: %d calls, live %v", len(x.calls), x.live())
		}
		x.check(t)
	}
	if err := x.close(t, 0); err != nil {
		t.Fatalf("Run: %v", err)
	}
	for _, p := range x.parts {
		for _, r := range p.log {
			if !r.control && !p.ended[r.offset] {
				t.Fatalf("%v: %d was left out", p.tp, r.offset)
			}
		}
	}
}

// allDone does one thing that is left to do; true if there is none.
func (x *sessionMachine) allDone(t *rapid.T) bool {
	for _, c := range x.calls {
		x.endCall(c, plan{of: make([]told, len(c.items))})
		return false
	}
	if len(x.ended) > 0 { // by Fatal
		_ = x.close(t, 0)
		x.run(t)
		return false
	}
	if !x.live() {
		x.hopOn(t, hop)
		return false
	}
	for _, p := range x.parts {
		switch ep := p.owned(); {
		case ep == nil:
			x.joinWith(t, []*modelPart{p}, map[string][]int32{"t": {p.tp.partition}})
			return false
		case ep.at < len(p.log) && !ep.paused:
			x.fetched(ep, len(p.log))
			return false
		case ep.at < len(p.log) || len(p.log) > 0 && p.committed != p.log[len(p.log)-1].offset+1 || p.note != "":
			x.hopOn(t, hop)
			return false
		}
	}
	return true
}
