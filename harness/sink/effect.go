package sink

import (
	"context"
	"net/http"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

// fate is how an attempt at one effect ended, and what the client is told.
type fate struct {
	status     int           // HTTP status of a single post; 0: no answer
	word       string        // status in the body
	err        string        // error in the body
	retryAfter time.Duration // < 0: no such header
	end        ending
}

// ending is what becomes of the connection.
type ending int

const (
	answer   ending = iota
	hangUp          // close without an answer
	resetNow        // close with a TCP reset
	garbled         // answer with what is not HTTP, and close
	cutShort        // close in the middle of an answer with status 200
)

var (
	applied   = fate{status: http.StatusOK, word: "applied", retryAfter: -1}
	duplicate = fate{status: http.StatusOK, word: "duplicate", retryAfter: -1}
	poison    = fate{status: http.StatusUnprocessableEntity, word: "poison", err: "poison", retryAfter: -1}
	unknown   = fate{status: http.StatusBadRequest, word: "unknown", err: "this record was never produced", retryAfter: -1}
	untried   = fate{word: "untried", err: "an effect before this one failed", retryAfter: -1}
	dropped   = fate{end: hangUp}
	reset     = fate{end: resetNow}
	garbage   = fate{end: garbled}
	truncated = fate{end: cutShort}
)

func (f fate) ok() bool { return f.status == http.StatusOK }

// attempt is one effect of one incarnation on its way through the sink.
type attempt struct {
	sink    *Sink
	inc     *incarnation
	entry   workload.Entry
	batch   bool // came in one
	number  int
	started int64 // Seq of its EffectStarted
	alone   bool  // has the gate for itself
	inside  bool  // has passed the gate
	begun   time.Time
}

// effect takes one effect through the sink. Its ctx is that of the request.
func (s *Sink) effect(ctx context.Context, inc *incarnation, e workload.Entry, batch bool) fate {
	if !inc.enlist() {
		s.drop(inc, e, 0, 0, "from a dead incarnation")
		return dropped
	}
	defer inc.active.Done()
	a := &attempt{sink: s, inc: inc, entry: e, batch: batch, begun: time.Now()}
	defer a.leave()
	chosen, ok := a.enter(ctx)
	if !ok {
		s.drop(inc, e, 0, 0, "at the gate")
		return dropped
	}
	if !s.cfg.Quiet {
		ev := s.event(history.EffectStarted, inc, e)
		a.number = inc.attempts.add(e.ID)
		ev.Attempt = a.number
		if a.alone {
			ev.Note = history.NoteAlone
		}
		a.started = s.append(ev)
	}
	for i, armed := range chosen {
		f, over := a.do(ctx, armed)
		if over {
			s.rules.giveBack(chosen[i+1:])
			return f
		}
	}
	return a.settle(ctx, nil)
}

// enter passes the gate of the member and chooses the rules that act.
func (a *attempt) enter(ctx context.Context) (chosen []*Armed, ok bool) {
	alone, asked, passed := a.inc.gate.enter(a.until(ctx), func() (hold bool) {
		chosen, hold = a.sink.rules.choose(a.inc.name, a.entry, a.batch)
		return hold
	})
	if !passed {
		if asked {
			a.sink.rules.giveBack(chosen)
		}
		return nil, false
	}
	a.alone, a.inside = alone, true
	return chosen, true
}

func (a *attempt) leave() {
	if a.inside {
		a.inc.gate.leave(a.alone)
		a.inside, a.alone = false, false
	}
}

// until is what ends a wait at the gate.
func (a *attempt) until(ctx context.Context) stops {
	return stops{ctx.Done(), a.inc.ended, a.sink.closing}
}

// do lets one rule act. over means that the attempt has ended.
func (a *attempt) do(ctx context.Context, armed *Armed) (f fate, over bool) {
	switch act := armed.rule.Action.(type) {
	case Refuse:
		f = a.refuse(act)
		armed.act()
		return f, true
	case ResetBefore:
		a.refused("reset")
		armed.act()
		return reset, true
	case Garbage:
		a.refused("garbage")
		armed.act()
		return garbage, true
	case ResetAfter:
		f, _ = a.applyUntold(ctx, armed, &reset)
		return f, true
	case Truncate:
		f, _ = a.applyUntold(ctx, armed, &truncated)
		return f, true
	case Silence:
		return a.silence(ctx, armed, act), true
	case Delay:
		timer := time.NewTimer(act.For)
		defer timer.Stop()
		return a.wait(ctx, armed.act(), timer.C, nil)
	case Hold:
		return a.wait(ctx, armed.act(), nil, nil)
	case Hang:
		a.leave() // a hanging request holds nobody up
		if f, over := a.wait(ctx, armed.act(), nil, ctx.Done()); over {
			return f, true
		}
		if _, _, passed := a.inc.gate.enter(a.until(ctx), func() bool { return false }); !passed {
			return a.giveUp(ctx), true
		}
		a.inside = true
	}
	return fate{}, false
}

// wait waits for release or time. gone, where it matters, is the client's
// end. A client that is gone when the wait is over gets nothing applied: it has
// taken its timeout for a failure long ago, and tries again.
func (a *attempt) wait(ctx context.Context, release <-chan struct{}, elapsed <-chan time.Time, gone <-chan struct{}) (fate, bool) {
	select {
	case <-release:
	case <-elapsed:
	case <-gone:
	case <-a.inc.ended:
		return a.giveUp(ctx), true
	case <-a.sink.closing:
		return a.giveUp(ctx), true
	}
	if ctx.Err() != nil {
		return a.giveUp(ctx), true
	}
	return fate{}, false
}

// giveUp drops a started attempt.
func (a *attempt) giveUp(ctx context.Context) fate {
	note := "the sink was closed"
	select {
	case <-a.inc.ended:
		note = "the member ended while its answer was held"
	default:
		if ctx.Err() != nil {
			note = "the client gave up"
		}
	}
	a.sink.drop(a.inc, a.entry, a.started, a.number, note)
	return dropped
}

func (s *Sink) drop(inc *incarnation, e workload.Entry, ref int64, number int, note string) {
	ev := s.event(history.EffectDropped, inc, e)
	ev.Ref, ev.Attempt, ev.Note = ref, number, note
	s.append(ev)
}

func (a *attempt) refused(reason string) {
	ev := a.sink.event(history.EffectRefused, a.inc, a.entry)
	ev.Ref, ev.Attempt, ev.Error = a.started, a.number, reason
	a.sink.append(ev)
}

func (a *attempt) refuse(r Refuse) fate {
	f := fate{status: r.Status, word: "refused", retryAfter: -1}
	if f.status < 400 || f.status > 599 {
		f.status = http.StatusServiceUnavailable
	}
	switch f.status {
	case http.StatusConflict:
		f.err = "not-owner"
	case http.StatusUnprocessableEntity:
		f.word, f.err = "poison", "poison"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.word, f.err, f.retryAfter = "unavailable", "unavailable", 0
	default:
		f.err = http.StatusText(f.status)
	}
	if r.RetryAfter > 0 {
		f.retryAfter = r.RetryAfter
	}
	if r.Error != "" {
		f.err = r.Error
	}
	a.refused(f.err)
	return f
}

// settle decides by the ledger, and applies what is to be applied; instead, if not nil, is then the
// fate of the client, which is not told. The
// incarnation cannot end, and no other attempt at the record be decided, in the middle of it.
func (a *attempt) settle(ctx context.Context, instead *fate) (f fate) {
	s := a.sink
	a.inc.mu.RLock()
	defer a.inc.mu.RUnlock()
	if a.inc.dead {
		return a.giveUp(ctx)
	}
	if s.cfg.Count != nil {
		return a.apply(s.cfg.Count(Observation{Entry: a.entry, Member: a.inc.name, Incarnation: a.inc.number, Begun: a.begun, At: time.Now()}), instead)
	}
	if a.entry.Offset < 0 { // the producer may have its answer by now
		if e, ok := s.cfg.Ledger.ByID(a.entry.ID); ok {
			a.entry = e
		}
	}
	switch a.entry.Poison {
	case workload.Undecodable, workload.Permanent, workload.Oversized:
		a.refused("poison")
		return poison
	}
	s.records.with(a.entry.ID, func(r *record) {
		if a.entry.Poison == workload.Transient && r.refused < a.entry.Failures {
			r.refused++
			a.refused("unavailable")
			f = fate{status: http.StatusServiceUnavailable, word: "unavailable", err: "unavailable"}
			return
		}
		f = a.apply(r.applied, instead)
		r.applied++
	})
	return f
}

func (a *attempt) apply(repeat int, instead *fate) fate {
	s := a.sink
	a.inc.applied.Add(1)
	if !s.cfg.Quiet {
		ev := s.event(history.EffectDone, a.inc, a.entry)
		ev.Ref, ev.Attempt, ev.Repeat = a.started, a.number, repeat
		if instead != nil {
			ev.Note = "reset" // whatever it is instead, nobody can know that it was applied
		}
		s.append(ev)
	}
	switch {
	case instead != nil:
		return *instead
	case s.cfg.Idempotent && repeat > 0:
		return duplicate
	}
	return applied
}
