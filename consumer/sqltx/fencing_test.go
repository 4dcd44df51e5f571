package sqltx_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/sqltx"
)

// once calls fn the first time that a point is reached.
func once(point string, fn func() error) func(string) error {
	var done atomic.Bool
	return func(at string) error {
		if at != point || done.Swap(true) {
			return nil
		}
		return fn()
	}
}

// always answers with err at some points.
func always(err error, points ...string) func(string) error {
	return func(at string) error {
		for _, p := range points {
			if p == at {
				return err
			}
		}
		return nil
	}
}

func TestFencing(t *testing.T) {
	cases := map[string]func(f *fixture){
		"the former owner's work is undone": func(f *fixture) {
			a, b := f.member(sqltx.Options{}), f.member(sqltx.Options{})
			f.says(a.Each(f.effect)(f.Context(), batch(0, 1)), 2, "whole", "fenced", nil)
			f.says(a.Batch(func(ctx context.Context, tx *sql.Tx, b consumer.Batch) error {
				return f.effect(ctx, tx, b.Records[0])
			})(f.Context(), batch(0)), 1, "whole", "fenced", nil)
			if err := a.Skip(f.Context(), f.group, topic, 0, 1); wrapping(err) != "fenced" {
				f.Errorf("skip says %v", err)
			}
			f.says(b.Each(f.effect)(f.Context(), batch(0)), 1, "ok", "", nil)
			f.want(1, 0)
		},
		// a handles, b loads, a goes on: a frozen process that thaws.
		"loaded by another before the compare-and-set": func(f *fixture) {
			if f.dialect == sqltx.SQLite {
				return // b waits for a's write lock: see the next case
			}
			a, b := f.member(sqltx.Options{}), f.member(sqltx.Options{})
			a.load()
			a.spy.watch(once(beforeMove, func() error { b.load(); return nil }))
			f.says(a.Each(f.effect)(f.Context(), batch(0)), 1, "whole", "fenced", nil)
			f.says(b.Each(f.effect)(f.Context(), batch(0)), 1, "ok", "", nil)
			f.want(1, 0)
		},
		"loaded by another between the compare-and-set and the commit": func(f *fixture) {
			a, b := f.member(sqltx.Options{}), f.member(sqltx.Options{})
			a.load()
			var committed atomic.Bool
			loaded := make(chan int64, 1)
			a.spy.watch(func(at string) error {
				switch at {
				case afterMove:
					go func() {
						next := b.load()
						if !committed.Load() {
							f.Error("it was loaded before its former owner had committed")
						}
						loaded <- next
					}()
					f.blocked()
				case beforeEnd:
					committed.Store(true) // before it has, but b cannot see that
				}
				return nil
			})
			f.says(a.Each(f.effect)(f.Context(), batch(0, 1)), 2, "ok", "", nil)
			a.spy.watch(nil)
			select {
			case next := <-loaded:
				if next != 2 {
					f.Errorf("loaded %d, want 2", next)
				}
			case <-time.After(patience):
				f.Fatal("the partition is never loaded")
			}
			f.says(a.Each(f.effect)(f.Context(), batch(2)), 1, "whole", "fenced", nil)
			f.says(b.Each(f.effect)(f.Context(), batch(2)), 1, "ok", "", nil)
			f.want(3, 0, 1, 2)
		},
		"waiting for the former owner ends with the context": func(f *fixture) {
			a, b := f.member(sqltx.Options{}), f.member(sqltx.Options{})
			a.load()
			a.spy.watch(once(afterMove, func() error {
				ctx, cancel := context.WithTimeout(f.Context(), 50*time.Millisecond)
				defer cancel()
				if _, err := b.Load(ctx, f.group, map[string][]int32{topic: {0}}); err == nil {
					f.Error("it was loaded")
				}
				return nil
			}))
			f.says(a.Each(f.effect)(f.Context(), batch(0)), 1, "ok", "", nil)
			f.want(1, 0)
		},
		"a rejoin of the same member goes on": func(f *fixture) {
			a := f.member(sqltx.Options{})
			f.says(a.Each(f.effect)(f.Context(), batch(0)), 1, "ok", "", nil)
			if got := a.load(); got != 1 {
				f.Errorf("loaded %d", got)
			}
			f.says(a.Each(f.effect)(f.Context(), batch(1)), 1, "ok", "", nil)
			f.want(2, 0, 1)
		},
		"reset fences, and decides": func(f *fixture) {
			a := f.member(sqltx.Options{})
			f.says(a.Each(f.effect)(f.Context(), batch(0, 1)), 2, "ok", "", nil)
			if err := a.Reset(f.Context(), f.group, topic, 0, 1); err != nil {
				f.Fatal(err)
			}
			f.says(a.Each(f.effect)(f.Context(), batch(2)), 1, "whole", "fenced", nil)
			if got := a.load(); got != 1 {
				f.Errorf("loaded %d", got)
			}
			f.says(a.Each(f.effect)(f.Context(), batch(1)), 1, "ok", "", nil)
			f.want(2, 0, 1, 1)
			if err := a.Reset(f.Context(), f.group, topic, 0, -1); err != nil || a.load() != -1 {
				f.Errorf("it is not forgotten: %v", err)
			}
			if err := a.Reset(f.Context(), f.group, topic, 0, -2); err == nil {
				f.Error("-2 is taken for an offset")
			}
		},
		"records before the position stop the consumer": func(f *fixture) {
			a := f.member(sqltx.Options{})
			f.says(a.Each(f.effect)(f.Context(), batch(5)), 1, "ok", "", nil)
			err := a.Each(f.effect)(f.Context(), batch(0, 1))
			f.says(err, 2, "whole", "fatal", nil)
			var rewound *sqltx.RewoundError
			if !errors.As(err, &rewound) || rewound.Offset != 0 || rewound.Next != 6 {
				f.Errorf("%v", err)
			}
			f.want(6, 5)
		},
		"a row that is gone": func(f *fixture) {
			a := f.member(sqltx.Options{})
			f.exec(`DELETE FROM consumer_offsets`)
			f.says(a.Each(f.effect)(f.Context(), batch(0)), 1, "whole", "fenced", nil)
			a.load()
			f.says(a.Each(f.effect)(f.Context(), batch(0)), 1, "ok", "", nil)
			f.want(1, 0)
		},
	}
	eachDatabase(t, func(t *testing.T, b backend) {
		for name, run := range cases {
			t.Run(name, func(t *testing.T) { run(newFixture(t, b)) })
		}
	})
}

