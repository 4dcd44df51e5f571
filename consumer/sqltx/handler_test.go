package sqltx_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/sqltx"
)

var errBad = errors.New("bad")

// coded is an error of a driver's with a SQLSTATE, or with a code of SQLite's.
type (
	coded  string
	number int
)

func (c coded) Error() string    { return "SQLSTATE " + string(c) }
func (c coded) SQLState() string { return string(c) }
func (n number) Error() string   { return fmt.Sprintf("code %d", int(n)) }
func (n number) Code() int       { return int(n) }

// What handlers say and do, with savepoints and without, on every database.
func TestEach(t *testing.T) {
	cases := map[string]func(f *fixture, opts sqltx.Options){
		"all are done, over gaps": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			h := m.Each(f.effect)
			f.says(h(f.Context(), batch(3, 4, 9)), 3, "ok", "", nil)
			f.says(h(f.Context(), batch(20)), 1, "ok", "", nil)
			f.want(21, 3, 4, 9, 20)
			if got := m.load(); got != 21 {
				f.Errorf("loaded %d", got)
			}
		},
		"what comes before a failure is kept": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			h := m.Each(f.failing(map[int64]error{3: errBad, 6: consumer.Permanent(errBad), 7: consumer.Unavailable(errBad), 8: consumer.RetryAfter(errBad, time.Hour)}))
			f.says(h(f.Context(), batch(1, 2, 3, 5)), 4, "at 2", "", errBad)
			f.want(3, 1, 2)
			f.says(h(f.Context(), batch(3, 5)), 2, "at 0", "", errBad)
			f.want(3, 1, 2)
			if err := m.Skip(f.Context(), f.group, topic, 0, 4); err != nil {
				f.Fatal(err)
			}
			f.says(h(f.Context(), batch(5, 6)), 2, "at 1", "permanent", errBad)
			f.says(h(f.Context(), batch(7)), 1, "at 0", "unavailable", errBad)
			f.says(h(f.Context(), batch(8)), 1, "at 0", "retryAfter", errBad)
			f.want(6, 1, 2, 5)
		},
		"fatal and fenced keep nothing": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			f.says(m.Each(f.failing(map[int64]error{2: consumer.Fatal(errBad)}))(f.Context(), batch(1, 2)), 2, map[bool]string{true: "at 1", false: "whole"}[opts.NoSavepoints], "fatal", errBad)
			f.says(m.Each(f.failing(map[int64]error{1: consumer.Fenced(errBad)}))(f.Context(), batch(1)), 1, map[bool]string{true: "at 0", false: "whole"}[opts.NoSavepoints], "fenced", errBad)
			f.want(-1)
		},
		"a panic rolls back": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			func() {
				defer func() { _ = recover() }()
				_ = m.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
					if r.Offset == 2 {
						panic("out of the blue")
					}
					return f.effect(ctx, tx, r)
				})(f.Context(), batch(1, 2))
			}()
			f.want(-1)
			f.says(m.Each(f.effect)(f.Context(), batch(1, 2)), 2, "ok", "", nil)
			f.want(3, 1, 2)
		},
		"it stops between records": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			gone := errors.New("gone")
			ctx, cancel := context.WithCancelCause(f.Context())
			h := m.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
				if r.Offset == 2 {
					defer cancel(gone)
				}
				return f.effect(ctx, tx, r)
			})
			cause := map[bool]error{true: consumer.ErrStopped, false: gone}[opts.NoSavepoints]
			f.says(h(ctx, batch(1, 2, 3)), 3, "at 2", "", cause)
			f.want(3, 1, 2)
			// For one record it is the same whether it or the batch was not tried: what sees the end first says so.
			if err := h(ctx, batch(3)); !errors.Is(err, gone) {
				f.Errorf("the handler says %v, want %v", err, gone)
			}
			f.want(3, 1, 2)
		},
		"a statement that is cut off loses nothing": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			gone := errors.New("gone")
			ctx, cancel := context.WithCancelCause(f.Context())
			err := m.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
				if r.Offset == 2 {
					cancel(gone)
				}
				return f.effect(ctx, tx, r)
			})(ctx, batch(1, 2, 3))
			if err == nil || wrapping(err) != "" {
				f.Errorf("it says %v", err)
			}
			f.says(m.Each(f.effect)(f.Context(), batch(2)), 1, "ok", "", nil)
		},
		"a conflict is tried again": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			left := 2
			h := m.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
				if left > 0 && r.Offset == 2 {
					left--
					return fmt.Errorf("save: %w", errors.Join(f.effect(ctx, tx, r), coded("40001")))
				}
				return f.effect(ctx, tx, r)
			})
			f.says(h(f.Context(), batch(1, 2)), 2, "ok", "", nil)
			f.want(3, 1, 2)
			left = 1000
			f.says(h(f.Context(), batch(2)), 1, "whole", "fatal", nil) // its position was passed
			m.load()
			f.says(m.Each(f.failing(map[int64]error{4: coded("40P01")}))(f.Context(), batch(3, 4)), 2, "whole", "unavailable", coded("40P01"))
			f.want(3, 1, 2)
		},
		"a database that can do no more is no record's fault": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			h := m.Each(f.failing(map[int64]error{2: coded("53100")}))
			f.says(h(f.Context(), batch(1, 2)), 2, "at 1", "unavailable", coded("53100"))
			f.says(h(f.Context(), batch(2)), 1, "at 0", "unavailable", coded("53100"))
			f.want(2, 1)
		},
		"another system that is down is the handler's to judge": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			_, dial := (&dialer{}).dial(f.Context())
			f.says(m.Each(f.failing(map[int64]error{2: dial}))(f.Context(), batch(1, 2)), 2, "at 1", "", dial)
			f.want(2, 1)
		},
		"a handler that commits is stopped": func(f *fixture, opts sqltx.Options) {
			m := f.member(opts)
			f.says(m.Each(func(_ context.Context, tx *sql.Tx, _ *kgo.Record) error { return tx.Commit() })(f.Context(), batch(1)), 1, "whole", "fatal", nil)
			f.says(m.Each(func(_ context.Context, tx *sql.Tx, _ *kgo.Record) error { return tx.Rollback() })(f.Context(), batch(1, 2)), 2, "whole", "fatal", nil)
			f.want(-1)
		},
	}
	eachDatabase(t, func(t *testing.T, b backend) {
		for name, run := range cases {
			t.Run(name, func(t *testing.T) { run(newFixture(t, b), sqltx.Options{}) })
			t.Run(name+", no savepoints", func(t *testing.T) { run(newFixture(t, b), sqltx.Options{NoSavepoints: true}) })
		}
	})
}

