package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// emit produces the outputs of a record. The answers come before the transaction
// can be committed, since its end flushes.
//
// The broker refuses whole batches, with outputs of many records, and does not
// say which it means. So a first refusal spoils the transaction and is nobody's
// last attempt; while any of these records is not committed, outputs are produced
// for one record at a time, and what is refused then is that record's doing.
func (t *transactor) emit(p *partition, offset int64, outputs []*kgo.Record) {
	if x := t.now.Load(); x == nil || !x.careful {
		t.produce(p, offset, outputs, nil)
		return
	}
	t.one.Lock()
	defer t.one.Unlock()
	answers := make(chan struct{}, len(outputs))
	for range t.produce(p, offset, outputs, answers) {
		select {
		case <-answers:
		case <-p.ctx.Done():
			return
		}
	}
}

// produce hands outputs to the client, and returns how many. To answers, which has room
// for all, comes one for each; it is nil if nobody waits, and so nobody is sure whose
// doing a refusal is.
func (t *transactor) produce(p *partition, offset int64, outputs []*kgo.Record, answers chan<- struct{}) int {
	t.enter.RLock()
	defer t.enter.RUnlock()
	x := t.now.Load()
	if x == nil || p.ended() {
		return 0 // aborted meanwhile
	}
	for _, r := range outputs {
		t.s.cl.Produce(p.ctx, r, func(r *kgo.Record, err error) {
			if answers != nil {
				defer func() { answers <- struct{}{} }()
			}
			if err == nil || p.ended() {
				return
			}
			err = fmt.Errorf("consumer: an output of %s/%d@%d was not produced to %s: %w", p.topic, p.partition, offset, r.Topic, err)
			switch {
			case refusedFor(err):
				p.blame(offset, err, answers != nil)
			case denied(err):
				t.s.stop(err)
			}
			x.fail(err)
		})
	}
	return len(outputs)
}

// letter produces a dead letter in the transaction.
func (t *transactor) letter(ctx context.Context, r *kgo.Record) error {
	t.enter.RLock()
	if t.now.Load() == nil || ctx.Err() != nil {
		t.enter.RUnlock()
		return errAborted
	}
	answered := make(chan error, 1)
	t.s.cl.Produce(ctx, r, func(_ *kgo.Record, err error) { answered <- err })
	t.enter.RUnlock()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settled is told by epochs that are not fenced, under their mutex. So they
// belong to the transaction that is under way, and enter, which is held while that
// mutex is asked for, must not be asked for here.
func (t *transactor) settled(n int) {
	x := t.now.Load()
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.left -= n; x.left == 0 {
		close(x.done)
	}
}

func (x *transaction) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil {
		x.err = err
		close(x.failed)
	}
}

func (x *transaction) cause() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

// refusedFor tells of refusals that are for what was produced, and not for who
// produces it or for the state that the brokers are in: an outage, or a right that is
// missing, must not make poison of healthy records.
func refusedFor(err error) bool {
	for _, code := range []error{
		kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.InvalidTopicException, kerr.UnsupportedForMessageFormat,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// ended tells whether the epoch can produce no more.
func (p *partition) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == fenced
}

// suspects tells whether an output of a record that is not committed was refused.
func (p *partition) suspects() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, tr := range p.known {
		if tr.refused {
			return true
		}
	}
	return false
}

// blame counts a failed attempt at a record whose output the broker refused. The
// record is done already, in a transaction that will be aborted; the attempt
// counts when it comes again. It is the last one only if it is sure that the
// refusal was for this record.
func (p *partition) blame(offset int64, err error, sure bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == fenced {
		return
	}
	tr := p.known[offset]
	if sure || tr.attempts+2 <= p.cfg.Retry.Attempts {
		tr.count(err)
	}
	tr.refused = true
	p.know(offset, tr)
}
