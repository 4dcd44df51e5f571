package sqltx

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"
)

// ProcessedOptions are the choices of [Processed].
type ProcessedOptions struct {
	// Table holds the ids, "processed_ids" if empty; schema.table may be given.
	Table string
	// Retention is how long [Processed.Run] keeps an id. An id that is forgotten
	// can be processed again, so it must be longer than the oldest record that
	// can come again is old: the retention of the topic, if offsets may be reset
	// to its beginning or a producer may send an id anew; at the least the time for
	// which a consumer can be down or stuck. Required by Run.
	Retention time.Duration
	// Interval is the time between two prunings by Run. One hour if zero.
	Interval time.Duration
	// Chunk is how many rows a pruning deletes at once, so that it holds no locks
	// for long. 5000 if zero.
	Chunk int
	// Logger is told of prunings, slog.Default() if nil.
	Logger *slog.Logger
}

// Processed keeps the ids of what has been processed, in the database that the
// effects go to, so that a record that comes again is known by its id. It works
// with any Order and with plain handlers: the consumer is at least once, and the
// handler marks the id in the same transaction as its effect.
//
//	first, err := ids.Mark(ctx, tx, "billing", orderID)
//	if err != nil || !first {
//		return err // done before: nothing to do
//	}
//	// the effect, through tx
//
// What identifies a message is the sender's id: an offset changes when a record is sent again.
// It is safe for concurrent use.
type Processed struct {
	db      *sql.DB
	dialect Dialect
	opts    ProcessedOptions
	ddl     []string
	mark    string
	markAll string
	prune   string
}

// NewProcessed returns a set of ids on db, whose driver speaks the dialect. Its
// table must exist before it is used (see [Processed.Create]).
func NewProcessed(db *sql.DB, dialect Dialect, opts ProcessedOptions) (*Processed, error) {
	if db == nil {
		return nil, errors.New("sqltx: NewProcessed needs a *sql.DB")
	}
	if err := dialect.check(); err != nil {
		return nil, err
	}
	if opts.Retention < 0 || opts.Interval < 0 || opts.Chunk < 0 {
		return nil, fmt.Errorf("sqltx: ProcessedOptions: Retention %v, Interval %v, Chunk %d: none may be negative", opts.Retention, opts.Interval, opts.Chunk)
	}
	if opts.Table == "" {
		opts.Table = "processed_ids"
	}
	if opts.Interval == 0 {
		opts.Interval = time.Hour
	}
	if opts.Chunk == 0 {
		opts.Chunk = 5000
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	table, err := quoted(opts.Table)
	if err != nil {
		return nil, err
	}
	p := &Processed{db: db, dialect: dialect, opts: opts}
	p.write(table)
	return p, nil
}

// write makes the statements. A list of ids goes in as one JSON text: every
// driver can pass it, and the statement is the same for any number of them.
// They are inserted in order, so that two transactions with the same ones do
// not wait for each other.
func (p *Processed) write(table string) {
	// The index goes where its table is; the databases want to hear that differently.
	dot := strings.LastIndexByte(p.opts.Table, '.') + 1
	index, on := `"`+p.opts.Table[dot:]+`_by_age"`, table
	rowid, list := " WITHOUT ROWID", `json_each($2)`
	prune := `DELETE FROM {t} WHERE (scope, id) IN (SELECT scope, id FROM {t} WHERE processed_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || ($1 / 1000.0) || ' seconds') ORDER BY processed_at LIMIT $2)`
	if p.dialect == SQLite && dot > 0 {
		index, on = strings.TrimSuffix(table, `"`)+`_by_age"`, `"`+p.opts.Table[dot:]+`"`
	}
	if p.dialect == PostgreSQL {
		rowid, list = "", `json_array_elements_text(CAST($2 AS json)) AS ids(value)`
		// Several may prune at once: none waits for the rows of another.
		prune = `DELETE FROM {t} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {t} WHERE processed_at < now() - CAST($1 AS bigint) * interval '1 millisecond' ORDER BY processed_at LIMIT $2 FOR UPDATE SKIP LOCKED))`
	}
	const insert = `INSERT INTO {t} (scope, id, processed_at) `
	texts := []string{
		`CREATE TABLE IF NOT EXISTS {t} (
	scope TEXT NOT NULL,
	id TEXT NOT NULL,
	processed_at ` + p.dialect.timestamp() + ` NOT NULL,
	PRIMARY KEY (scope, id)
)` + rowid,
		`CREATE INDEX IF NOT EXISTS ` + index + ` ON ` + on + ` (processed_at)`,
		insert + `VALUES ($1, $2, {now}) ON CONFLICT DO NOTHING`,
		insert + `SELECT CAST($1 AS text), value, {now} FROM ` + list + ` WHERE true ORDER BY 2 ON CONFLICT DO NOTHING RETURNING id`,
		prune,
	}
	for i, text := range texts {
		texts[i] = p.dialect.sql(text, table)
	}
	p.ddl, p.mark, p.markAll, p.prune = texts[:2], texts[2], texts[3], texts[4]
}

// DDL returns the statements that make the table, for those who keep migrations.
func (p *Processed) DDL() []string { return append([]string(nil), p.ddl...) }

// Create makes the table if it is not there. Many may call it at once.
func (p *Processed) Create(ctx context.Context) error {
	return create(ctx, p.db, p.dialect, p.opts.Table, p.ddl...)
}

// Mark notes an id as processed, in the handler's transaction, and tells whether
// it is the first time. A scope keeps the ids of one purpose apart from those of
// others. If another transaction has the same id open, Mark waits for its end. Id
// and scope are UTF-8 without NUL.
func (p *Processed) Mark(ctx context.Context, tx *sql.Tx, scope, id string) (first bool, err error) {
	if err := texts(scope, id); err != nil {
		return false, err
	}
	result, err := tx.ExecContext(ctx, p.mark, scope, id)
	if err != nil {
		return false, fmt.Errorf("sqltx: mark %s %q: %w", scope, id, err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// MarkAll is Mark for many ids, in one statement: first[i] tells of ids[i]. An id
// that is there twice is first once.
func (p *Processed) MarkAll(ctx context.Context, tx *sql.Tx, scope string, ids []string) (first []bool, err error) {
	first = make([]bool, len(ids))
	if len(ids) == 0 {
		return first, nil
	}
	if err := texts(append([]string{scope}, ids...)...); err != nil {
		return nil, err
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("sqltx: mark: %w", err)
	}
	rows, err := tx.QueryContext(ctx, p.markAll, scope, string(list))
	if err != nil {
		return nil, fmt.Errorf("sqltx: mark %d ids of %s: %w", len(ids), scope, err)
	}
	fresh := make(map[string]bool, len(ids))
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		fresh[id] = true
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("sqltx: mark %d ids of %s: %w", len(ids), scope, err)
	}
	for i, id := range ids {
		first[i] = fresh[id]
		delete(fresh, id)
	}
	return first, nil
}

// texts refuses what not every database can hold: it would be two ids for one, and none for another.
func texts(all ...string) error {
	for _, s := range all {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("sqltx: the id %.100q is not UTF-8 without NUL; encode it, in hex for example", s)
		}
	}
	return nil
}