func TestBatch(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		f := newFixture(t, b)
		m := f.member(sqltx.Options{})
		calls := 0
		handler := func(say func(b consumer.Batch) error) consumer.Handler {
			return m.Batch(func(ctx context.Context, tx *sql.Tx, b consumer.Batch) error {
				calls++
				err := say(b)
				done := len(b.Records)
				if i, ok, _ := consumer.FirstFailed(err, done); ok {
					done = i
				}
				for _, r := range b.Records[:done] {
					if err := f.effect(ctx, tx, r); err != nil {
						return err
					}
				}
				return err
			})
		}
		at := func(offset int64, err error) consumer.Handler {
			return handler(func(b consumer.Batch) error {
				for i, r := range b.Records {
					if r.Offset == offset {
						return consumer.FailedAt(i, err)
					}
				}
				return nil
			})
		}
		run := func(h consumer.Handler, b consumer.Batch) error { calls = 0; return h(f.Context(), b) }
		f.says(run(at(-1, nil), batch(0, 1, 2)), 3, "ok", "", nil)
		f.want(3, 0, 1, 2)
		f.says(run(at(5, consumer.Permanent(errBad)), batch(3, 4, 5, 6)), 4, "at 2", "permanent", errBad)
		f.want(5, 0, 1, 2, 3, 4)
		if calls != 2 {
			t.Errorf("%d calls, want one for the prefix too", calls)
		}
		f.says(run(at(5, errBad), batch(5, 6)), 2, "at 0", "", errBad)
		f.says(run(at(6, consumer.ErrStopped), batch(5, 6)), 2, "at 1", "", consumer.ErrStopped)
		if calls != 1 {
			t.Errorf("%d calls, want one: what was done is whole", calls)
		}
		f.says(run(handler(func(b consumer.Batch) error {
			if len(b.Records) < 4 {
				return nil
			}
			return consumer.Failed(map[int]error{3: errBad, 1: errBad})
		}), batch(6, 7, 8, 9)), 4, "at 1", "", errBad)
		f.says(run(handler(func(consumer.Batch) error { return errBad }), batch(7, 8)), 2, "whole", "", errBad)
		f.says(run(at(8, consumer.Fatal(errBad)), batch(7, 8)), 2, "at 1", "fatal", errBad)
		f.want(7, 0, 1, 2, 3, 4, 5, 6)
	})
}

