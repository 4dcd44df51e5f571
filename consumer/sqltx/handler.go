package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// Each returns a handler that gives the records of a batch to fn one by one, in
// order, in one transaction, and commits the position with it. What fn writes
// through tx is done exactly once.
//
// If fn fails at a record, what it wrote for that record is undone, and what
// it wrote for those before is committed: the others need not be handled again.
// What it wraps its error in counts as everywhere ([consumer.Permanent],
// [consumer.RetryAfter] and so on); with [consumer.Fatal] nothing is committed.
// It stops between records as [consumer.Each] does.
//
// fn must use tx for what belongs together, must return the errors of its
// statements, and must neither commit nor roll back. It may be called again for
// a record whose transaction came to nothing.
func (s *Store) Each(fn func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error) consumer.Handler {
	if s.opts.NoSavepoints {
		return s.Batch(oneByOne(fn))
	}
	return s.handler(func(ctx context.Context, tp topicPartition, p position, recs []*kgo.Record) error {
		return s.each(ctx, tp, p, recs, fn)
	})
}

// Batch returns a handler that gives whole batches to fn, each in one
// transaction, and commits the position with it: for statements that write many rows.
//
// All or nothing, but for FailedAt(i, err): the transaction is rolled back, and the
// records before i are given to fn again as a batch of their own, which is
// committed. After FailedAt(i, [consumer.ErrStopped]) the transaction holds just
// those, and is committed as it is. The position cannot leave holes, so Failed
// counts as FailedAt of its lowest index: what comes after it is handled again. The
// rules for fn are those of [Store.Each].
func (s *Store) Batch(fn func(ctx context.Context, tx *sql.Tx, b consumer.Batch) error) consumer.Handler {
	return s.handler(func(ctx context.Context, tp topicPartition, p position, recs []*kgo.Record) error {
		return s.batch(ctx, tp, p, recs, fn)
	})
}

// oneByOne is Each for Batch.
func oneByOne(fn func(context.Context, *sql.Tx, *kgo.Record) error) func(context.Context, *sql.Tx, consumer.Batch) error {
	return func(ctx context.Context, tx *sql.Tx, b consumer.Batch) error {
		stopping := consumer.Stopping(ctx)
		for i, r := range b.Records {
			if stop := stopped(ctx, stopping); stop != nil && i > 0 {
				return consumer.FailedAt(i, consumer.ErrStopped) // those before it are whole
			} else if stop != nil {
				return consumer.FailedAt(0, stop)
			}
			if err := fn(ctx, tx, r); err != nil {
				return consumer.FailedAt(i, err)
			}
		}
		return nil
	}
}

// work does records of a partition, and returns what a handler returns, or a *conflictError.
type work func(ctx context.Context, tp topicPartition, p position, recs []*kgo.Record) error

// handler does a batch, again if others get in its way.
func (s *Store) handler(do work) consumer.Handler {
	return func(ctx context.Context, b consumer.Batch) error {
		tp := topicPartition{b.Topic, b.Partition}
		for try := 1; ; try++ {
			p, err := s.known(ctx, tp)
			if err != nil {
				return err
			}
			done, err := p.seen(tp, b.Records)
			if err != nil {
				return err
			}
			if done > 0 {
				// A call before this one did them, and could not find out in time.
				p.told = b.Records[done-1].Offset + 1
				s.note(tp, p)
				if done == len(b.Records) {
					return nil
				}
				return consumer.FailedAt(done, consumer.ErrStopped)
			}
			err = do(ctx, tp, p, b.Records)
			var conflict *conflictError
			if !errors.As(err, &conflict) {
				return err
			}
			if ctx.Err() != nil || try == conflictTries {
				return consumer.Unavailable(fmt.Errorf("sqltx: %s/%d: other transactions got in the way %d times: %w", tp.topic, tp.partition, try, conflict.err))
			}
		}
	}
}

// each does records one by one, in one transaction.
func (s *Store) each(ctx context.Context, tp topicPartition, p position, recs []*kgo.Record, fn func(context.Context, *sql.Tx, *kgo.Record) error) error {
	stopping := consumer.Stopping(ctx)
	if stop := stopped(ctx, stopping); stop != nil {
		return consumer.FailedAt(0, stop)
	}
	t, err := s.begin(ctx, tp, p)
	if err != nil {
		return s.excuse(ctx, err)
	}
	defer t.close()
	again := func(n int, cause error) error {
		return s.again(ctx, tp, recs[:n], cause, func(ctx context.Context, tp topicPartition, p position, recs []*kgo.Record) error {
			return s.each(ctx, tp, p, recs, fn)
		})
	}
	for i, r := range recs {
		if stop := stopped(ctx, stopping); stop != nil && i > 0 {
			return s.keep(ctx, t, recs, i, stop)
		}
		if i > 0 {
			if err := t.savepoint(); errors.Is(err, errAborted) {
				return s.undo(ctx, t, recs, i-1, err, again)
			} else if err != nil {
				return s.excuse(ctx, err)
			}
		}
		if err := fn(ctx, t.tx, r); err != nil {
			return s.undo(ctx, t, recs, i, err, again)
		}
	}
	err = s.keep(ctx, t, recs, len(recs), nil)
	if errors.Is(err, errAborted) {
		return again(len(recs)-1, errAborted)
	}
	return err
}

