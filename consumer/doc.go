// Package consumer is a batch consumer for Kafka, on franz-go.
//
// A [Handler] gets batches of records of one partition each, in offset order,
// and what it returns decides the fate of every record. The consumer does the
// rest: it joins the group, bounds what is in flight, retries, puts poison
// aside, commits, gives partitions up in order, and shuts down by a deadline.
//
//	cfg := consumer.DefaultConfig() // or consumer.LoadConfig
//	cfg.Brokers, cfg.Topics, cfg.Group = []string{"127.0.0.1:9092"}, []string{"orders"}, "billing"
//	c, err := consumer.New(cfg, consumer.Each(func(ctx context.Context, r *kgo.Record) error {
//		return bill(ctx, r)
//	}))
//	if err != nil {
//		return err
//	}
//	return c.Run(ctx) // until ctx ends: it drains, commits, and leaves the group
//
// docs/consumer.md is a guide: what to choose, what it costs, how to run it, and what
// to do when something looks wrong.
//
// # What is guaranteed
//
// At least once. A record counts as done when the handler said so, when its
// dead letter was acknowledged by all in-sync replicas, or when it was skipped
// by [PoisonSkip]. The offset committed for a partition is the one after the
// longest run of delivered records that are done, never more; control records of
// transactions, which no handler sees, count as done. So a crash at any
// moment loses nothing, and repeats what is not committed: with [OrderPartition]
// what was done since the last commit, which with Config.CommitEachBatch is one
// batch of each partition at most; in other orders also what was done ahead of a
// record that was not, within Config.MaxSpan. A handler has to bear repeats.
//
// Order, as [Order] says: what must not overtake never does, retries included.
// While it waits to be tried again, a record holds up only its own partition
// ([OrderPartition]), its own key ([OrderKey]), or nothing ([Unordered]).
//
// Attempts are bounded by [Retry]. The count goes with the partition to its next
// owner, in the metadata of the committed offset; a crash can only forget what
// was not committed yet.
//
// One owner. When a partition is revoked, the consumer lets handlers finish (see
// [Stopping]), fills the gaps below what is done, commits, and fences, within
// Config.DrainTimeout; no handler call on it starts after that, and nothing of
// it is committed. When it is lost, handlers are cancelled (those that watch
// [Stopping] may end the record at hand first) and nothing is committed. If a
// commit is refused because the group goes on without this member, for example
// since the process was frozen for longer than its session timeout, all its
// partitions are lost at that moment: what was not committed is dropped, and the
// consumer joins again and goes on from what is committed. Two handler calls never
// run on one partition for two assignments of it at once, even if the first
// ignores its context.
//
// Rebalances are never blocked by slow work, nor other partitions by a slow one
// as long as Config.Concurrency is not used up.
//
// # Results of a handler
//
//	nil                      all records are done
//	FailedAt(i, err)         those before i are done, i failed, the rest was not tried
//	FailedAt(i, ErrStopped)  those before i are done, the rest was not tried
//	Failed(map)              those in the map failed, all others are done
//	Tried(n, err)            err is the result for the first n, the rest was not tried
//	any other error          the batch failed as a whole
//	Permanent(err)           do not try again: poison
//	RetryAfter(err, d)       try again, after d at the earliest
//	Unavailable(err)         try again for as long as it takes; no attempt is counted
//	Fenced(err)              somebody else has the partition: drop it, and join again
//	Fatal(err)               stop the consumer, without another commit
//
// The last five wrap any error, also one inside of FailedAt and Failed. If the
// handler's context was cancelled because the partition is going away or the
// consumer is shutting down, what it did not report as done was abandoned, which
// is no attempt. The end of Config.HandlerTimeout is one.
//
// An error for a batch as a whole blames no record. A record on its last attempt
// is therefore handled alone, and a batch that failed by a bare [Permanent] is
// tried again one by one. With Retry.Attempts 1 there is no such second look.
//
// # Exactly once
//
// A handler may be called more than once for a record; what can be once is the
// outcome. Where the effect is idempotent nothing more is needed.
// [NewTransactional] commits outputs in Kafka, dead letters and offsets in one
// transaction. Package consumer/sqltx keeps positions beside the effects in a SQL
// database and moves both in one transaction, fenced against former owners
// (Config.Offsets); or it keeps the ids of messages that were processed, for
// handlers in any order. Effects elsewhere stay at least once.
//
// # Queues
//
// [NewShare] makes a member of a share group instead (KIP-932): handlers return the
// same, records are locked one by one, any number of members share a partition,
// and there is no order. See [ShareConsumer].
//
// # Schemas
//
// Package consumer/schema decodes records by a Schema Registry before the handler
// gets them: what cannot be decoded is poison, a registry that is down is not.
//
// # Dead letters
//
// A dead letter is the record as it was, with headers that say where it came from
// and why it failed ([Poison], [HeaderStyle]). Package consumer/dlq lists dead
// letters and sends them back, as does the command ksim dlq.
//
// # What it says about itself
//
// [Consumer.Status] is a snapshot: what the consumer is doing, and for each
// partition that it owns what is committed, processed and in flight, where the log
// ends, and the lag. [Consumer.Health] tells whether it is live and ready, with
// reasons, and [Consumer.HealthHandler] serves that to the probes of Kubernetes.
// Package metrics exports all of it to Prometheus. [Hooks] tell what happens while
// it does.
//
// A handler call that runs longer than Config.StallTimeout makes the consumer leave
// the group, so that others do the work, and Run return [ErrStalled].
//
// # Shutdown
//
// Cancel the context given to [Consumer.Run], as [os/signal.NotifyContext] does on
// SIGTERM, and wait for Run to return. It does so within Config.ShutdownTimeout.
// examples/minimal and examples/consumer are whole services.
//
// # Configuration, logs, traces
//
// [LoadConfig] reads a [Config] from a YAML file under version control, which
// docs/consumer-config.md describes; [Config.YAML] prints what is in force.
// docs/consumer-logs.md lists what is logged. Package consumer/tracing makes
// OpenTelemetry traces.
package consumer
