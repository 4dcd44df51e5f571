package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ksim-dev/ksim/consumer"
)

// Options are the choices of a [Store]. The zero value is good.
type Options struct {
	// Table holds the positions, "consumer_offsets" if empty; schema.table may be
	// given. Many groups and topics share one.
	Table string
	// Isolation is that of the transactions that handlers work in. The positions
	// are safe at any level; zero is the database's default. SQLite has one only.
	Isolation sql.IsolationLevel
	// NoSavepoints makes [Store.Each] do without a savepoint for each record: if
	// one fails, the transaction is rolled back, and those before it are handled
	// again in another. That saves a round trip for each record. PostgreSQL keeps
	// 64 subtransactions of a transaction in memory, and slows down with more
	// where others read the same rows: prefer it there for batches above 64.
	NoSavepoints bool
	// Timeout bounds what the store does by itself and a context does not end: a
	// COMMIT or a ROLLBACK, finding out what became of one, storing a position. 10 s if zero.
	Timeout time.Duration
	// Classify tells errors apart, [Classify] if nil.
	Classify func(error) Class
}

// Store keeps the positions of a consumer's partitions in a table beside its
// effects. It is the consumer.OffsetStore for Config.Offsets, and makes the
// handlers that move positions and effects in one transaction. See the package
// documentation.
//
// A Store belongs to one [consumer.Consumer]: two would take each other for
// themselves. Make one for each; they may share the *sql.DB.
type Store struct {
	db      *sql.DB
	dialect Dialect
	opts    Options
	table   string // quoted
	sql     statements

	loads     atomic.Uint64
	mu        sync.Mutex
	group     string
	positions map[topicPartition]position
}

var _ consumer.OffsetStore = (*Store)(nil)

// statements are what a store says to the database.
type statements struct {
	create, read, touch, move, reset string
}

// New returns a store on db, whose driver speaks the dialect. It asks nothing of
// the database; the table must exist before the consumer runs (see [Store.Create]).
func New(db *sql.DB, dialect Dialect, opts Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqltx: New needs a *sql.DB")
	}
	if err := dialect.check(); err != nil {
		return nil, err
	}
	if dialect == SQLite && opts.Isolation != sql.LevelDefault {
		return nil, fmt.Errorf("sqltx: SQLite has one isolation level, leave Options.Isolation at its zero value instead of %s", opts.Isolation)
	}
	if opts.Timeout < 0 {
		return nil, fmt.Errorf("sqltx: Options.Timeout: %v is negative", opts.Timeout)
	}
	if opts.Timeout == 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.Table == "" {
		opts.Table = "consumer_offsets"
	}
	if opts.Classify == nil {
		opts.Classify = Classify
	}
	table, err := quoted(opts.Table)
	if err != nil {
		return nil, err
	}
	return &Store{db: db, dialect: dialect, opts: opts, table: table, sql: dialect.statements(table), positions: make(map[topicPartition]position)}, nil
}

func (d Dialect) statements(table string) statements {
	const row = ` WHERE consumer_group = $1 AND topic = $2 AND partition_id = $3`
	// Only PostgreSQL has to be told to wait, see Store.resolve.
	wait := ""
	if d == PostgreSQL {
		wait = " FOR UPDATE"
	}
	s := statements{
		create: `CREATE TABLE IF NOT EXISTS {t} (
	consumer_group TEXT NOT NULL,
	topic TEXT NOT NULL,
	partition_id INTEGER NOT NULL,
	next_offset BIGINT NOT NULL, -- the next record to handle; -1 before the first
	epoch BIGINT NOT NULL, -- grows with each owner
	updated_at ` + d.timestamp() + ` NOT NULL,
	PRIMARY KEY (consumer_group, topic, partition_id)
)`,
		read:  `SELECT epoch, next_offset FROM {t}` + row + wait,
		touch: `UPDATE {t} SET epoch = epoch` + row + ` AND next_offset = $4 AND epoch = $5`,
		move:  `UPDATE {t} SET next_offset = $6, updated_at = {now}` + row + ` AND next_offset = $4 AND epoch = $5`,
		reset: `INSERT INTO {t} AS o (consumer_group, topic, partition_id, next_offset, epoch, updated_at) VALUES ($1, $2, $3, $4, 1, {now})
ON CONFLICT (consumer_group, topic, partition_id) DO UPDATE SET next_offset = excluded.next_offset, epoch = o.epoch + 1, updated_at = {now}`,
	}
	for _, text := range []*string{&s.create, &s.read, &s.touch, &s.move, &s.reset} {
		*text = d.sql(*text, table)
	}
	return s
}

// DDL returns the statement that makes the table, for those who keep migrations.
func (s *Store) DDL() string { return s.sql.create }

// Create makes the table if it is not there. Many members may call it at once.
func (s *Store) Create(ctx context.Context) error {
	return create(ctx, s.db, s.dialect, s.opts.Table, s.sql.create)
}

// create runs DDL. PostgreSQL's IF NOT EXISTS fails where two do it at once, so
// they take turns.
func create(ctx context.Context, db *sql.DB, d Dialect, table string, ddl ...string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqltx: create %s: %w", table, err)
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after the commit
	if d == PostgreSQL {
		ddl = append([]string{`SELECT pg_advisory_xact_lock(hashtext('sqltx.create'))`}, ddl...)
	}
	for _, statement := range ddl {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("sqltx: create %s: %w", table, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqltx: create %s: %w", table, err)
	}
	return nil
}

// Reset says by hand where a partition goes on: to replay it, to skip a part,
// or after its topic was made anew. Next is the offset of the next record to
// handle; -1 forgets the position, and what is committed to Kafka decides again.
// Whoever has the partition is fenced, joins again, and goes on from there.
func (s *Store) Reset(ctx context.Context, group, topic string, partition int32, next int64) error {
	if next < unknown {
		return fmt.Errorf("sqltx: reset %s/%d: there is no offset %d", topic, partition, next)
	}
	if _, err := s.db.ExecContext(ctx, s.sql.reset, group, topic, partition, next); err != nil {
		return fmt.Errorf("sqltx: reset %s/%d: %w", topic, partition, err)
	}
	return nil
}

// plain are the options of the store's own transactions. In PostgreSQL, at READ
// COMMITTED whoever waited for a row sees it as it is then; above that he would fail.
func (s *Store) plain() *sql.TxOptions {
	if s.dialect == SQLite {
		return nil
	}
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

// bounded is for what must be ended even if the context has.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
}

func (s *Store) groupName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.group
}