func stopped(ctx context.Context, stopping <-chan struct{}) error {
	select {
	case <-stopping:
		return consumer.ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	default:
		return nil
	}
}

// keep commits a transaction that holds the effects of recs[:n], and says why
// the others are not done, if there are others.
func (s *Store) keep(ctx context.Context, t *transaction, recs []*kgo.Record, n int, cause error) error {
	next := recs[len(recs)-1].Offset + 1
	if n < len(recs) {
		next = recs[n].Offset
	}
	if _, err := t.commit(next); err != nil {
		return s.excuse(ctx, err)
	}
	if n < len(recs) {
		return consumer.FailedAt(n, cause)
	}
	return nil
}

// undo takes back the record that failed, and keeps those before it.
func (s *Store) undo(ctx context.Context, t *transaction, recs []*kgo.Record, i int, err error, again func(int, error) error) error {
	switch {
	case consumer.EndsSession(err):
		return err
	case s.opts.Classify(err) == Conflict:
		return &conflictError{err}
	case !t.saved:
		if lost := t.rollback(); lost != nil {
			return s.excuse(ctx, t.gone(lost, err))
		}
		return consumer.FailedAt(i, s.own(err))
	}
	if lost := t.undo(); lost != nil {
		if t.refused(lost) && t.rollback() == nil {
			return again(i, s.own(err)) // the statement that failed had ended the whole transaction
		}
		return s.excuse(ctx, t.gone(lost, err))
	}
	return s.keep(ctx, t, recs, i, s.own(err))
}

// again does what comes before a record that failed in a transaction of its own.
func (s *Store) again(ctx context.Context, tp topicPartition, before []*kgo.Record, cause error, do work) error {
	if len(before) > 0 {
		p, err := s.known(ctx, tp)
		if err != nil {
			return err
		}
		if err := do(ctx, tp, p, before); err != nil {
			return err
		}
	}
	return consumer.FailedAt(len(before), cause)
}

// batch does records all at once, in one transaction.
func (s *Store) batch(ctx context.Context, tp topicPartition, p position, recs []*kgo.Record, fn func(context.Context, *sql.Tx, consumer.Batch) error) error {
	t, err := s.begin(ctx, tp, p)
	if err != nil {
		return s.excuse(ctx, err)
	}
	defer t.close()
	err = fn(ctx, t.tx, consumer.Batch{Topic: tp.topic, Partition: tp.partition, Records: recs})
	i, blames, cause := consumer.FirstFailed(err, len(recs))
	switch {
	case consumer.EndsSession(err):
		return err
	case i == len(recs), i > 0 && errors.Is(cause, consumer.ErrStopped):
		return s.keep(ctx, t, recs, i, cause)
	case s.opts.Classify(cause) == Conflict:
		return &conflictError{cause}
	}
	if lost := t.rollback(); lost != nil {
		return s.excuse(ctx, t.gone(lost, err))
	}
	if !blames {
		return s.own(err)
	}
	return s.again(ctx, tp, recs[:i], s.own(cause), func(ctx context.Context, tp topicPartition, p position, recs []*kgo.Record) error {
		return s.batch(ctx, tp, p, recs, fn)
	})
}

// own reads an error of the handler's after which the database has answered: a
// connection that broke was to something else, and is the handler's to judge.
func (s *Store) own(err error) error {
	if s.opts.Classify(err) == Down && !lostConnection(err) {
		return consumer.Unavailable(err)
	}
	return err
}

// excuse reads an error that a transaction came to nothing by. If the context
// has ended, that is why: a driver breaks the connection of a statement that it
// cuts off. But a database that does not answer is also noticed by that.
func (s *Store) excuse(ctx context.Context, err error) error {
	if ctx.Err() == nil || consumer.EndsSession(err) {
		return err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		ctx, cancel := s.bounded(ctx)
		defer cancel()
		if down := s.db.PingContext(ctx); down != nil {
			return consumer.Unavailable(fmt.Errorf("sqltx: the database does not answer: %w", down))
		}
	}
	return context.Cause(ctx)
}
