package sqltx_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/sqltx"
	"github.com/ksim-dev/ksim/internal/services"
)

// Records a second through a handler that inserts a row for each, without Kafka:
// what the database and the transactions cost.
func BenchmarkHandler(b *testing.B) {
	backends := []backend{{sqltx.SQLite, sqliteFile}, {sqltx.PostgreSQL, func(t testing.TB) string { return services.Postgres(t) }}}
	for _, back := range backends {
		b.Run(string(back.dialect), func(b *testing.B) {
			db, _, err := open(back.dialect, back.dsn(b))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			if _, err := db.Exec(`CREATE TABLE effects (part INTEGER, pos BIGINT)`); err != nil {
				b.Fatal(err)
			}
			insert := `INSERT INTO effects (part, pos) VALUES ($1, $2)`
			if back.dialect == sqltx.SQLite {
				insert = `INSERT INTO effects (part, pos) VALUES (?, ?)`
			}
			for _, mode := range []string{"each", "each without savepoints", "batch"} {
				for _, size := range []int{100, 500} {
					b.Run(fmt.Sprintf("%s/%d", mode, size), func(b *testing.B) {
						benchmark(b, db, back.dialect, mode, insert, size)
					})
				}
			}
		})
	}
}

func benchmark(b *testing.B, db *sql.DB, d sqltx.Dialect, mode, insert string, size int) {
	store, err := sqltx.New(db, d, sqltx.Options{NoSavepoints: mode != "each"})
	if err != nil {
		b.Fatal(err)
	}
	if err := store.Create(b.Context()); err != nil {
		b.Fatal(err)
	}
	next, err := store.Load(b.Context(), "bench", map[string][]int32{topic: {0}})
	if err != nil {
		b.Fatal(err)
	}
	one := func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
		_, err := tx.ExecContext(ctx, insert, r.Partition, r.Offset)
		return err
	}
	handler := store.Each(one)
	if mode == "batch" { // one statement for all
		insert := `INSERT INTO effects (part, pos) SELECT 0, CAST(value AS BIGINT) FROM json_array_elements_text(CAST($1 AS json)) AS all_of_them(value)`
		if d == sqltx.SQLite {
			insert = `INSERT INTO effects (part, pos) SELECT 0, value FROM json_each(?)`
		}
		handler = store.Batch(func(ctx context.Context, tx *sql.Tx, batch consumer.Batch) error {
			offsets := make([]int64, len(batch.Records))
			for i, r := range batch.Records {
				offsets[i] = r.Offset
			}
			list, err := json.Marshal(offsets)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, insert, string(list))
			return err
		})
	}
	recs := make([]*kgo.Record, size)
	for i := range recs {
		recs[i] = &kgo.Record{Topic: topic}
	}
	at := next[topic][0]
	for b.Loop() {
		for _, r := range recs {
			r.Offset = at
			at++
		}
		if err := handler(b.Context(), consumer.Batch{Topic: topic, Records: recs}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "records/s")
}
