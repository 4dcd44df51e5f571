package sqltx_test

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer/sqltx"
)

func TestWhatIsRefused(t *testing.T) {
	db, _, err := open(sqltx.SQLite, ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for want, try := range map[string]func() error{
		"needs a *sql.DB":     func() error { _, err := sqltx.New(nil, sqltx.SQLite, sqltx.Options{}); return err },
		`dialect "oracle" is`: func() error { _, err := sqltx.New(db, "oracle", sqltx.Options{}); return err },
		"one isolation level": func() error {
			_, err := sqltx.New(db, sqltx.SQLite, sqltx.Options{Isolation: sql.LevelSerializable})
			return err
		},
		"Options.Timeout":    func() error { _, err := sqltx.New(db, sqltx.SQLite, sqltx.Options{Timeout: -1}); return err },
		"name of a table":    func() error { _, err := sqltx.New(db, sqltx.SQLite, sqltx.Options{Table: `a"; --`}); return err },
		`"a.b.c" cannot be`:  func() error { _, err := sqltx.New(db, sqltx.SQLite, sqltx.Options{Table: "a.b.c"}); return err },
		"NewProcessed needs": func() error { _, err := sqltx.NewProcessed(nil, sqltx.SQLite, sqltx.ProcessedOptions{}); return err },
		"none may be negative": func() error {
			_, err := sqltx.NewProcessed(db, sqltx.SQLite, sqltx.ProcessedOptions{Chunk: -1})
			return err
		},
		`the dialect "" is none`: func() error { _, err := sqltx.NewProcessed(db, "", sqltx.ProcessedOptions{}); return err },
		`"1x" cannot be the name`: func() error {
			_, err := sqltx.NewProcessed(db, sqltx.SQLite, sqltx.ProcessedOptions{Table: "1x"})
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	s, err := sqltx.New(db, sqltx.SQLite, sqltx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Each(nil)(t.Context(), batch(0)); wrapping(err) != "fatal" || !strings.Contains(err.Error(), "Config.Offsets") {
		t.Errorf("a handler whose store was never loaded: %v", err)
	}
	if err := s.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), "g", nil); err != nil {
		t.Error(err)
	}
	if _, err := s.Load(t.Context(), "h", nil); err == nil || s.Skip(t.Context(), "h", topic, 0, 1) == nil {
		t.Error("a store serves two groups")
	}
}

// Many members may create the table at once; it may lie in a schema, and be
// called by a reserved word.
func TestCreate(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		f := newFixture(t, b)
		table := "main.order"
		if b.dialect == sqltx.PostgreSQL {
			f.exec(`CREATE SCHEMA other`)
			table = "other.order"
		}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				db, _ := f.open()
				if err := f.store(db, sqltx.Options{Table: table}).Create(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		s := f.store(f.admin, sqltx.Options{Table: table})
		if !strings.Contains(s.DDL(), `"order"`) {
			t.Errorf("DDL: %s", s.DDL())
		}
		if err := s.Reset(t.Context(), "g", topic, 1, 7); err != nil {
			t.Fatal(err)
		}
		next, err := s.Load(t.Context(), "g", map[string][]int32{topic: {0, 1}, "t2": {3}})
		if err != nil || len(next) != 1 || len(next[topic]) != 1 || next[topic][1] != 7 {
			t.Errorf("loaded %v: %v", next, err)
		}
	})
}

// A member loads more partitions than go into one statement.
func TestLoadMany(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		f := newFixture(t, b)
		s := f.store(f.admin, sqltx.Options{})
		want := map[string][]int32{}
		for i := range int32(450) {
			want[topic] = append(want[topic], 449-i)
		}
		for round := range 2 {
			next, err := s.Load(t.Context(), f.group, want)
			if err != nil || len(next[topic]) != round*450 {
				t.Fatalf("loaded %d: %v", len(next[topic]), err)
			}
			for _, p := range want[topic] {
				if err := s.Reset(t.Context(), f.group, topic, p, int64(p)); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// Real conflicts: two serializable transactions that read what the other writes,
// and a writer that holds SQLite's only lock.
func TestRealConflicts(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		f := newFixture(t, b)
		if b.dialect == sqltx.SQLite {
			f.url = strings.ReplaceAll(f.url, "busy_timeout(10000)", "busy_timeout(1)")
			m := f.member(sqltx.Options{})
			other, err := f.admin.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.Exec(`INSERT INTO effects (grp, part, pos) VALUES ('other', 0, 0)`); err != nil {
				t.Fatal(err)
			}
			f.says(m.Each(f.effect)(t.Context(), batch(0)), 1, "whole", "unavailable", nil)
			if err := other.Rollback(); err != nil {
				t.Fatal(err)
			}
			f.says(m.Each(f.effect)(t.Context(), batch(0)), 1, "ok", "", nil)
			return
		}
		m := f.member(sqltx.Options{Isolation: sql.LevelSerializable})
		tries := 0
		h := m.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
			n := 0
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM effects`).Scan(&n); err != nil {
				return err
			}
			if tries++; tries == 1 { // another one does the same, and is first
				other, err := f.admin.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
				if err != nil {
					return err
				}
				if err := other.QueryRowContext(ctx, `SELECT count(*) FROM effects`).Scan(&n); err != nil {
					return err
				}
				if _, err := other.ExecContext(ctx, `INSERT INTO effects (grp, part, pos) VALUES ('other', 0, 0)`); err != nil {
					return err
				}
				if err := other.Commit(); err != nil {
					return err
				}
			}
			return f.effect(ctx, tx, r)
		})
		f.says(h(t.Context(), batch(0)), 1, "ok", "", nil)
		if tries != 2 {
			t.Errorf("%d tries, want 2", tries)
		}
		f.want(1, 0)
	})
}

// A handler that takes longer than its timeout fails as an attempt, if the
// database is there; if not, it is the database that is to blame.
func TestHandlerTimeout(t *testing.T) {
	eachDatabase(t, func(t *testing.T, b backend) {
		if b.dialect == sqltx.SQLite {
			return // a statement of it does not hang without a lock
		}
		f := newFixture(t, b)
		m := f.member(sqltx.Options{Timeout: time.Second})
		h := m.Each(func(ctx context.Context, tx *sql.Tx, _ *kgo.Record) error {
			_, err := tx.ExecContext(ctx, `SELECT pg_sleep(60)`)
			return err
		})
		run := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			return h(ctx, batch(0))
		}
		f.says(run(), 1, "whole", "", context.DeadlineExceeded)
		m.spy.watch(func(at string) error {
			if at == beforeBegin {
				m.spy.down()
			}
			return nil
		})
		f.says(run(), 1, "whole", "unavailable", nil)
	})
}