// blocked waits until somebody waits for a lock, where that can be seen.
func (f *fixture) blocked() {
	if f.dialect == sqltx.SQLite {
		return
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		n := 0
		if err := f.admin.QueryRowContext(f.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&n); err != nil {
			f.Error(err)
			return
		}
		if n > 0 {
			return
		}
		if time.Now().After(deadline) {
			f.Error("nobody waits for the row")
			return
		}
	}
}

// A COMMIT without an answer: it is found out, and nothing is done twice or not at all.
func TestUnknownCommit(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		t.Run("it was done", func(t *testing.T) {
			f := newFixture(t, b)
			m := f.member(sqltx.Options{})
			m.spy.watch(once(afterEnd, func() error { return driver.ErrBadConn }))
			f.says(m.Each(f.effect)(f.Context(), batch(0, 1)), 2, "ok", "", nil)
			f.says(m.Each(f.effect)(f.Context(), batch(2)), 1, "ok", "", nil)
			f.want(3, 0, 1, 2)
		})
		t.Run("it was not done", func(t *testing.T) {
			f := newFixture(t, b)
			m := f.member(sqltx.Options{})
			m.spy.watch(once(beforeEnd, func() error { return driver.ErrBadConn }))
			h := m.Each(f.effect)
			f.says(h(f.Context(), batch(0, 1)), 2, "whole", "unavailable", driver.ErrBadConn)
			f.want(-1)
			f.says(h(f.Context(), batch(0, 1)), 2, "ok", "", nil)
			f.want(2, 0, 1)
		})
		t.Run("it was done, and that is seen later", func(t *testing.T) {
			f := newFixture(t, b)
			m := f.member(sqltx.Options{})
			calls := 0
			h := m.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
				calls++
				return f.effect(ctx, tx, r)
			})
			m.spy.watch(always(driver.ErrBadConn, afterEnd, beforeRead))
			f.says(h(f.Context(), batch(0, 1)), 2, "whole", "unavailable", nil)
			f.says(h(f.Context(), batch(0, 1)), 2, "whole", "unavailable", nil)
			if err := m.Skip(f.Context(), f.group, topic, 0, 1); wrapping(err) != "unavailable" {
				t.Errorf("skip says %v", err)
			}
			m.spy.watch(nil)
			f.says(h(f.Context(), batch(0, 1, 2)), 3, "at 2", "", consumer.ErrStopped)
			f.says(h(f.Context(), batch(2, 3)), 2, "ok", "", nil)
			f.want(4, 0, 1, 2, 3)
			if calls != 4 {
				t.Errorf("%d records were handled, want 4", calls)
			}
		})
		t.Run("it was not done, and that is seen later", func(t *testing.T) {
			f := newFixture(t, b)
			m := f.member(sqltx.Options{})
			h := m.Each(f.effect)
			m.spy.watch(always(driver.ErrBadConn, beforeEnd, beforeRead))
			f.says(h(f.Context(), batch(0, 1)), 2, "whole", "unavailable", nil)
			m.spy.watch(nil)
			f.says(h(f.Context(), batch(0, 1)), 2, "ok", "", nil)
			f.want(2, 0, 1)
		})
		t.Run("it was done, and another has the partition by now", func(t *testing.T) {
			f := newFixture(t, b)
			m := f.member(sqltx.Options{})
			m.spy.watch(always(driver.ErrBadConn, afterEnd, beforeRead))
			f.says(m.Each(f.effect)(f.Context(), batch(0)), 1, "whole", "unavailable", nil)
			m.spy.watch(nil)
			other := f.member(sqltx.Options{})
			f.says(m.Each(f.effect)(f.Context(), batch(0)), 1, "whole", "fenced", nil)
			f.says(other.Each(f.effect)(f.Context(), batch(1)), 1, "ok", "", nil)
			f.want(2, 0, 1)
		})
		t.Run("of a skip", func(t *testing.T) {
			f := newFixture(t, b)
			m := f.member(sqltx.Options{})
			m.spy.watch(once(afterEnd, func() error { return driver.ErrBadConn }))
			for range 2 {
				if err := m.Skip(f.Context(), f.group, topic, 0, 1); err != nil {
					t.Error(err)
				}
			}
			m.spy.watch(once(beforeEnd, func() error { return driver.ErrBadConn }))
			if err := m.Skip(f.Context(), f.group, topic, 0, 3); wrapping(err) != "unavailable" {
				t.Error(err)
			}
			if err := m.Skip(f.Context(), f.group, topic, 0, 3); err != nil {
				t.Error(err)
			}
			f.want(3)
		})
		t.Run("of a prefix", func(t *testing.T) {
			f := newFixture(t, b)
			m := f.member(sqltx.Options{})
			h := m.Each(f.failing(map[int64]error{2: consumer.Permanent(errBad)}))
			m.spy.watch(always(driver.ErrBadConn, afterEnd, beforeRead))
			f.says(h(f.Context(), batch(0, 1, 2)), 3, "whole", "unavailable", nil)
			m.spy.watch(nil)
			f.says(h(f.Context(), batch(0, 1, 2)), 3, "at 2", "", consumer.ErrStopped)
			f.says(h(f.Context(), batch(2)), 1, "at 0", "permanent", errBad)
			f.want(2, 0, 1)
		})
	})
}

func TestDatabaseIsDown(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		f := newFixture(t, b)
		m := f.member(sqltx.Options{})
		h := m.Each(f.effect)
		for _, points := range [][]string{{beforeBegin}, {beforeMove}, {afterMove}, {beforeEnd, beforeRead}} {
			_, dial := (&dialer{}).dial(t.Context())
			m.spy.watch(always(dial, points...))
			f.says(h(t.Context(), batch(0)), 1, "whole", "unavailable", nil)
			if err := m.Skip(t.Context(), f.group, topic, 0, 1); wrapping(err) != "unavailable" {
				t.Errorf("skip says %v", err)
			}
		}
		m.spy.watch(always(driver.ErrBadConn, beforeBegin, atLoad))
		if _, err := m.Load(t.Context(), f.group, map[string][]int32{topic: {0}}); err == nil {
			t.Error("it loads")
		}
		m.spy.watch(nil)
		f.says(h(t.Context(), batch(0)), 1, "ok", "", nil)
		f.want(1, 0)
	})
}
