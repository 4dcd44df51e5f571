package consumer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// model is what should be true of the partitions of one consumer, told as naively
// as possible: a table of records for each epoch, from which everything else is
// counted anew each time. Handler calls do not end by themselves; whoever drives
// the model ends them, and tells it how.
type model struct {
	cfg Config

	mu      sync.Mutex
	wrong   string
	parts   []*modelPart
	calls   []*modelCall // that hold a worker, in the order of their start
	items   map[*kgo.Record]*modelItem
	stops   int  // why the consumer had to stop
	aborts  int  // and why at once
	fatal   bool // a handler has said so
	watches bool // handlers look at Stopping
	over    chan struct{}
	trace   []string
}

// modelPart is a partition, its log and what the group has committed.
type modelPart struct {
	tp        topicPartition
	log       []modelRecord
	committed int64
	note      string
	memory    map[int64]int // failed attempts that this process knows of
	refused   map[int64]bool
	ended     map[int64]bool // came to an end in some epoch
	visible   map[int64]int  // outputs and dead letters that readers of committed records see
	skipped   map[int64]bool // there is none
	epochs    []*modelEpoch  // the newest is the last
}

type modelRecord struct {
	offset  int64
	key     []byte
	control bool
}

// modelEpoch is one assignment.
type modelEpoch struct {
	of        *modelPart
	part      *partition
	state     partState
	cancelled bool
	softAt    time.Time // when a drain cancels what still runs
	atRest    bool      // all that its fence has led to is over
	drained   bool
	drainedAt time.Time
	from      int64 // what it began with: the committed offset
	at        int   // index in the log of what comes next
	items     []*modelItem
	lanes     map[string]*modelLane
	own       []*modelLane
	paused    bool
	resumeAt  int
	high      int64
	committed int64 // offset that the broker took from this epoch
	noted     string
}

type modelLane struct {
	ep        *modelEpoch
	key       string
	ordered   bool
	own       bool
	items     []*modelItem // neither done nor moved to a lane of their own
	busy      []*modelCall
	notBefore time.Time
	blocked   bool
	held      int64
	down      int
	touched   time.Time // when something last came to it, began or ended
}

type modelItem struct {
	ep       *modelEpoch
	lane     *modelLane // nil for a control record
	rec      *kgo.Record
	came     time.Time
	handed   bool
	isolated bool
	attempts int
	done     bool
	aside    bool // skipped, or its dead letter was acknowledged
	call     *modelCall
}

// modelCall is a handler call, and the dead letters that follow from it.
type modelCall struct {
	ep      *modelEpoch
	lane    *modelLane
	items   []*modelItem
	began   time.Time
	inDrain bool
	stuck   bool
	back    chan plan
	out     *Outbox

	poison []*modelItem // being buried, the first of them now
	tries  int
	wait   time.Duration
	alone  map[*modelItem]bool
}

func newModel(cfg Config, partitions int) *model {
	m := &model{cfg: cfg, items: make(map[*kgo.Record]*modelItem), over: make(chan struct{})}
	for i := range partitions {
		m.parts = append(m.parts, &modelPart{
			tp: topicPartition{"t", int32(i)}, memory: map[int64]int{}, refused: map[int64]bool{}, ended: map[int64]bool{}, visible: map[int64]int{}, skipped: map[int64]bool{},
		})
	}
	return m
}

func newModelEpoch(p *modelPart, from int64, part *partition) *modelEpoch {
	ep := &modelEpoch{of: p, from: from, part: part, lanes: make(map[string]*modelLane)}
	ep.at, _ = slices.BinarySearchFunc(p.log, from, func(r modelRecord, offset int64) int { return int(r.offset - offset) })
	return ep
}

// tell notes what happens, for the message of a failure.
func (m *model) tell(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf("%v ", time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))+fmt.Sprintf(format, args...))
}

func (m *model) fail(format string, args ...any) {
	if m.wrong == "" {
		m.wrong = fmt.Sprintf(format, args...)
		m.wrong += "\n" + strings.Join(m.trace[max(0, len(m.trace)-60):], "\n")
	}
}

