package consumer

import (
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Protocol is how the members of the group share out partitions.
type Protocol string

// The protocols. All members of a group must use the same one.
const (
	// ProtocolCooperative is the classic protocol with the cooperative-sticky
	// assignor (KIP-429): a rebalance takes only the partitions that move.
	ProtocolCooperative Protocol = "cooperative-sticky"
	// ProtocolEager is the classic protocol with the sticky assignor: a
	// rebalance takes every partition from every member.
	ProtocolEager Protocol = "eager"
	// ProtocolConsumer is the broker-driven protocol of KIP-848 (Kafka 4.0),
	// with the broker's uniform assignor. Session timeout and heartbeat
	// interval are then the broker's. A broker without it gets the classic
	// protocol with the sticky assignor.
	ProtocolConsumer Protocol = "consumer"
)

// Order says which records may be handled side by side.
type Order string

// The orders.
const (
	// OrderPartition handles the records of a partition one batch at a time.
	OrderPartition Order = "partition"
	// OrderKey handles the records of one key of a partition one batch at a
	// time, and other keys beside it. A batch holds records of one key.
	// Records without a key have no order.
	OrderKey Order = "key"
	// Unordered handles any records side by side.
	Unordered Order = "none"
)

// Position is a place in a partition.
type Position string

// The positions.
const (
	Earliest Position = "earliest" // the oldest record that the broker still has
	Latest   Position = "latest"   // after the newest record
)

// PoisonPolicy says what becomes of a record that cannot be handled: its
// attempts are used up, or the handler returned [Permanent].
type PoisonPolicy string

// The poison policies.
const (
	// PoisonDeadLetter produces the record to the dead-letter topic. It counts
	// as done once all in-sync replicas have it.
	PoisonDeadLetter PoisonPolicy = "dead-letter"
	// PoisonSkip drops the record: it is logged, and gone.
	PoisonSkip PoisonPolicy = "skip"
	// PoisonStop stops the consumer before the record: what was done is
	// committed, and Run returns a [*PoisonError].
	PoisonStop PoisonPolicy = "stop"
)

// Poison says what becomes of records that cannot be handled.
type Poison struct {
	// Policy; empty means [PoisonDeadLetter] if Topic is set, else [PoisonStop].
	Policy PoisonPolicy
	// Topic is the dead-letter topic. {group} and {topic} stand for the group
	// and for the record's own topic. Empty with [PoisonDeadLetter] means
	// "dlq.{group}.{topic}". It must exist.
	Topic string
	// Headers are the conventions by which a dead letter names its origin and the
	// failure, besides the ksim.dlq headers that are always there. Empty means
	// [HeadersKIP1191]; several make a letter readable for several tools.
	Headers []HeaderStyle
}

// Retry bounds the attempts of a record and sets the wait between them. A
// retry holds up only the records that must not overtake it (see [Order]).
type Retry struct {
	// Attempts is how often a record is given to the handler at most, the first
	// time included. The count goes with the partition to its next owner, as far as
	// it was committed.
	Attempts int
	// Initial is the wait before the second attempt; it grows by Multiplier
	// with each further one, up to Max.
	Initial, Max time.Duration
	Multiplier   float64
	// Jitter spreads every wait by up to this part of it, up or down: 0.2 is ±20 %.
	Jitter float64
}

// Config is everything a consumer needs to know. Start from [DefaultConfig], or
// from a file (see [LoadConfig]).
type Config struct {
	Brokers []string // host:port of some brokers
	Topics  []string
	Group   string
	// ClientID shows in the broker's logs and metrics.
	ClientID string
	// InstanceID makes this a static member (KIP-345): it keeps its partitions
	// over a restart that is shorter than the session timeout, and does not
	// leave the group when it stops. It must be unique in the group.
	InstanceID string
	Protocol   Protocol

	TLS  TLS
	SASL SASL

	Order     Order
	BatchSize int           // records in a batch at most
	BatchWait time.Duration // how long a batch that is not full waits for more records
	// Concurrency is how many handler calls run side by side at most, over all
	// partitions.
	Concurrency int
	// MaxInFlight is how many records of one partition may be delivered and not
	// done: if there are so many when more of them come, fetching the partition
	// pauses until half is done. What has been fetched by then comes on top: up to two
	// times FetchMaxPartitionBytes. In a transaction it is how many records a poll
	// brings at most, over all partitions.
	MaxInFlight int
	// MaxSpan is how far a record may be ahead of the oldest one of its partition
	// that is not done, in offsets, to be handled. Where records are handled out
	// of order, it bounds what a crash can repeat.
	MaxSpan int

	// CommitInterval is the time between commits. Every revoke and the end of
	// Run commit as well.
	CommitInterval time.Duration
	// CommitEachBatch commits after every batch too, and holds back the next
	// batch of the same lane until that commit has been answered. Batches that
	// end while a commit is under way share the next one.
	CommitEachBatch bool

	Retry  Retry
	Poison Poison

	SessionTimeout    time.Duration // after which the broker takes a silent member for dead (not with ProtocolConsumer)
	HeartbeatInterval time.Duration // not with ProtocolConsumer
	// RebalanceTimeout is how long the broker waits for this member to give up
	// partitions.
	RebalanceTimeout time.Duration
	// DrainTimeout is how long a revoke waits for work in flight; the last
	// fifth of it is for handlers that were cancelled to return, and for the
	// commit. It must be less than RebalanceTimeout.
	DrainTimeout time.Duration
	// HandlerTimeout ends the context of a handler call. Zero: never.
	HandlerTimeout time.Duration
	// StallTimeout is how long a handler call may run, its context ended or not,
	// before the consumer gives its partitions to others and Run returns
	// [ErrStalled]. The broker cannot see a stalled handler: heartbeats go on. What
	// else is in flight drains and is committed; nobody waits for the call itself.
	// A static member does not leave: its partitions go to others after
	// SessionTimeout, unless it is back before. Zero: no watchdog.
	StallTimeout time.Duration
	// ShutdownTimeout is how long the end of Run takes at most. Kubernetes kills
	// after 30 s unless told otherwise.
	ShutdownTimeout time.Duration
	// CommitTimeout is how long a commit waits for a rebalance to let it
	// through. It is tried again.
	CommitTimeout time.Duration

	// LagInterval is the time between questions to the brokers where the logs of
	// owned partitions end, for [Consumer.Status] and its lag. Zero: never; the lag is
	// then known only as far as fetches tell.
	LagInterval time.Duration
	// HealthTimeout is how long trouble may last before [Consumer.Health] tells:
	// commits that fail, brokers that do not answer, a loop that does not turn. It
	// should be longer than the heartbeat interval, the broker's with
	// ProtocolConsumer.
	HealthTimeout time.Duration

	// Start is where a partition without a committed offset begins. With
	// [Latest], records that come before the first commit can be missed.
	Start Position
	// Reset is where a partition goes on when its offset is no longer in the log.
	Reset Position

	// Offsets is where positions are kept if not only in Kafka: with the effects, in
	// a database, which makes their outcome exactly once. See package sqltx.
	Offsets OffsetStore

	// FetchMaxBytes and FetchMaxPartitionBytes bound what one fetch from one
	// broker brings, in bytes, overall and of one partition.
	FetchMaxBytes, FetchMaxPartitionBytes int32

	// TransactionalID identifies this member to the transaction coordinator (see
	// [NewTransactional]). It must be unique in the cluster, and stay the same over
	// restarts: that is how a new process fences an old one that still runs.
	TransactionalID string
	// TransactionTimeout is how long the broker lets a transaction be open; the
	// consumer aborts one by itself at four fifths of it. It must not be more than
	// the broker's transaction.max.timeout.ms, 15 minutes by default.
	TransactionTimeout time.Duration

	// ClientOpts go to the Kafka clients, after the consumer's own options: hooks,
	// SASL by OAUTHBEARER (see [SASLMechanism]), a dialer. They reach the dead-letter producer too, so no options of a
	// consumer belong here.
	ClientOpts []kgo.Opt
	Hooks      Hooks
	Logger     *slog.Logger // nil: slog.Default()
}

// DefaultConfig returns the defaults. Brokers, Topics and Group are left to fill in.
func DefaultConfig() Config {
	return Config{
		Protocol: ProtocolCooperative,
		Order:    OrderPartition, BatchSize: 100, Concurrency: 64,
		MaxInFlight: 1000, MaxSpan: 10_000,
		CommitInterval: time.Second,
		Retry:          Retry{Attempts: 5, Initial: 200 * time.Millisecond, Max: 10 * time.Second, Multiplier: 2, Jitter: 0.2},
		SessionTimeout: 45 * time.Second, HeartbeatInterval: 3 * time.Second, RebalanceTimeout: time.Minute,
		DrainTimeout: 30 * time.Second, HandlerTimeout: 30 * time.Second, StallTimeout: 5 * time.Minute,
		ShutdownTimeout: 25 * time.Second, CommitTimeout: 5 * time.Second, TransactionTimeout: time.Minute,
		LagInterval: 10 * time.Second, HealthTimeout: 30 * time.Second,
		Start: Earliest, Reset: Earliest,
		FetchMaxBytes: 16 << 20, FetchMaxPartitionBytes: 1 << 20,
	}
}

// Validate returns all that is wrong, joined, each error naming its field; nil
// if nothing is.
func (c Config) Validate() error { return c.validate().join() }

func (c Config) validate() validation {
	var v validation
	v.fields(&c)
	v.names(&c)
	v.security(&c)
	v.need(c.Offsets == nil || c.Order == OrderPartition, "Offsets: a store keeps one position for each partition, so Order must be %s, not %s", OrderPartition, c.Order)
	v.need(c.MaxInFlight < 1 || c.MaxInFlight >= c.BatchSize, "MaxInFlight: %d is less than BatchSize, %d: no batch would ever be full", c.MaxInFlight, c.BatchSize)
	v.need(c.MaxSpan < 1 || c.MaxSpan >= c.BatchSize, "MaxSpan: %d is less than BatchSize, %d: no batch would ever be full", c.MaxSpan, c.BatchSize)
	v.need(c.Retry.Max >= c.Retry.Initial, "Retry.Max: %v is less than Retry.Initial, %v", c.Retry.Max, c.Retry.Initial)
	v.need(c.DrainTimeout < c.RebalanceTimeout, "DrainTimeout: %v is not less than RebalanceTimeout, %v: the group would throw this member out while it drains", c.DrainTimeout, c.RebalanceTimeout)
	v.need(c.StallTimeout == 0 || c.StallTimeout > c.HandlerTimeout, "StallTimeout: %v is not more than HandlerTimeout, %v", c.StallTimeout, c.HandlerTimeout)
	if c.transactional() {
		v.need(c.HandlerTimeout < c.TransactionTimeout*4/5, "HandlerTimeout: %v is not less than four fifths of TransactionTimeout, %v: the transaction would be aborted first", c.HandlerTimeout, c.TransactionTimeout)
	}
	if c.Protocol != ProtocolConsumer {
		v.need(c.SessionTimeout < 0 || c.SessionTimeout >= 100*time.Millisecond, "SessionTimeout: %v is less than 100ms", c.SessionTimeout)
		v.need(c.HeartbeatInterval != 0, "HeartbeatInterval: %v is not more than 0", c.HeartbeatInterval)
		v.need(c.HeartbeatInterval < c.SessionTimeout, "HeartbeatInterval: %v is not less than SessionTimeout, %v; a third of it is usual", c.HeartbeatInterval, c.SessionTimeout)
	}
	return v
}

func (c *Config) transactional() bool { return c.TransactionalID != "" }

func (p Poison) policy() PoisonPolicy {
	switch {
	case p.Policy != "":
		return p.Policy
	case p.Topic != "":
		return PoisonDeadLetter
	}
	return PoisonStop
}

func (c Config) deadLetterTopic(topic string) string {
	name := c.Poison.Topic
	if name == "" {
		name = "dlq.{group}.{topic}"
	}
	return strings.NewReplacer("{group}", c.Group, "{topic}", topic).Replace(name)
}
