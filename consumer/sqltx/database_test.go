package sqltx_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/sqltx"
	"github.com/ksim-dev/ksim/internal/services"
)

const (
	topic    = "orders"
	patience = 60 * time.Second
)

// A backend is a database that cases run on.
type backend struct {
	dialect sqltx.Dialect
	dsn     func(t testing.TB) string
}

// sqliteFile is the DSN of a database file as one uses it in production.
func sqliteFile(t testing.TB) string {
	return "file:" + filepath.Join(t.TempDir(), "effects.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)"
}

// eachDatabase runs a test on SQLite, and on a PostgreSQL of its own.
func eachDatabase(t *testing.T, run func(t *testing.T, b backend)) {
	t.Run("sqlite", func(t *testing.T) { run(t, backend{sqltx.SQLite, sqliteFile}) })
	t.Run("postgresql", func(t *testing.T) {
		url := services.Postgres(t)
		run(t, backend{sqltx.PostgreSQL, func(testing.TB) string { return url }})
	})
}

// fixture is a database with effects, in which each test has its own group.
type fixture struct {
	*testing.T
	backend
	url   string
	group string
	admin *sql.DB // past all spies
}

func newFixture(t *testing.T, b backend) *fixture {
	t.Helper()
	f := &fixture{T: t, backend: b, url: b.dsn(t), group: t.Name()}
	f.admin, _ = f.open()
	id := "BIGSERIAL PRIMARY KEY"
	if b.dialect == sqltx.SQLite {
		id = "INTEGER PRIMARY KEY AUTOINCREMENT"
	}
	f.exec(`CREATE TABLE IF NOT EXISTS effects (id ` + id + `, grp TEXT NOT NULL, part INTEGER NOT NULL, pos BIGINT NOT NULL)`)
	if err := f.store(f.admin, sqltx.Options{}).Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) open() (*sql.DB, *spy) {
	f.Helper()
	db, s, err := open(f.dialect, f.url)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	return db, s
}

func (f *fixture) exec(query string, args ...any) {
	f.Helper()
	if _, err := f.admin.ExecContext(f.Context(), query, args...); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) store(db *sql.DB, opts sqltx.Options) *sqltx.Store {
	f.Helper()
	s, err := sqltx.New(db, f.dialect, opts)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// member is a store that has taken partition 0 over, and what spies on it.
type member struct {
	*sqltx.Store
	f   *fixture
	spy *spy
	db  *sql.DB
}

func (f *fixture) member(opts sqltx.Options) *member {
	f.Helper()
	db, s := f.open()
	m := &member{f.store(db, opts), f, s, db}
	m.load()
	return m
}

// load takes the partition over, and returns its position; -1 for none.
func (m *member) load() int64 {
	m.f.Helper()
	next, err := m.Load(m.f.Context(), m.f.group, map[string][]int32{topic: {0}})
	if err != nil {
		m.f.Fatal(err)
	}
	if n, ok := next[topic][0]; ok {
		return n
	}
	return -1
}

// effect writes a record's effect, as a handler does.
func (f *fixture) effect(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
	query := `INSERT INTO effects (grp, part, pos) VALUES ($1, $2, $3)`
	if f.dialect == sqltx.SQLite {
		query = `INSERT INTO effects (grp, part, pos) VALUES (?, ?, ?)`
	}
	_, err := tx.ExecContext(ctx, query, f.group, r.Partition, r.Offset)
	return err
}

// failing is effect, but fails at some offsets after it has written.
func (f *fixture) failing(at map[int64]error) func(context.Context, *sql.Tx, *kgo.Record) error {
	return func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
		return errors.Join(f.effect(ctx, tx, r), at[r.Offset])
	}
}

func batch(offsets ...int64) consumer.Batch {
	b := consumer.Batch{Topic: topic}
	for _, o := range offsets {
		b.Records = append(b.Records, &kgo.Record{Topic: topic, Offset: o})
	}
	return b
}

// want checks the effects, in order, and the position.
func (f *fixture) want(next int64, offsets ...int64) {
	f.Helper()
	param := "$1"
	if f.dialect == sqltx.SQLite {
		param = "?1"
	}
	rows, err := f.admin.QueryContext(f.Context(), `SELECT pos FROM effects WHERE grp = `+param+` ORDER BY id`, f.group)
	if err != nil {
		f.Fatal(err)
	}
	var got []int64
	for rows.Next() {
		var o int64
		if err := rows.Scan(&o); err != nil {
			f.Fatal(err)
		}
		got = append(got, o)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		f.Fatal(err)
	}
	if !slices.Equal(got, offsets) {
		f.Errorf("effects %v, want %v", got, offsets)
	}
	stored := int64(0)
	if err := f.admin.QueryRowContext(f.Context(), `SELECT next_offset FROM consumer_offsets WHERE consumer_group = `+param, f.group).Scan(&stored); err != nil {
		f.Fatal(err)
	}
	if stored != next {
		f.Errorf("the position is %d, want %d", stored, next)
	}
}

// says checks what a handler returned, for a batch of n: "ok", "at 2", or "whole",
// what it is wrapped in by consumer, such as "fenced", "" for nothing, and its cause.
func (f *fixture) says(err error, n int, want, wrap string, is error) {
	f.Helper()
	i, ok, cause := consumer.FirstFailed(err, n)
	got := fmt.Sprintf("at %d", i)
	switch {
	case err == nil:
		got = "ok"
	case !ok:
		got = "whole"
	}
	if got != want || wrapping(cause) != wrap || is != nil && !errors.Is(cause, is) {
		f.Errorf("the handler says %s %s: %v; want %s %s: %v", got, wrapping(cause), err, want, wrap, is)
	}
}

// wrapping names the outermost of consumer's wrappers around an error. They are
// private to it, but their types have names.
func wrapping(err error) string {
	for err != nil {
		switch name := strings.TrimPrefix(fmt.Sprintf("%T", err), "*consumer."); name {
		case "permanent", "fatal", "unavailable", "retryAfter":
			return name
		case "outdated":
			return "fenced"
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				if w := wrapping(e); w != "" {
					return w
				}
			}
			return ""
		}
		err = errors.Unwrap(err)
	}
	return ""
}
