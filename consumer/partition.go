package consumer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type topicPartition struct {
	topic     string
	partition int32
}

type partState uint8

const (
	active   partState = iota
	draining           // finishes what was begun, starts nothing new
	fenced             // no longer ours: starts, acknowledges and commits nothing, for ever
)

var errRewound = errors.New("consumer: the broker sent older records again")

// owner is what a partition needs of the session that it was assigned in.
type owner interface {
	pause(tp topicPartition)
	resume(tp topicPartition)
	// commitSoon: a batch has moved a watermark.
	commitSoon()
	// memberOf tells whether this client is still the member it was.
	memberOf(member string) bool
	// stop ends Run gracefully, with err; abort without draining or committing;
	// rejoin ends the session like abort, and another one takes its place.
	stop(err error)
	abort(err error)
	rejoin(err error)
	// letter produces a dead letter and waits for its acknowledgement.
	letter(ctx context.Context, r *kgo.Record) error
	// emit produces the outputs of a record that is done, and settled tells that so many
	// records are; both matter only in a transaction.
	emit(p *partition, offset int64, outputs []*kgo.Record)
	settled(n int)
}

// partition is one assignment of a partition: an epoch. It never comes back
// from fenced; if the partition is assigned again, that is another epoch. One
// mutex covers what is delivered, acknowledged, fenced and put in a commit.
type partition struct {
	topicPartition
	member string // the member id that it was assigned to
	cfg    *Config
	owner  owner
	pool   *pool
	log    *attemptLog
	ctx    context.Context // ends when the epoch does, or when draining takes too long
	cancel context.CancelCauseFunc
	// stopping is closed when draining starts, drained when it has nothing left
	// to do, idle when the epoch is fenced and its last handler call has returned.
	stopping, drained, idle chan struct{}
	watched                 atomic.Bool // its handlers watch stopping

	mu        sync.Mutex
	state     partState
	gated     bool // an earlier epoch still has a handler call running
	track     tracker
	place     place
	pending   int // delivered and not done
	running   int // batches being handled
	stuck     int // of them, those that have stalled
	paused    bool
	resumeAt  int             // goes on when so few are pending
	committed int64           // last offset that the broker took; 0 if none
	known     map[int64]trial // attempts at records before they were delivered
	failures  int             // records delivered and not done at which attempts failed
	noted     string          // what the committed offset says of attempts
	main      *lane           // all records (OrderPartition), or those without an order
	keys      map[string]*lane
	retries   map[*lane]struct{}
	held      []*lane // wait for a commit
	ahead     []*lane // wait for the oldest record, see Config.MaxSpan
}

func newPartition(tp topicPartition, member string, cfg *Config, o owner, p *pool, log *attemptLog) *partition {
	ctx, cancel := context.WithCancelCause(context.Background())
	part := &partition{
		topicPartition: tp, member: member, cfg: cfg, owner: o, pool: p, log: log,
		ctx: ctx, cancel: cancel,
		stopping: make(chan struct{}), drained: make(chan struct{}), idle: make(chan struct{}),
		known:   log.take(tp),
		place:   newPlace(),
		keys:    make(map[string]*lane),
		retries: make(map[*lane]struct{}),
	}
	part.main = &lane{part: part, kind: laneFree}
	if cfg.Order == OrderPartition {
		part.main.kind = lanePartition
	}
	return part
}

// gate holds back this epoch until the last handler call of an earlier one has
// returned, so that no record is handled twice at once by this process.
func (p *partition) gate(earlier <-chan struct{}) {
	select {
	case <-earlier:
		return
	default:
	}
	p.mu.Lock()
	p.gated = true
	p.mu.Unlock()
	go func() {
		<-earlier
		p.mu.Lock()
		defer p.mu.Unlock()
		p.gated = false
		if p.state == fenced {
			close(p.idle) // later epochs waited for the earlier one through this one
			return
		}
		p.readyAll()
	}()
}

// deliver queues records just polled; it never blocks. It fails if they are
// older than records delivered before: the log was truncated, or the position
// reset, and this epoch can say nothing about them.
func (p *partition) deliver(recs []*kgo.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == fenced || len(recs) == 0 {
		return nil
	}
	if !p.track.newer(recs[0].Offset) {
		return errRewound
	}
	if p.place.begin == Unknown {
		p.place.begin = recs[0].Offset
	}
	before := p.pending
	touched := p.enqueue(recs)
	// Pausing throws away the fetch that is under way. So records that come to an empty
	// queue never pause it, as many as they are: a fast handler is done with them before
	// the next ones come.
	full := before >= p.cfg.MaxInFlight
	for _, l := range touched {
		p.ready(l)
	}
	if full {
		p.setPaused(true)
	}
	return nil
}

