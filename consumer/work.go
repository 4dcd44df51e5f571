package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	errHandlerTimeout = errors.New("consumer: the handler timeout has passed")
	errExhausted      = errors.New("consumer: its attempts were used up before a rebalance")
)

// work takes the next batch of a lane through the handler and settles it.
func (e *engine) work(l *lane) {
	t := l.part.take(l)
	if t == nil {
		return
	}
	var r ruling
	if first := t.entries[0]; first.attempts() >= e.cfg.Retry.Attempts {
		r.poison = t.entries // it came back before its end could be settled
	} else {
		err := e.call(t)
		if err == nil {
			e.emit(t, t.entries)
			l.part.complete(t)
			return
		}
		v := read(err, len(t.entries))
		switch {
		case v.fatal != nil:
			l.part.owner.abort(v.fatal)
			e.stopRun(&fatal{v.fatal}) // the session of today need not be the one that the batch is of
		case v.fenced != nil:
			l.part.overtaken(v.fenced)
		}
		if v.fatal != nil || v.fenced != nil {
			l.part.finish(t, rest{blocked: true})
			return
		}
		r = l.part.judge(t, v)
	}
	e.emit(t, r.done)
	l.part.ack(t, r.done)
	for _, p := range r.poison {
		if !e.bury(t, p) {
			r.blocked = true
			break
		}
		l.part.ack(t, []*entry{p})
	}
	if r.retry != nil {
		e.retrying(*r.retry)
	}
	l.part.finish(t, r.rest)
}

// overtaken ends the session, since somebody else has the partition. If the epoch has
// ended, that is no news: the call only came back late.
func (p *partition) overtaken(err error) {
	if !p.ended() {
		p.owner.rejoin(fmt.Errorf("%w: %w", errLost, err))
	}
}

// call gives a batch to the handler.
func (e *engine) call(t *task) error {
	ctx := context.WithValue(t.part.ctx, stoppingKey{}, stopSign{t.stopping, &t.part.watched, t.entries[0].attempts() + 1})
	if e.cfg.HandlerTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, e.cfg.HandlerTimeout, errHandlerTimeout)
		defer cancel()
	}
	b := Batch{Topic: t.part.topic, Partition: t.part.partition, Records: make([]*kgo.Record, len(t.entries))}
	for i, en := range t.entries {
		b.Records[i] = en.rec
	}
	defer e.watch(t)()
	return e.guard(b, func() error {
		if e.tx != nil {
			t.out = newOutbox(b.Records)
			return e.tx(context.WithValue(ctx, outboxKey{}, t.out), b, t.out)
		}
		return e.handler(ctx, b)
	})
}

// guard makes an error of a handler's panic, and tells of the batch.
func (e *engine) guard(b Batch, handle func() error) (err error) {
	first := b.Records[0].Offset
	start := time.Now()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("consumer: the handler panicked: %v", p)
			e.log.Error("the handler panicked", "topic", b.Topic, "partition", b.Partition, "offset", first, "panic", p, "stack", string(debug.Stack()))
		}
		if hook := e.cfg.Hooks.OnBatch; hook != nil {
			hook(BatchInfo{b.Topic, b.Partition, first, len(b.Records), time.Since(start), err})
		}
	}()
	return handle()
}

// emit produces the outputs of the records that are done, before they count as
// done: the transaction ends when all do.
func (e *engine) emit(t *task, done []*entry) {
	outputs := t.out.take()
	if len(outputs) == 0 {
		return
	}
	next := 0 // done is in the order of the batch
	for i, en := range t.entries {
		if next == len(done) || done[next] != en {
			continue
		}
		next++
		if len(outputs[i]) > 0 {
			t.part.owner.emit(t.part, en.rec.Offset, outputs[i])
		}
	}
}

func (e *engine) retrying(info RetryInfo) {
	e.log.Warn("will try again", "topic", info.Topic, "partition", info.Partition, "offset", info.Offset, "attempts", info.Attempts, "wait", info.Wait, "err", info.Err)
	if hook := e.cfg.Hooks.OnRetry; hook != nil {
		hook(info)
	}
}

// bury settles the end of a poison record by the policy. If it cannot, the
// record stays where it is, and the consumer stops; or the epoch has ended, and
// then it is for the next one.
func (e *engine) bury(t *task, p *entry) bool {
	cause := p.tried().err
	if cause == nil {
		cause = errExhausted
	}
	policy := e.cfg.Poison.policy()
	r := p.rec
	if t.part.over() {
		return false
	}
	switch policy {
	case PoisonSkip:
	case PoisonDeadLetter:
		if err := e.deadLetter(t.part, p, cause); err != nil {
			if t.part.over() {
				return false
			}
			cause = fmt.Errorf("%w; and no dead letter could be made: %w", cause, err)
			policy = PoisonStop
		}
	}
	if policy == PoisonStop {
		t.part.owner.stop(&PoisonError{r.Topic, r.Partition, r.Offset, p.attempts(), cause})
		return false
	}
	if e.cfg.Offsets != nil && !e.skip(t.part, r.Offset+1) {
		return false
	}
	e.log.Error("poison", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "attempts", p.attempts(), "policy", string(policy), "err", cause)
	if hook := e.cfg.Hooks.OnPoison; hook != nil {
		hook(r, p.attempts(), cause, policy)
	}
	return true
}

// skip tells the store of positions that a record has ended without it.
func (e *engine) skip(part *partition, next int64) bool {
	err := e.persist(part.ctx, part.over, func() error {
		err := e.cfg.Offsets.Skip(part.ctx, e.cfg.Group, part.topic, part.partition, next)
		var o *outdated
		if errors.As(err, &o) {
			part.overtaken(err) // which ends its context
		}
		return err
	})
	if err != nil && !part.over() {
		part.owner.stop(fmt.Errorf("consumer: the position of %s/%d could not be stored: %w", part.topic, part.partition, err))
	}
	return err == nil
}

// over tells whether the epoch has ended, or is about to: what it was doing is for
// the next one. A handler that watches Stopping may still run, its context not ended.
func (p *partition) over() bool { return p.ctx.Err() != nil || p.ended() }

// persist tries again as often as the retry policy allows, and for as long as it
// takes if what it needs is Unavailable; but no longer than until over.
func (e *engine) persist(ctx context.Context, over func() bool, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		var down *unavailable
		if err == nil || over() || n >= e.cfg.Retry.Attempts && !errors.As(err, &down) {
			return err
		}
		wait := e.cfg.Retry.after(n, 0)
		e.log.Warn("a poison record could not be settled, will try again", "wait", wait, "err", err)
		if !pause(ctx, wait) {
			return context.Cause(ctx)
		}
		if over() {
			return err
		}
	}
}

// deadLetter produces and waits for the acknowledgement, as often as the retry
// policy allows.
func (e *engine) deadLetter(part *partition, p *entry, cause error) error {
	return e.persist(part.ctx, part.over, func() error {
		letter := deadLetter(e.cfg, p, cause, time.Now())
		if p.rec.Context != nil {
			letter.Context = carried{part.ctx, p.rec.Context}
		}
		if err := part.owner.letter(part.ctx, letter); err != nil {
			return fmt.Errorf("dead letter of %s/%d@%d to %s: %w", part.topic, part.partition, p.rec.Offset, letter.Topic, err)
		}
		return nil
	})
}

// carried is a context with the values of a record's own one too, where hooks of the
// client keep what they know of it: its trace. Nothing else of that context is for the
// dead letter.
type carried struct {
	context.Context
	record context.Context
}

// Value implements context.Context.
func (c carried) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.record.Value(key)
}
