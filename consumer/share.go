package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A ShareHandler does the work of a batch of records of one partition. What it
// returns decides the fate of each record, as for a [Handler]; nil means that all
// are done. See [ShareConsumer]. [Each] makes one that gets records one by one.
//
// The records come in the order of their offsets, but a share group promises no
// order: other records of the partition may be handled before, beside and after,
// here and elsewhere.
type ShareHandler = Handler

// ShareConsumer is one member of a share group (KIP-932): a queue. Records are
// locked one by one for the member that gets them, and any number of members
// share a partition. Make it with [NewShare].
//
// # What is guaranteed
//
// At least once. A record is accepted when the handler said that it is done, or
// when its dead letter was acknowledged by all in-sync replicas; it is rejected
// by [PoisonSkip] only. In particular, no record is accepted because the consumer
// took more. What a crash interrupts, others get: at once if the broker sees the
// connection close, else when the lock ends. Of what was done and whose lock was
// lost before the broker heard of it, there may be a repeat elsewhere: see
// ShareHooks.OnAckFailed.
//
// No order, not even of the records with the same key.
//
// # Locks and deliveries
//
// The broker locks a record for a time (share.record.lock.duration.ms, 30 s)
// and delivers it again when that ends. Locks are renewed here for as long as the
// record is held: waiting for a handler, with one, or waiting to be tried again.
// If that fails, or a lock ends, the context of the handler ends too, as others
// may have the record: its cause tells. Brokers before Kafka 4.2 cannot renew. With
// them a handler call ends with the lock, and a record that would wait for longer
// is given back.
//
// The broker counts deliveries, and archives a record after the last one
// (share.delivery.count.limit, 5) in silence. So nothing is given back to be
// tried again: it is tried again here, after the back-off of [Retry]. Given back
// is what was not handled by the end of Run. On its last delivery such a record
// is treated as poison, as it would be lost; under [PoisonStop] it is. A record
// that members crash on is archived by the broker whatever the policy says: its
// last delivery leaves nobody to tell.
//
// # Results of a handler
//
// They are those of the package documentation, for a record that is held:
//
//	done               accepted
//	failed             tried again here after a back-off; poison after Retry.Attempts,
//	                   of which the deliveries by the broker count as well
//	not tried          tried next, or given back if the consumer stops
//	Permanent          poison
//	Unavailable        tried again here for as long as it takes, no attempt counted:
//	                   it keeps its lock, and what is held is bounded, so the
//	                   consumer waits with it
//	Fenced             given back or tried again, no attempt counted
//	Fatal              the batch and all that is not done is given back, and Run ends
//
// Poison is dead-lettered and then accepted, or rejected ([PoisonSkip]), or given
// back before Run ends with a [*PoisonError] ([PoisonStop]). The last means little
// in a share group: another member gets the record next.
//
// Which records are visible is up to the group: with share.isolation.level at its
// default, records of transactions that are open or aborted are delivered too.
type ShareConsumer struct {
	cfg     ShareConfig
	handler Handler
	used    atomic.Bool
	counts  shareCounters
	common  Config // of the engine
	e       *engine
	session atomic.Pointer[shareSession] // at work; nil if there is none
}

// NewShare checks the configuration and returns a member of a share group. It
// connects to nothing before [ShareConsumer.Run].
func NewShare(cfg ShareConfig, handler ShareHandler) (*ShareConsumer, error) {
	var v validation
	v.need(handler != nil, "NewShare: give it a handler")
	if err := append(v, cfg.validate()...).join(); err != nil {
		return nil, err
	}
	common := cfg.common()
	if err := common.prepare(); err != nil {
		return nil, err
	}
	cfg.ClientOpts, cfg.Logger = common.ClientOpts, common.Logger
	c := &ShareConsumer{cfg: cfg, handler: handler, common: common}
	c.e = &engine{cfg: &c.common, log: cfg.Logger}
	return c, nil
}

// Run joins the share group and consumes until ctx ends; then it takes nothing
// more, gives back what was not begun, waits for handlers, acknowledges, and
// leaves the group, within ShareConfig.ShutdownTimeout, and returns nil. It
// returns an error
//
//   - that the handler gave to [Fatal],
//   - [*PoisonError] if a record can be neither handled nor put aside,
//   - [ErrStalled], [ErrShutdownTimeout],
//   - if the brokers have no share groups, or refuse what only an operator can put
//     right.
//
// It gets over all else by itself. Run may be called once.
func (c *ShareConsumer) Run(ctx context.Context) (err error) {
	if c.used.Swap(true) {
		return errors.New("consumer: Run was called before; make another ShareConsumer")
	}
	e := c.e
	e.vitals.begin()
	defer func() { e.vitals.end(err) }()
	if c.cfg.Poison.policy() == PoisonDeadLetter {
		letters, err := kgo.NewClient(letterOpts(e.cfg, e.log)...)
		if err != nil {
			return fmt.Errorf("consumer: %w", err)
		}
		defer letters.Close()
		e.letters = letters
	}
	set, err := prepareShare(ctx, &c.cfg, e)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s := newShareSession(&c.cfg, e, c.handler, &c.counts)
	c.session.Store(s)
	defer c.session.Store(nil)
	return s.run(ctx, set)
}

// Stats returns counts of records since Run began. It may be called at any time.
func (c *ShareConsumer) Stats() ShareStats { return c.counts.stats() }