func (p *modelPart) epoch() *modelEpoch {
	if len(p.epochs) == 0 {
		return nil
	}
	return p.epochs[len(p.epochs)-1]
}

// owned is the epoch that is not fenced, if there is one.
func (p *modelPart) owned() *modelEpoch {
	if ep := p.epoch(); ep != nil && ep.state != fenced {
		return ep
	}
	return nil
}

// gated tells whether a call of an earlier epoch still runs.
func (m *model) gated(ep *modelEpoch) bool {
	for _, c := range m.calls {
		if c.ep.of == ep.of && c.ep != ep {
			return true
		}
	}
	return false
}

func (m *model) running(ep *modelEpoch) (n, stuck int) {
	for _, c := range m.calls {
		if c.ep == ep {
			n++
			if c.stuck {
				stuck++
			}
		}
	}
	return n, stuck
}

// watermark is the offset after the longest run of delivered records that are done.
func (ep *modelEpoch) watermark() (next int64, passed bool) {
	for _, it := range ep.items {
		if !it.done {
			break
		}
		next, passed = it.rec.Offset+1, true
	}
	return next, passed
}

func (ep *modelEpoch) oldest() *modelItem {
	for _, it := range ep.items {
		if !it.done {
			return it
		}
	}
	return nil
}

func (ep *modelEpoch) pending() int {
	n := 0
	for _, it := range ep.items {
		if !it.done {
			n++
		}
	}
	return n
}

func (ep *modelEpoch) newest() int64 {
	if len(ep.items) == 0 {
		return -1
	}
	return ep.items[len(ep.items)-1].rec.Offset
}

// remembered are the failed attempts that the next owner should know of.
func (ep *modelEpoch) remembered() string {
	known := make(map[int64]int)
	for offset, n := range ep.of.memory {
		if offset > ep.newest() {
			known[offset] = n
		}
	}
	for _, it := range ep.items {
		if !it.done && it.attempts > 0 {
			known[it.rec.Offset] = it.attempts
		}
	}
	if len(known) == 0 {
		return ""
	}
	offsets := make([]int64, 0, len(known))
	for offset := range known {
		offsets = append(offsets, offset)
	}
	slices.Sort(offsets)
	var b strings.Builder
	b.WriteString("ksim-attempts/1")
	for _, offset := range offsets {
		fmt.Fprintf(&b, " %d:%d", offset, known[offset])
	}
	return b.String()
}

func (l *modelLane) waiting() []*modelItem {
	var out []*modelItem
	for _, it := range l.items {
		if it.call == nil {
			out = append(out, it)
		}
	}
	return out
}

func (ep *modelEpoch) allLanes() []*modelLane {
	out := slices.Clone(ep.own)
	for _, l := range ep.lanes {
		out = append(out, l)
	}
	return out
}

func (ep *modelEpoch) laneOf(order Order, key []byte) *modelLane {
	name, ordered := "", true
	switch {
	case order == Unordered, order == OrderKey && key == nil:
		ordered = false
	case order == OrderKey:
		name = "key " + string(key)
	}
	if ep.lanes[name] == nil {
		ep.lanes[name] = &modelLane{ep: ep, key: name, ordered: ordered}
	}
	return ep.lanes[name]
}

// inSpan tells whether a record is near enough to the oldest that is not done.
func (m *model) inSpan(it *modelItem) bool {
	oldest := it.ep.oldest()
	return it.rec.Offset-oldest.rec.Offset < int64(m.cfg.MaxSpan)
}

// handle is the handler: it checks that the call may be, and waits for its end.
func (m *model) handle(ctx context.Context, b Batch) error { return m.handleTx(ctx, b, nil) }

func (m *model) handleTx(ctx context.Context, b Batch, out *Outbox) error {
	if m.watches {
		_ = Stopping(ctx)
	}
	c := m.begin(ctx, b)
	if c == nil {
		return nil // told already
	}
	c.out = out
	if out != nil {
		for i, it := range c.items {
			out.Add(i, &kgo.Record{Topic: "out", Partition: b.Partition, Offset: it.rec.Offset})
		}
	}
	select {
	case p := <-c.back:
		if p.panics {
			panic("boom")
		}
		return p.err
	case <-m.over:
		return nil
	}
}

