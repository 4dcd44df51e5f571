// Package sqltx gives a consumer exactly-once outcomes in a SQL database: the
// effects of records and the position behind them are committed in one transaction.
//
//	db, err := sql.Open("pgx", dsn) // jackc/pgx/v5/stdlib, or modernc.org/sqlite
//	store, err := sqltx.New(db, sqltx.PostgreSQL, sqltx.Options{})
//	err = store.Create(ctx) // or put store.DDL() in a migration
//
//	cfg.Offsets = store // needs Config.Order OrderPartition, the default
//	c, err := consumer.New(cfg, store.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
//		_, err := tx.ExecContext(ctx, `UPDATE accounts …`)
//		return err
//	}))
//
// # What is guaranteed
//
// What a handler writes through its transaction is there exactly once for every
// record that is not dead-lettered or skipped, in the order of the partition, whatever
// crashes, rebalances, or loses its connection. Anything else that it does (a
// request to another system, a write past the transaction) is at least once.
// Dead letters are at least once too: a crash between the letter and its note in
// the table repeats it.
//
// # How
//
// The table has a row for each group, topic and partition: the next offset, and
// an epoch. Taking a partition over raises its epoch. A handler's transaction ends
// with a compare-and-set of the row, from the offset and epoch that this member
// knows to the new offset; if it changes no row, somebody else has the partition,
// the transaction is rolled back, and the member joins the group again from
// scratch ([consumer.Fenced]). So it does not matter what a member that is late,
// frozen, or cut off from Kafka believes: only one can move the position. See [Store.Load].
//
// If the answer to a COMMIT is lost, the row tells what became of it, and that is
// looked up before anything else is done. A database that is down is waited for, and counts as no attempt of any
// record ([consumer.Unavailable]); see [Classify].
//
// What is committed to Kafka follows the table, so that lag can be watched as
// always, but is not used where the table has a position.
//
// # Positions and the log
//
// A position before the log's begin (retention) goes on at Config.Reset: what
// was deleted is lost. A position beyond the log's end (the topic was made anew,
// or lost its end) goes on there too, but a record that is before the position
// stops the consumer with a [*RewoundError], since handling it may be a repeat, and leaving it
// out a loss. [Store.Reset] says where to go on, and is also how one replays.
//
// A group that so far committed to Kafka goes on from there: partitions without
// a position in the table begin at what is committed.
//
// # Running it
//
// A member that vanishes without closing its connections (power, network)
// between its compare-and-set and its COMMIT leaves the row locked until the
// database notices. PostgreSQL does so in seconds with the settings
// tcp_keepalives_idle, tcp_user_timeout and idle_in_transaction_session_timeout, the last one
// above Config.HandlerTimeout; its defaults are hours.
//
// SQLite needs busy_timeout, and WAL with several processes; the file must be on
// a local disk. A transaction of the store begins with a write, so handlers take turns.
//
// Lock rows that several partitions write to in one order, or PostgreSQL will
// break deadlocks, which are retried. Batches of some hundred records bring most
// of the throughput.
//
// # Idempotent handlers
//
// Where order by partition is not wanted, [Processed] keeps the ids of messages
// in the handler's own transaction, and tells which are new.
package sqltx
