package reference

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite" // driver "sqlite"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/sqltx"
	"github.com/ksim-dev/ksim/harness/observe"
	"github.com/ksim-dev/ksim/harness/subject"
)

// outputTable holds a row for each output. It has no key: a second output of a
// record must be seen, not refused.
const outputTable = `CREATE TABLE IF NOT EXISTS ksim_outputs (topic TEXT NOT NULL, part INTEGER NOT NULL, pos BIGINT NOT NULL, record_key TEXT NOT NULL, value_size BIGINT NOT NULL)`

// openSQL opens the database at url: a URL with postgres://, or the path of an
// SQLite file. {topic} in it stands for the topic, so that scenarios side by side
// need not wait for each other's locks.
func openSQL(url, topic string) (*sql.DB, sqltx.Dialect, error) {
	if url == "" {
		return nil, "", errors.New("reference: KSIM_SQL_URL is not set: give a postgres:// URL, or the path of an SQLite file")
	}
	url = strings.ReplaceAll(url, "{topic}", topic)
	driver, dialect := "pgx", sqltx.PostgreSQL
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		driver, dialect = "sqlite", sqltx.SQLite
		url = "file:" + url + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		return nil, "", fmt.Errorf("reference: KSIM_SQL_URL: %w", err)
	}
	return db, dialect, nil
}

// newSQL makes a consumer that commits outputs and positions in one database transaction.
func newSQL(ctx context.Context, env subject.Env, cfg consumer.Config, s *sink) (c *consumer.Consumer, done func(), err error) {
	db, dialect, err := openSQL(env.Extra["KSIM_SQL_URL"], env.Topic)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = db.Close()
		}
	}()
	store, err := sqltx.New(db, dialect, sqltx.Options{})
	if err != nil {
		return nil, nil, err
	}
	if err := store.Create(ctx); err != nil {
		return nil, nil, err
	}
	if err := createOutputs(ctx, db, dialect); err != nil {
		return nil, nil, err
	}
	cfg.Offsets = store
	handler, err := decoding(env.SchemaRegistryURL, postedFirst(s, store.Batch(insertOutputs(dialect))))
	if err != nil {
		return nil, nil, err
	}
	c, err = consumer.New(cfg, handler)
	return c, func() { _ = db.Close() }, err
}

// createOutputs makes the table; members start at once, so in PostgreSQL they take turns.
func createOutputs(ctx context.Context, db *sql.DB, dialect sqltx.Dialect) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("reference: create the table for outputs: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after the commit
	statements := []string{outputTable}
	if dialect == sqltx.PostgreSQL {
		statements = []string{`SELECT pg_advisory_xact_lock(hashtext('ksim_outputs'))`, outputTable}
	}
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("reference: create the table for outputs: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("reference: create the table for outputs: %w", err)
	}
	return nil
}

// postedFirst posts the effects of a batch one by one, and gives those that were
// taken to keep. No transaction is open meanwhile: a member that the harness
// holds or freezes at an effect would keep its locks from the others.
func postedFirst(s *sink, keep consumer.Handler) consumer.Handler {
	return func(ctx context.Context, b consumer.Batch) error {
		n := 0
		failed := consumer.Each(func(ctx context.Context, r *kgo.Record) error {
			err := s.record(ctx, r)
			if err == nil {
				n++
			}
			return err
		})(ctx, b)
		if n == 0 {
			return failed
		}
		b.Records = b.Records[:n]
		if err := keep(ctx, b); err != nil {
			return err // what failed after it comes again
		}
		return failed
	}
}

// insertOutputs writes a row for each record.
func insertOutputs(dialect sqltx.Dialect) func(context.Context, *sql.Tx, consumer.Batch) error {
	insert := `INSERT INTO ksim_outputs (topic, part, pos, record_key, value_size) VALUES ($1, $2, $3, $4, $5)`
	if dialect == sqltx.SQLite {
		insert = strings.ReplaceAll(insert, "$", "?")
	}
	return func(ctx context.Context, tx *sql.Tx, b consumer.Batch) error {
		for i, r := range b.Records {
			if _, err := tx.ExecContext(ctx, insert, r.Topic, r.Partition, r.Offset, string(r.Key), len(r.Value)); err != nil {
				return consumer.FailedAt(i, err)
			}
		}
		return nil
	}
}

// SQLOutputs reads what the reference consumer has written with KSIM_DELIVERY=sql
// to the database at url, for harness.Config.Outputs.
func SQLOutputs(url string) observe.Outputs {
	return func(ctx context.Context, topic string) ([]observe.Output, error) {
		db, dialect, err := openSQL(url, topic)
		if err != nil {
			return nil, err
		}
		defer func() { _ = db.Close() }()
		query := `SELECT part, pos, record_key FROM ksim_outputs WHERE topic = $1 ORDER BY part, pos`
		if dialect == sqltx.SQLite {
			query = strings.ReplaceAll(query, "$", "?")
		}
		rows, err := db.QueryContext(ctx, query, topic)
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		var outputs []observe.Output
		for rows.Next() {
			var partition int32
			var offset int64
			var o observe.Output
			if err := rows.Scan(&partition, &offset, &o.Key); err != nil {
				return nil, err
			}
			o.Record = fmt.Sprintf("%s/%d/%d", topic, partition, offset)
			o.Where = fmt.Sprintf("table ksim_outputs, row %d", len(outputs)+1)
			outputs = append(outputs, o)
		}
		return outputs, rows.Err()
	}
}
