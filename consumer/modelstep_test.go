package consumer

import (
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// told is what a handler says of one record.
type told uint8

const (
	toldDone told = iota
	toldFailed
	toldPoison
	toldUnavailable
	toldUntried
)

// plan is how a handler call ends, and what that means for each record.
type plan struct {
	err     error
	panics  bool
	of      []told
	isolate int // one of the first so many is bad for good: each is to be tried alone
	after   time.Duration
	ends    bool // by Fatal or Fenced: nothing is done any more
	fatal   bool
}

// wait is the back-off after n failures in a row.
func (m *model) wait(n int, after time.Duration) time.Duration {
	d := float64(m.cfg.Retry.Initial) * math.Pow(2, float64(n-1))
	return max(time.Duration(min(d, float64(m.cfg.Retry.Max))), after)
}

// settle takes the end of a handler call. It is told before the call ends.
func (m *model) settle(c *modelCall, p plan) {
	ep := c.ep
	m.fatal = m.fatal || p.fatal
	if ep.state == fenced {
		m.drop(c)
		if p.fatal {
			m.aborts++
			m.fenceAll()
		}
		return
	}
	if p.ends {
		m.drop(c)
		m.aborts++
		m.fenceAll()
		return
	}
	asked := ep.state == draining && !c.inDrain
	if !ep.cancelled && !asked && p.of[0] == toldUntried {
		p.of[0] = toldFailed
	}
	m.tell("settle %v/%d %v", ep.of.tp, c.items[0].rec.Offset, p.err)
	failures, after := 0, p.after
	var done []*modelItem
	c.alone = make(map[*modelItem]bool)
	down := false
	for i, it := range c.items {
		of := p.of[i]
		if ep.cancelled && of != toldDone {
			of = toldUntried
		}
		switch of {
		case toldDone:
			done = append(done, it)
			continue
		case toldFailed, toldPoison:
			if i < p.isolate && of == toldPoison {
				it.isolated = true
				break
			}
			it.attempts++
			ep.of.remember(it, m.cfg.TransactionalID != "")
			if of == toldPoison || it.attempts >= m.cfg.Retry.Attempts {
				c.poison = append(c.poison, it)
				continue
			}
			failures = max(failures, it.attempts)
		case toldUnavailable:
			down = true
		case toldUntried:
			continue
		}
		c.alone[it] = true
	}
	if down {
		c.lane.down++
		failures = max(failures, c.lane.down)
	}
	if len(done) > 0 {
		c.lane.down = 0
	}
	if failures > 0 {
		c.wait = m.wait(failures, after)
	}
	m.ack(c, done)
	m.bury(c)
}

// remember keeps attempts in a transaction, which may be aborted after the record was done.
func (p *modelPart) remember(it *modelItem, transaction bool) {
	if transaction {
		p.memory[it.rec.Offset] = it.attempts
	}
}

func (m *model) ack(c *modelCall, done []*modelItem) {
	ep := c.ep
	if ep.state == fenced || len(done) == 0 {
		return
	}
	before, _ := ep.watermark()
	for _, it := range done {
		it.done, it.call = true, nil
		ep.of.ended[it.rec.Offset] = true
		ep.high = max(ep.high, it.rec.Offset+1)
		c.lane.items = slices.DeleteFunc(c.lane.items, func(other *modelItem) bool { return other == it })
	}
	if after, _ := ep.watermark(); after > before && m.cfg.CommitEachBatch {
		c.lane.held = after
	}
	if ep.pending() <= ep.resumeAt {
		ep.paused = false
	}
}

// bury settles what is poison by the policy; dead letters wait for their answers.
func (m *model) bury(c *modelCall) {
	for len(c.poison) > 0 {
		switch m.cfg.Poison.policy() {
		case PoisonDeadLetter:
			if !c.ep.cancelled && c.ep.state != fenced {
				return
			}
			m.finish(c, true)
			return
		case PoisonStop:
			m.stops++
			m.finish(c, true)
			return
		}
		m.putAside(c)
	}
	m.finish(c, false)
}

func (m *model) putAside(c *modelCall) {
	c.poison[0].aside = true
	m.ack(c, c.poison[:1])
	c.poison, c.tries = c.poison[1:], 0
}

// lettered takes the answer to the dead letter of the first poison record of a call.
func (m *model) lettered(c *modelCall, ok bool) {
	if ok {
		m.putAside(c)
		m.bury(c)
		return
	}
	if c.tries++; c.tries >= m.cfg.Retry.Attempts {
		m.stops++
		m.finish(c, true)
	}
}

// finish gives back what of a batch is not done.
func (m *model) finish(c *modelCall, blocked bool) {
	m.drop(c)
	if c.ep.state == fenced {
		return
	}
	lane, now := c.lane, time.Now()
	rest := false
	for _, it := range c.items {
		if it.done {
			continue
		}
		buried := slices.Contains(c.poison, it)
		if !lane.ordered && (c.alone[it] || blocked && (buried || it.attempts > 0)) {
			own := &modelLane{ep: c.ep, ordered: true, own: true, items: []*modelItem{it}, blocked: blocked, notBefore: now.Add(c.wait), touched: now}
			lane.items = slices.DeleteFunc(lane.items, func(other *modelItem) bool { return other == it })
			it.lane = own
			c.ep.own = append(c.ep.own, own)
			continue
		}
		rest = true
	}
	if rest && lane.ordered {
		lane.blocked = blocked
		lane.notBefore = now.Add(c.wait)
	}
	lane.forget()
	m.checkDrained(c.ep)
}

// forget is what becomes of a lane of a key that has nothing more to do.
func (l *modelLane) forget() {
	if len(l.items) == 0 && len(l.busy) == 0 && l.held == 0 && l.key != "" {
		l.down = 0
	}
}

// drop ends a call: its worker is free.
func (m *model) drop(c *modelCall) {
	m.calls = slices.DeleteFunc(m.calls, func(other *modelCall) bool { return other == c })
	c.lane.busy = slices.DeleteFunc(c.lane.busy, func(other *modelCall) bool { return other == c })
	c.lane.touched = time.Now()
	for _, it := range c.items {
		it.call = nil
	}
}

// deliver takes records that were polled.
func (m *model) deliver(ep *modelEpoch, recs []*kgo.Record) {
	now := time.Now()
	full := ep.pending() >= m.cfg.MaxInFlight
	if ep.from == Unknown {
		ep.from = recs[0].Offset
	}
	for _, r := range recs {
		it := &modelItem{ep: ep, rec: r, came: now, attempts: ep.of.memory[r.Offset]}
		ep.items = append(ep.items, it)
		if r.Attrs.IsControl() {
			it.done = true
			continue
		}
		it.lane = ep.laneOf(m.cfg.Order, r.Key)
		it.lane.items, it.lane.touched = append(it.lane.items, it), now
		m.items[r] = it
	}
	if full && !ep.paused {
		ep.paused, ep.resumeAt = true, ep.pending()/2
	}
}

// fence ends an epoch, and keeps of its attempts what it did not bring to an end.
func (m *model) fence(ep *modelEpoch) {
	if ep.state == fenced {
		return
	}
	m.tell("fence %v", ep.of.tp)
	if m.cfg.TransactionalID == "" {
		maps.DeleteFunc(ep.of.memory, func(offset int64, _ int) bool { return offset <= ep.newest() })
		for _, it := range ep.items {
			if !it.done && it.attempts > 0 {
				ep.of.memory[it.rec.Offset] = it.attempts
			}
		}
	}
	if !ep.drained {
		ep.drained, ep.drainedAt = true, time.Now()
	}
	ep.state, ep.cancelled, ep.paused = fenced, true, false
	for _, c := range slices.Clone(m.calls) {
		if c.ep == ep && len(c.poison) > 0 {
			m.drop(c) // it waits for a dead letter, which its context ends
		}
	}
}

func (m *model) fenceAll() {
	for _, p := range m.parts {
		if ep := p.owned(); ep != nil {
			m.fence(ep)
		}
	}
}

func (m *model) drain(ep *modelEpoch) {
	if ep.state == active {
		m.tell("drain %v", ep.of.tp)
		ep.state = draining
		m.checkDrained(ep)
	}
}

// cutOff takes notice of drains whose time is over. It is called by whatever can
// follow from it, too.
func (m *model) cutOff() {
	now := time.Now()
	for _, p := range m.parts {
		ep := p.owned()
		if ep == nil || ep.state != draining || ep.cancelled || ep.part.ended() {
			continue
		}
		switch cancelled := ep.part.ctx.Err() != nil; {
		case cancelled && now.Before(ep.softAt): // it is being fenced; see checkEpoch
		case cancelled:
			m.cancel(ep)
		case now.After(ep.softAt) && !ep.drained:
			m.fail("a drain was not cut off")
		}
	}
}

// cancel is the end of a drain's time: what still runs is cancelled.
func (m *model) cancel(ep *modelEpoch) {
	ep.cancelled = true
	for _, c := range slices.Clone(m.calls) {
		if c.ep == ep && len(c.poison) > 0 {
			m.finish(c, true)
		}
	}
	m.checkDrained(ep)
}

// checkDrained notes when there is nothing left to wait for.
func (m *model) checkDrained(ep *modelEpoch) {
	if n, stuck := m.running(ep); ep.state != draining || ep.drained || n > stuck {
		return
	}
	if !m.gated(ep) && !ep.cancelled && slices.ContainsFunc(ep.allLanes(), m.hole) {
		return
	}
	ep.drained, ep.drainedAt = true, time.Now()
}

// hole tells whether a lane has something below what is done that can still be done.
func (m *model) hole(l *modelLane) bool {
	w := l.waiting()
	stuck := slices.ContainsFunc(l.busy, func(c *modelCall) bool { return c.stuck })
	return len(w) > 0 && w[0].rec.Offset < l.ep.high && !l.blocked && (!stuck || !l.ordered)
}

// stall: a call has run for longer than it may.
func (m *model) stall(c *modelCall) {
	c.stuck = true
	m.stops++
	m.checkDrained(c.ep)
}

// answered takes the end of a commit.
func (m *model) answered(ep *modelEpoch, offset int64, note string, ok bool) {
	if ok {
		ep.committed, ep.noted = max(ep.committed, offset), note
	}
	if ep.state == fenced {
		return
	}
	for _, l := range ep.allLanes() {
		if l.held <= offset {
			l.held = 0
			l.forget()
		}
	}
}

// buries takes notice that a record is being put aside whose attempts were used up
// before it came: no handler call leads to it. It is late if the epoch is just being
// fenced.
func (m *model) buries(tp topicPartition, offset int64) (c *modelCall, late bool) {
	m.cutOff()
	for _, p := range m.parts {
		if p.tp != tp {
			continue
		}
		for _, ep := range p.epochs {
			it := ep.item(offset)
			if ep.atRest || it == nil || it.done || it.call != nil || it.lane.blocked || it.attempts < m.cfg.Retry.Attempts {
				continue
			}
			if ep.state == fenced {
				late = true
				continue
			}
			c := &modelCall{ep: ep, lane: it.lane, items: []*modelItem{it}, began: time.Now(), inDrain: ep.state == draining, poison: []*modelItem{it}}
			m.judgeStart(c, c.began)
			it.call, it.handed = c, true
			it.lane.touched = c.began
			it.lane.busy = append(it.lane.busy, c)
			m.calls = append(m.calls, c)
			return c, false
		}
	}
	return nil, late
}

func (ep *modelEpoch) item(offset int64) *modelItem {
	for _, it := range ep.items {
		if it.rec.Offset == offset && it.lane != nil {
			return it
		}
	}
	return nil
}

// idle is a lane that nothing keeps from being handled; nil if there is none.
func (m *model) idle(ep *modelEpoch) *modelLane {
	if ep.state == fenced || ep.cancelled || m.gated(ep) || len(m.calls) >= m.cfg.Concurrency {
		return nil
	}
	now := time.Now()
	for _, l := range ep.allLanes() {
		w := l.waiting()
		switch {
		case len(w) == 0, l.blocked, l.ordered && len(l.busy) > 0, now.Before(l.notBefore), !m.inSpan(w[0]):
		case ep.state == draining && w[0].rec.Offset >= ep.high, ep.state == active && l.held > 0:
		case ep.state == active && !l.own && len(w) < m.cfg.BatchSize && w[0].attempts == 0 && now.Sub(l.touched) < m.cfg.BatchWait:
		default:
			return l
		}
	}
	return nil
}

// snapshot is what a commit should say now.
func (m *model) snapshot(ep *modelEpoch) (offset int64, note string, ok bool) {
	if ep.state == fenced || m.cfg.TransactionalID != "" {
		return 0, "", false
	}
	note = ep.remembered()
	offset, passed := ep.watermark()
	if !passed {
		offset = ep.from
	}
	return offset, note, passed && offset > ep.committed || note != ep.noted && offset >= 0
}

var errModel = errors.New("no")
