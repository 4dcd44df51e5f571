package consumer

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Batch is some records of one partition, in the order of their offsets. With
// [OrderKey] they have one key.
//
// The records belong to the consumer: a handler must not change them, nor keep
// them after it has returned.
type Batch struct {
	Topic     string
	Partition int32
	Records   []*kgo.Record
}

// A Handler does the work of a batch. What it returns decides the fate of each
// record; nil means that all are done. See the package documentation.
//
// Its context ends when the partition is lost, when draining or shutting down
// takes too long, and after Config.HandlerTimeout. The handler should then
// return soon; what it had not finished is handled again, here or elsewhere.
//
// It is called from many goroutines at once. A panic is a failed attempt.
type Handler func(ctx context.Context, b Batch) error

// Each returns a handler that gives the records of a batch to fn one by one, in
// order, and stops at the first that fails. It stops between records when the
// context has ended and when the partition is to be given up (see [Stopping]),
// so a revoke waits for one record, not for a whole batch.
func Each(fn func(ctx context.Context, r *kgo.Record) error) Handler {
	return func(ctx context.Context, b Batch) error {
		stopping := Stopping(ctx)
		for i, r := range b.Records {
			select {
			case <-stopping:
				return FailedAt(i, ErrStopped)
			case <-ctx.Done():
				return FailedAt(i, context.Cause(ctx))
			default:
			}
			if err := fn(ctx, r); err != nil {
				return FailedAt(i, err)
			}
		}
		return nil
	}
}

type stoppingKey struct{}

// stopSign is what a handler's context carries for Stopping and Attempt.
type stopSign struct {
	ch      <-chan struct{}
	watched *atomic.Bool // somebody has asked for it
	attempt int
}

// Stopping returns a channel that is closed when the handler called with ctx
// should finish the record at hand and return FailedAt(i, [ErrStopped]), i being
// the next record: the partition is being revoked or was lost, or the consumer is
// shutting down. A handler that ignores it is waited for all the same, for a time,
// unless the partition was lost: then its context ends at once, while one that
// watches has a moment to end the record at hand. The channel is nil, and so never ready, where there is nothing to hurry for.
func Stopping(ctx context.Context) <-chan struct{} {
	sign, ok := ctx.Value(stoppingKey{}).(stopSign)
	if !ok {
		return nil
	}
	sign.watched.Store(true)
	return sign.ch
}