// begin takes the start of a handler call, and checks all that must be true of it.
func (m *model) begin(ctx context.Context, b Batch) *modelCall {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cutOff()
	now := time.Now()
	first := m.items[b.Records[0]]
	if first == nil {
		m.fail("a record that was never delivered: %d", b.Records[0].Offset)
		return nil
	}
	ep, lane := first.ep, first.lane
	c := &modelCall{ep: ep, lane: lane, began: now, inDrain: ep.state == draining, back: make(chan plan)}
	for _, r := range b.Records {
		it := m.items[r]
		if it == nil || it.done || it.call != nil || it.lane != lane {
			m.fail("%d does not belong in a batch with %d: %+v", r.Offset, first.rec.Offset, it)
			return nil
		}
		c.items = append(c.items, it)
	}
	m.judgeStart(c, now)
	if got := Attempt(ctx); got != first.attempts+1 {
		m.fail("attempt %d at %d is told as %d", first.attempts+1, first.rec.Offset, got)
	}
	for _, it := range c.items {
		it.call, it.handed = c, true
	}
	lane.touched = now
	lane.busy = append(lane.busy, c)
	m.calls = append(m.calls, c)
	m.tell("begin %v/%d n=%d", c.ep.of.tp, first.rec.Offset, len(c.items))
	return c
}

func (m *model) judgeStart(c *modelCall, now time.Time) {
	ep, lane, n := c.ep, c.lane, len(c.items)
	first, last := c.items[0], c.items[n-1]
	at := fmt.Sprintf("%s/%d@%d", ep.of.tp.topic, ep.of.tp.partition, first.rec.Offset)
	waiting := lane.waiting()
	switch {
	case ep.state == fenced && !ep.atRest: // it began just before
		return
	case ep.state == fenced:
		m.fail("%s is handled after its epoch was fenced", at)
	case ep.of.epoch() != ep:
		m.fail("%s is handled for an old epoch", at)
	case m.gated(ep):
		m.fail("%s is handled beside a call for an earlier epoch", at)
	case lane.ordered && len(lane.busy) > 0:
		m.fail("%s is handled beside another batch of its lane", at)
	case len(m.calls) >= m.cfg.Concurrency:
		m.fail("%s is one call too many", at)
	case n > m.cfg.BatchSize:
		m.fail("a batch of %d", n)
	case lane.blocked:
		m.fail("%s is handled, though the consumer should stop before it", at)
	case now.Before(lane.notBefore):
		m.fail("%s is handled %v too early", at, lane.notBefore.Sub(now))
	case lane.held > 0 && ep.state == active:
		m.fail("%s is handled, though a commit of %d was not answered", at, lane.held)
	case ep.state == draining && last.rec.Offset >= ep.high:
		m.fail("%s to %d is begun in a drain, though nothing above is done", at, last.rec.Offset)
	case !m.inSpan(last):
		m.fail("%d is handled, with %d not done", last.rec.Offset, ep.oldest().rec.Offset)
	case ep.state == active && lane.ordered && len(waiting) < m.cfg.BatchSize && !first.handed && first.attempts == 0 && now.Sub(first.came) < m.cfg.BatchWait:
		m.fail("%s does not wait for more: %v", at, now.Sub(first.came))
	}
	for i, it := range c.items {
		switch {
		case it.attempts >= m.cfg.Retry.Attempts && c.poison == nil:
			m.fail("attempt %d at %d", it.attempts+1, it.rec.Offset)
		case i > 0 && it.rec.Offset <= c.items[i-1].rec.Offset:
			m.fail("a batch has %d after %d", it.rec.Offset, c.items[i-1].rec.Offset)
		case n > 1 && it.isolated && lane.ordered:
			m.fail("%d is to be isolated, and comes with others", it.rec.Offset)
		case n > 1 && it.attempts > 0 && it.attempts >= m.cfg.Retry.Attempts-1:
			m.fail("%d is on its last attempt, and comes with others", it.rec.Offset)
		case lane.ordered && waiting[i] != it:
			m.fail("%d is handled before %d", it.rec.Offset, waiting[i].rec.Offset)
		}
	}
}