// enqueue puts records in their lanes, and returns the lanes that may start now: they
// had none, or have a full batch.
func (p *partition) enqueue(recs []*kgo.Record) (touched []*lane) {
	now := time.Now()
	entries := make([]entry, len(recs)) // one allocation for all
	if p.cfg.Order != OrderKey {
		p.main.items.room(len(recs))
	}
	for i, r := range recs {
		e := &entries[i]
		e.rec = r
		if r.Attrs.IsControl() {
			// The end of a transaction. Passing it lets the commit, and so the lag,
			// reach the end of the log.
			e.done = true
			continue
		}
		p.pending++
		if p.known != nil {
			p.recall(e)
		}
		l := p.laneOf(r)
		switch l.items.len() {
		case 0:
			l.since = now
			touched = append(touched, l)
		case p.cfg.BatchSize - 1: // it need not wait any more, see Config.BatchWait
			touched = append(touched, l)
		}
		l.items.push(e)
	}
	p.track.deliver(delivery{entries, now.UnixNano()})
	return touched
}

// recall takes what is known of attempts at a record before it was delivered. From
// here on its entry knows; in a transaction, which may bring the record again, both do.
func (p *partition) recall(e *entry) {
	tr, ok := p.known[e.rec.Offset]
	if !ok {
		return
	}
	e.trial = &tr
	if tr.attempts > 0 {
		p.failures++
	}
	if !p.cfg.transactional() {
		delete(p.known, e.rec.Offset)
	}
}

// openBelow tells whether a record below offset was delivered and is not done.
func (p *partition) openBelow(offset int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	oldest, ok := p.track.oldest()
	return ok && oldest < offset
}

func (p *partition) laneOf(r *kgo.Record) *lane {
	if p.cfg.Order != OrderKey || r.Key == nil {
		return p.main
	}
	l := p.keys[string(r.Key)]
	if l == nil {
		l = &lane{part: p, kind: laneKey, key: string(r.Key)}
		p.keys[l.key] = l
	}
	return l
}

// setPaused is called under the mutex, so that the client and the flag agree.
func (p *partition) setPaused(paused bool) {
	if p.paused == paused {
		return
	}
	p.paused = paused
	if paused {
		p.resumeAt = p.pending / 2
		p.owner.pause(p.topicPartition)
		return
	}
	p.owner.resume(p.topicPartition)
}

func (p *partition) startable(l *lane) bool {
	switch {
	case l.items.len() == 0, l.waiting, l.ordered() && l.busy:
		return false
	case p.gated, p.state == fenced, p.ctx.Err() != nil:
		return false
	case !p.inSpan(l.items.at(0)):
		if !l.ahead {
			l.ahead = true
			p.ahead = append(p.ahead, l)
		}
		return false
	case p.state == draining:
		return p.hole(l)
	}
	return l.held == 0
}

// inSpan tells whether a record is near enough to the oldest that is not done.
func (p *partition) inSpan(e *entry) bool {
	oldest, ok := p.track.oldest()
	return !ok || e.rec.Offset-oldest < int64(p.cfg.MaxSpan)
}

// hole tells whether a lane has records below one that is done. Draining does
// those too: left undone, they would make the next owner repeat all above them.
func (p *partition) hole(l *lane) bool {
	return l.items.len() > 0 && l.items.at(0).rec.Offset < p.track.high && p.ctx.Err() == nil
}

// ready queues a lane for the workers if it may start.
func (p *partition) ready(l *lane) {
	if l.queued || !p.startable(l) {
		return
	}
	if p.cfg.BatchWait > 0 && p.state == active && l.kind != laneRetry && l.items.len() < p.cfg.BatchSize && l.items.at(0).attempts() == 0 {
		if left := p.cfg.BatchWait - time.Since(l.since); left > 0 {
			if l.timer == nil {
				p.after(l, left)
			}
			return
		}
	}
	l.queued = true
	p.pool.push(l, l.returning)
}

// after makes a lane ready after d.
func (p *partition) after(l *lane, d time.Duration) {
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if l.timer != timer { // stopped too late
			return
		}
		l.timer, l.waiting = nil, false
		p.ready(l)
	})
	l.timer = timer
}

