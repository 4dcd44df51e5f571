package consumer

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A TxHandler is a [Handler] whose outputs are records in Kafka. What it adds to
// out for a record becomes visible to read_committed consumers in the transaction
// that also commits the record's offset: both or neither.
//
// It is called again for the same records when a transaction was aborted, so
// whatever else it does, outside of Kafka, may happen more than once.
type TxHandler func(ctx context.Context, b Batch, out *Outbox) error

// Outbox takes the outputs of one handler call.
type Outbox struct {
	mu      sync.Mutex
	closed  bool
	batch   []*kgo.Record
	found   int
	outputs [][]*kgo.Record
}

func newOutbox(batch []*kgo.Record) *Outbox {
	return &Outbox{batch: batch, outputs: make([][]*kgo.Record, len(batch))}
}

// Add adds an output of record i of the batch: it is produced if, and only if,
// the handler reports that record as done. The outputs of records that must keep
// an order are produced in that order. An output that the broker refuses is a failed attempt at
// record i. Add panics if the batch has no record i.
func (o *Outbox) Add(i int, r *kgo.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i < 0 || i >= len(o.outputs) {
		panic(fmt.Sprintf("consumer: Outbox.Add: there is no record %d in a batch of %d", i, len(o.outputs)))
	}
	if !o.closed {
		o.outputs[i] = append(o.outputs[i], r)
	}
}

// AddFor is Add for a record of the batch instead of its index.
func (o *Outbox) AddFor(source, r *kgo.Record) {
	i, ok := o.find(source)
	if !ok {
		panic(fmt.Sprintf("consumer: Outbox.AddFor: there is no record at offset %d in the batch", source.Offset))
	}
	o.Add(i, r)
}

// find looks first where it found the last one, since handlers go through their batch.
func (o *Outbox) find(source *kgo.Record) (int, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := range o.batch {
		if i := (o.found + n) % len(o.batch); o.batch[i] == source || o.batch[i].Offset == source.Offset {
			o.found = i
			return i, true
		}
	}
	return 0, false
}

type outboxKey struct{}

// Outputs returns the outbox of the handler call that ctx was given to; nil if
// the consumer is not a transactional one.
func Outputs(ctx context.Context) *Outbox {
	out, _ := ctx.Value(outboxKey{}).(*Outbox)
	return out
}

// Tx makes a handler one for [NewTransactional]: one that decodes or traces, and that
// gets at its outbox by [Outputs].
func Tx(h Handler) TxHandler {
	return func(ctx context.Context, b Batch, _ *Outbox) error { return h(ctx, b) }
}

// take ends the outbox: a handler that still adds to it after it has returned
// does so in vain. A nil outbox has no outputs.
func (o *Outbox) take() [][]*kgo.Record {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return o.outputs
}

// EachTx is [Each] for a [TxHandler]: fn returns the outputs of one record.
func EachTx(fn func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error)) TxHandler {
	return Tx(Each(func(ctx context.Context, r *kgo.Record) error {
		outputs, err := fn(ctx, r)
		if err != nil {
			return err
		}
		for _, o := range outputs {
			Outputs(ctx).AddFor(r, o)
		}
		return nil
	}))
}

// NewTransactional returns a consumer whose outcome in Kafka is exactly once
// (KIP-98, KIP-447): outputs, dead letters and offsets are committed in one
// transaction for each poll, of Config.MaxInFlight records at most.
//
// All records of a transaction end together: one that is tried again holds it
// open. A transaction that is not done in time (see Config.TransactionTimeout),
// that a rebalance overtakes, or whose output the broker refuses, is aborted: its
// records are handled again, and nobody who reads committed records ever sees
// what it produced. So the policies of retry and poison are as for [New], but
// what is done in Kafka is done once; attempts are counted over aborted transactions.
//
// Config.TransactionalID is required. Config.CommitInterval and CommitEachBatch
// mean nothing here, and Config.Offsets must be nil.
func NewTransactional(cfg Config, handler TxHandler) (*Consumer, error) {
	var v validation
	v.need(cfg.TransactionalID != "", "TransactionalID: give each member an id of its own that it keeps over restarts")
	v.need(cfg.Offsets == nil, "Offsets: a transactional consumer keeps its positions in Kafka")
	v.need(handler != nil, "NewTransactional: give it a handler")
	cfg.CommitEachBatch = false
	return newConsumer(cfg, v, nil, handler)
}