// A handler that drops the error of a statement must not lose the record by it:
// PostgreSQL's transaction is of no use from then on.
func TestDroppedErrorOfAStatement(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		if b.dialect != sqltx.PostgreSQL {
			return // the others go on after an error, and so may the handler
		}
		for _, opts := range []sqltx.Options{{}, {NoSavepoints: true}} {
			for _, at := range []int64{0, 1, 2} {
				t.Run(fmt.Sprint(at, opts.NoSavepoints), func(t *testing.T) {
					f := newFixture(t, b)
					m := f.member(opts)
					err := m.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
						if r.Offset == at {
							_, _ = tx.ExecContext(ctx, `SELECT 1/0`)
							return nil
						}
						return f.effect(ctx, tx, r)
					})(f.Context(), batch(0, 1, 2))
					if opts.NoSavepoints {
						if err == nil || wrapping(err) != "" {
							t.Errorf("it says %v", err)
						}
						return
					}
					f.says(err, 3, fmt.Sprintf("at %d", at), "", nil)
					kept := []int64{0, 1, 2}[:at]
					f.want(map[int64]int64{0: -1, 1: 1, 2: 2}[at], kept...)
				})
			}
		}
	})
}

// A constraint that is looked at by COMMIT is broken by the records, not by the
// database: it counts as an attempt of the batch as a whole.
func TestDeferredConstraint(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		f := newFixture(t, b)
		serial := "INTEGER PRIMARY KEY"
		f.exec(`CREATE TABLE parents (id ` + serial + `)`)
		f.exec(`CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)`)
		if b.dialect == sqltx.SQLite {
			f.url += "&_pragma=foreign_keys(1)"
		}
		m := f.member(sqltx.Options{})
		h := m.Each(func(ctx context.Context, tx *sql.Tx, _ *kgo.Record) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO children VALUES (7)`)
			return err
		})
		f.says(h(f.Context(), batch(0, 1)), 2, "whole", "", nil)
		f.want(-1)
	})
}

// SQLite can end a whole transaction by a statement that fails: what came before
// it in the batch is done again.
func TestStatementThatEndsTheTransaction(t *testing.T) {
	f := newFixture(t, backend{sqltx.SQLite, sqliteFile})
	f.exec(`CREATE TABLE uniq (a INTEGER PRIMARY KEY)`)
	f.exec(`INSERT INTO uniq VALUES (1)`)
	m := f.member(sqltx.Options{})
	h := m.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
		if r.Offset == 2 {
			_, err := tx.ExecContext(ctx, `INSERT OR ROLLBACK INTO uniq VALUES (1)`)
			return err
		}
		return f.effect(ctx, tx, r)
	})
	f.says(h(f.Context(), batch(0, 1, 2, 3)), 4, "at 2", "", nil)
	f.want(2, 0, 1)
}