func (p *partition) eachLane(fn func(*lane)) {
	fn(p.main)
	for _, l := range p.keys {
		fn(l)
	}
	for l := range p.retries {
		fn(l)
	}
}

func (p *partition) readyAll() { p.eachLane(p.ready) }

// task is a batch on its way through a handler.
type task struct {
	part     *partition
	lane     *lane
	entries  []*entry
	stopping <-chan struct{}
	out      *Outbox // nil outside of a transaction

	over, stuck bool // it has ended; it has stalled
}

// take starts the next batch of a lane; nil if it may not start now.
func (p *partition) take(l *lane) *task {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.queued = false
	if !p.startable(l) || !p.owner.memberOf(p.member) {
		return nil
	}
	t := &task{part: p, lane: l, stopping: p.stopping}
	if p.state == draining {
		t.stopping = nil
	}
	n := l.size(p.cfg.BatchSize, p.cfg.Retry.Attempts)
	for n > 1 && (!p.inSpan(l.items.at(n-1)) || p.state == draining && l.items.at(n-1).rec.Offset >= p.track.high) {
		n--
	}
	t.entries = make([]*entry, n)
	for i := range t.entries {
		t.entries[i] = l.items.pop()
	}
	if l.timer != nil { // it waited to fill up
		l.timer.Stop()
		l.timer = nil
	}
	l.busy = l.ordered()
	p.running++
	if l.items.len() > 0 {
		l.since = time.Now()
		p.ready(l)
	}
	return t
}

// complete ends a batch of which everything is done: ack and finish in one.
func (p *partition) complete(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked(t, t.entries)
	t.lane.down = 0
	p.finished(t, rest{})
}

// ack marks records as done.
func (p *partition) ack(t *task, done []*entry) {
	if len(done) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked(t, done)
}

// acked is ack under the mutex. After the epoch has been fenced, what is done is no
// longer for it to say.
func (p *partition) acked(t *task, done []*entry) {
	if p.state == fenced {
		return
	}
	for _, e := range done {
		if e.attempts() > 0 {
			p.failures--
		}
	}
	moved := p.track.done(done...)
	p.pending -= len(done)
	p.owner.settled(len(done))
	if t.lane.single > 0 {
		t.lane.single = max(0, t.lane.single-len(done))
	}
	if moved && p.cfg.CommitEachBatch {
		if t.lane.held == 0 {
			p.held = append(p.held, t.lane)
		}
		t.lane.held = p.track.next
		p.owner.commitSoon()
	}
	if p.paused && p.pending <= p.resumeAt {
		p.setPaused(false)
	}
	if p.state == draining {
		p.readyAll() // this may have left holes below it
	}
	if moved {
		ahead := p.ahead
		p.ahead = nil
		for _, l := range ahead {
			l.ahead = false
			p.ready(l)
		}
	}
}

// finish ends a batch: what of it is not done goes back to its lane.
func (p *partition) finish(t *task, r rest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished(t, r)
}

func (p *partition) finished(t *task, r rest) {
	p.settled(t)
	if p.state == fenced {
		if p.running == 0 {
			close(p.idle)
		}
		return
	}
	l := t.lane
	l.busy = false
	if l.kind != laneFree { // there, each goes its own way
		l.single = max(l.single, r.single)
	}
	back := false
	for _, e := range slices.Backward(t.entries) {
		switch {
		case e.done:
		case l.kind == laneFree && (e.alone || r.blocked && e.attempts() > 0):
			own := &lane{part: p, kind: laneRetry}
			own.items.push(e)
			p.retries[own] = struct{}{}
			p.hold(own, r)
		default:
			l.items.putBack(e)
			back = true
		}
	}
	l.returning = true
	if back && l.kind != laneFree {
		p.hold(l, r)
	}
	p.tidy(l)
	p.ready(l)
	l.returning = false
	p.checkDrained()
}

// hold makes a lane wait before its next batch, as the last one's rest asks for.
func (p *partition) hold(l *lane, r rest) {
	switch {
	case r.blocked:
		l.waiting = true
	case r.wait > 0:
		l.waiting = true
		p.after(l, r.wait)
	default:
		p.ready(l)
	}
}

// tidy forgets a lane that has nothing more to do.
func (p *partition) tidy(l *lane) {
	if l.items.len() > 0 || l.busy {
		return
	}
	switch l.kind {
	case laneRetry:
		delete(p.retries, l)
	case laneKey:
		if l.held == 0 {
			delete(p.keys, l.key)
		}
	}
}
