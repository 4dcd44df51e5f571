package sqltx_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/sqltx"
)

// Amounts are added up in SQLite. The balance and the position move in one
// transaction, so no crash counts an amount twice or not at all.
func Example() {
	brokers, stopKafka := exampleKafka("alice=5", "bob=7", "alice=-2")
	defer stopKafka()
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext in a service
	defer stop()

	// In production a file: "file:ledger.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)".
	db, err := sql.Open("sqlite", "file:ledger?mode=memory&cache=shared")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, `CREATE TABLE balances (name TEXT PRIMARY KEY, amount INTEGER NOT NULL)`); err != nil {
		log.Fatal(err)
	}
	store, err := sqltx.New(db, sqltx.SQLite, sqltx.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Create(ctx); err != nil {
		log.Fatal(err)
	}

	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = brokers, []string{"payments"}, "ledger"
	cfg.Offsets = store
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Hooks.OnBatch = func(b consumer.BatchInfo) {
		if b.Err == nil && b.FirstOffset+int64(b.Records) == 3 {
			stop() // that was all
		}
	}
	c, err := consumer.New(cfg, store.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO balances VALUES (?1, ?2) ON CONFLICT DO UPDATE SET amount = amount + ?2`, string(r.Key), string(r.Value))
		return err
	}))
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Run(ctx); err != nil {
		log.Fatal(err)
	}

	var alice, bob, next int
	err = db.QueryRow(`SELECT (SELECT amount FROM balances WHERE name = 'alice'), (SELECT amount FROM balances WHERE name = 'bob'), next_offset FROM consumer_offsets`).Scan(&alice, &bob, &next)
	fmt.Println(alice, bob, next, err)
	// Output: 3 7 3 <nil>
}

// The handler of a consumer in any order knows messages that come again by their ids.
func ExampleProcessed() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:seen?mode=memory&cache=shared")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ids, err := sqltx.NewProcessed(db, sqltx.SQLite, sqltx.ProcessedOptions{})
	if err != nil {
		log.Fatal(err)
	}
	if err := ids.Create(ctx); err != nil {
		log.Fatal(err)
	}
	handle := func(ctx context.Context, r *kgo.Record) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return consumer.Unavailable(err)
		}
		defer func() { _ = tx.Rollback() }()
		first, err := ids.Mark(ctx, tx, "invoices", string(r.Key))
		if err != nil {
			return err
		}
		fmt.Println(string(r.Key), first)
		return tx.Commit() // with the effect, if it was the first time
	}
	for _, id := range []string{"a", "b", "a"} {
		if err := handle(ctx, &kgo.Record{Key: []byte(id)}); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// a true
	// b true
	// a false
}

// exampleKafka starts an embedded broker with some records, key=value.
func exampleKafka(records ...string) (brokers []string, stop func()) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "payments"))
	if err != nil {
		log.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("payments"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, text := range records {
		var r kgo.Record
		for i := range text {
			if text[i] == '=' {
				r.Key, r.Value = []byte(text[:i]), []byte(text[i+1:])
			}
		}
		if err := client.ProduceSync(context.Background(), &r).FirstErr(); err != nil {
			log.Fatal(err)
		}
	}
	return cluster.ListenAddrs(), cluster.Close
}
