package sqltx_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/consumer/sqltx"
)

// in runs fn in a transaction.
func (f *fixture) in(fn func(tx *sql.Tx) error) error {
	f.Helper()
	tx, err := f.admin.BeginTx(f.Context(), nil)
	if err != nil {
		f.Fatal(err)
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

func TestProcessed(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		f := newFixture(t, b)
		ids, err := sqltx.NewProcessed(f.admin, b.dialect, sqltx.ProcessedOptions{Chunk: 10})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := ids.Create(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		mark := func(scope, id string) (first bool) {
			t.Helper()
			if err := f.in(func(tx *sql.Tx) (err error) { first, err = ids.Mark(t.Context(), tx, scope, id); return err }); err != nil {
				t.Fatal(err)
			}
			return first
		}
		if !mark("s", "a") || mark("s", "a") || !mark("other", "a") {
			t.Error("Mark does not tell the first time")
		}
		_ = f.in(func(tx *sql.Tx) error {
			if first, err := ids.Mark(t.Context(), tx, "s", "undone"); !first || err != nil {
				t.Error(first, err)
			}
			return errBad
		})
		if !mark("s", "undone") {
			t.Error("what was rolled back counts")
		}
		odd := []string{"ü", `"`, `\`, "<&>", "'; DROP TABLE x; --", "", " ", "\u2028", "$1", strings.Repeat("x", 3000)}
		all := func(list ...string) (first []bool) {
			t.Helper()
			if err := f.in(func(tx *sql.Tx) (err error) { first, err = ids.MarkAll(t.Context(), tx, "s", list); return err }); err != nil {
				t.Fatal(err)
			}
			return first
		}
		if got := all("b", "a", "c", "b"); !slices.Equal(got, []bool{true, false, true, false}) {
			t.Errorf("MarkAll says %v", got)
		}
		if got := all(); len(got) != 0 {
			t.Errorf("MarkAll says %v of none", got)
		}
		if got := all(odd...); slices.Contains(got, false) {
			t.Errorf("MarkAll says %v", got)
		}
		for i, again := range all(odd...) {
			if again || mark("s", odd[i]) {
				t.Errorf("%q is new again", odd[i])
			}
		}
		for _, bad := range []string{"\xff", "a\x00b"} {
			if err := f.in(func(tx *sql.Tx) error { _, err := ids.MarkAll(t.Context(), tx, "s", []string{bad}); return err }); err == nil {
				t.Errorf("%q is taken", bad)
			}
		}
		testPrune(f, ids)
	})
}

func testPrune(f *fixture, ids *sqltx.Processed) {
	f.Helper()
	old := "now() - interval '2 hours'"
	if f.dialect == sqltx.SQLite {
		old = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 hours')"
	}
	f.exec(`DELETE FROM processed_ids`)
	for i := range 35 {
		f.exec(fmt.Sprintf(`INSERT INTO processed_ids VALUES ('old', '%d', %s)`, i, old))
	}
	if err := f.in(func(tx *sql.Tx) error { _, err := ids.Mark(f.Context(), tx, "new", "x"); return err }); err != nil {
		f.Fatal(err)
	}
	for _, c := range []struct {
		age  time.Duration
		want int64
	}{{3 * time.Hour, 0}, {time.Hour + 1500*time.Millisecond, 35}, {time.Hour, 0}} {
		if n, err := ids.Prune(f.Context(), c.age); n != c.want || err != nil {
			f.Errorf("pruned %d, want %d: %v", n, c.want, err)
		}
	}
	if _, err := ids.Prune(f.Context(), -1); err == nil {
		f.Error("a negative age is taken")
	}
}

// Run prunes until its context ends, gets over a database that is away, and
// refuses to run without a retention.
func TestProcessedRun(t *testing.T) {
	f := newFixture(t, backend{sqltx.SQLite, sqliteFile})
	if ids, err := sqltx.NewProcessed(f.admin, f.dialect, sqltx.ProcessedOptions{}); err != nil || ids.Run(t.Context()) == nil {
		t.Errorf("it runs without a retention, or is not made: %v", err)
	}
	ids, err := sqltx.NewProcessed(f.admin, f.dialect, sqltx.ProcessedOptions{
		Retention: time.Millisecond, Interval: 2 * time.Millisecond, Table: "main.seen", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ids.Run(ctx) }() // the table is not there yet
	if err := ids.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.in(func(tx *sql.Tx) error { _, err := ids.Mark(t.Context(), tx, "s", "a"); return err }); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		n := 0
		if err := f.admin.QueryRow(`SELECT count(*) FROM seen`).Scan(&n); err == nil && n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is pruned")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Two handlers have the same id open: the second one waits, and is not first
// if the first one commits, but is if it rolls back.
func TestProcessedAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		f := newFixture(t, b)
		ids, err := sqltx.NewProcessed(f.admin, b.dialect, sqltx.ProcessedOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := ids.Create(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
			id := fmt.Sprint(i)
			tx, err := f.admin.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if first, err := ids.Mark(t.Context(), tx, "s", id); !first || err != nil {
				t.Fatal(first, err)
			}
			second := make(chan []bool, 1)
			go func() {
				var first []bool
				if err := f.in(func(tx *sql.Tx) (err error) {
					first, err = ids.MarkAll(t.Context(), tx, "s", []string{id})
					return err
				}); err != nil {
					t.Error(err)
				}
				second <- first
			}()
			f.blocked()
			if err := end(tx); err != nil {
				t.Fatal(err)
			}
			if got := <-second; !slices.Equal(got, []bool{i == 1}) {
				t.Errorf("the second one says %v", got)
			}
		}
	})
}
