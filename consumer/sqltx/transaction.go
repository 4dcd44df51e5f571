package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/consumer"
)

var (
	// errAborted is put on a record whose handler returned nil after a statement had failed.
	errAborted = errors.New("sqltx: the handler returned no error, but one of its statements had failed, and with it the transaction: do not drop the error of a statement")
	errEnded   = errors.New("sqltx: the handler has ended the transaction that it was given; committing is the store's business, and the position was not stored with it")
)

// conflictError is a transaction that has to be done again from its start.
type conflictError struct{ err error }

func (e *conflictError) Error() string { return e.err.Error() }
func (e *conflictError) Unwrap() error { return e.err }

// transaction is one try to do some records of a partition and to store the
// position behind them.
//
// Its own context is not the handler's: a COMMIT that a revoke cuts off has an
// unknown outcome, and what comes before a record that was stopped can still be
// committed. It ends Options.Timeout after the handler's, or after the last step began.
type transaction struct {
	s      *Store
	tp     topicPartition
	p      position
	tx     *sql.Tx
	ctx    context.Context
	cancel context.CancelFunc
	unbind func() bool
	ended  bool
	saved  bool // there is a savepoint
}

// begin opens a transaction, until ctx ends. The errors are those of commit.
func (s *Store) begin(ctx context.Context, tp topicPartition, p position) (*transaction, error) {
	t := &transaction{s: s, tp: tp, p: p}
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := t.open(ctx); err != nil {
		t.cancel()
		return nil, t.trouble(err)
	}
	t.unbind = context.AfterFunc(ctx, t.hurry)
	return t, nil
}

func (t *transaction) open(ctx context.Context) (err error) {
	unbind := context.AfterFunc(ctx, t.cancel)
	defer unbind()
	defer t.step()()
	t.tx, err = t.s.db.BeginTx(t.ctx, &sql.TxOptions{Isolation: t.s.opts.Isolation})
	if err != nil || t.s.dialect != SQLite {
		return err
	}
	// A transaction that first reads and then writes fails in SQLite, without
	// waiting, if another has written in between. One that begins by writing
	// waits its turn, and learns here if it is fenced.
	if err = t.affectOne(t.s.sql.touch); err != nil {
		err = errors.Join(err, t.tx.Rollback())
	}
	return err
}

// hurry bounds what is left to do.
func (t *transaction) hurry() { time.AfterFunc(t.s.opts.Timeout, t.cancel) }

// close rolls back what was not committed, also if the handler panicked.
func (t *transaction) close() {
	_ = t.rollback() // what matters was asked for before
	t.unbind()
	t.cancel()
}

// rollback tells whether the database has answered: without, it rolls back by itself.
func (t *transaction) rollback() error {
	if t.ended {
		return nil
	}
	t.ended = true
	defer t.step()()
	err := t.tx.Rollback()
	if t.refused(err) {
		return nil // SQLite's statements can roll back by themselves: there was nothing left to do
	}
	return err
}

// refused tells whether the database is there, and only does not do what it was told.
func (t *transaction) refused(err error) bool {
	return answered(err) && t.s.opts.Classify(err) == Ordinary
}

// step bounds the next statement.
func (t *transaction) step() (done func()) {
	timer := time.AfterFunc(t.s.opts.Timeout, t.cancel)
	return func() { timer.Stop() }
}

// savepoint makes the next record one that can be undone by itself. The one before
// is released in the same round trip: savepoints of one name would pile up. The
// errors are those of commit; errAborted is the fault of the record before.
func (t *transaction) savepoint() error {
	text := `SAVEPOINT sqltx_record`
	if t.saved {
		text = `RELEASE SAVEPOINT sqltx_record; SAVEPOINT sqltx_record`
	}
	defer t.step()()
	if _, err := t.tx.ExecContext(t.ctx, text); err != nil {
		return t.trouble(err)
	}
	t.saved = true
	return nil
}

func (t *transaction) undo() error {
	defer t.step()()
	_, err := t.tx.ExecContext(t.ctx, `ROLLBACK TO SAVEPOINT sqltx_record`)
	return err
}

// commit stores next as the position and commits, and returns the position as it
// is then. The compare-and-set is the last statement, so that the row is locked
// no longer than for a COMMIT: whoever loads the partition waits for no handler.
//
// The error is [consumer.Fenced], [consumer.Unavailable], a *conflictError,
// errAborted, or one of the records' own, such as a deferred constraint.
func (t *transaction) commit(next int64) (position, error) {
	defer t.step()()
	if err := t.affectOne(t.s.sql.move, next); err != nil {
		_ = t.rollback() // the error is what counts
		return t.p, t.trouble(err)
	}
	t.ended = true
	err := t.tx.Commit()
	p := t.p
	if err == nil {
		p.next, p.told = next, next
		t.s.note(t.tp, p)
		return p, nil
	}
	p.doubt, p.maybe = true, next
	t.s.note(t.tp, p)
	p, unsure := t.s.resolve(t.ctx, t.tp, p)
	switch {
	case unsure != nil:
		return p, unsure
	case p.next == next:
		p.told = next
		t.s.note(t.tp, p)
		return p, nil
	case t.refused(err):
		return p, fmt.Errorf("sqltx: the transaction was refused at its end: %w", err)
	}
	return p, t.trouble(err)
}

// affectOne does the statement on the row of this epoch, if it is still there.
func (t *transaction) affectOne(statement string, more ...any) error {
	args := append([]any{t.s.groupName(), t.tp.topic, t.tp.partition, t.p.next, t.p.epoch}, more...)
	result, err := t.tx.ExecContext(t.ctx, statement, args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = consumer.Fenced(fmt.Errorf("%w (%s/%d)", errTaken, t.tp.topic, t.tp.partition))
	}
	return err
}

// trouble reads an error of the store's own statements. It is no record's fault.
func (t *transaction) trouble(err error) error {
	state, _ := sqlState(err)
	switch {
	case consumer.EndsSession(err):
		return err
	case state == stateAborted:
		return errAborted
	case errors.Is(err, sql.ErrTxDone) && t.ctx.Err() == nil:
		return consumer.Fatal(errEnded)
	case t.s.opts.Classify(err) == Conflict:
		return &conflictError{err}
	}
	return consumer.Unavailable(fmt.Errorf("sqltx: %s/%d: %w", t.tp.topic, t.tp.partition, err))
}

// gone reads the error of a rollback: with it all that was done is gone, and
// what the handler had said before is only told.
func (t *transaction) gone(lost, said error) error {
	return t.trouble(fmt.Errorf("%w (after: %v)", lost, said)) //nolint:errorlint // wrapped, it would still say what becomes of the record
}
