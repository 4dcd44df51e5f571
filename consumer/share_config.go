package consumer

import (
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ShareConfig is everything a [ShareConsumer] needs to know. Start from
// [DefaultShareConfig].
type ShareConfig struct {
	Brokers []string // host:port of some brokers
	Topics  []string
	Group   string // the share group
	// ClientID shows in the broker's logs and metrics.
	ClientID string
	TLS      TLS
	SASL     SASL

	// Start, if given, is written to the group's configuration
	// (share.auto.offset.reset) before joining. It says where a partition begins
	// that the group has never read, and needs the right to alter the group's
	// configuration. Empty leaves the configuration as it is: Kafka's default is
	// [Latest], so what was produced before the group first came is never
	// delivered. The consumer warns if nobody has chosen.
	Start Position

	// BatchSize is how many records a handler gets at once at most.
	BatchSize int
	// Concurrency is how many handler calls run side by side at most, on one
	// partition too.
	Concurrency int
	// MaxInFlight is how many records this consumer may hold that are not done:
	// handled, waiting for a handler, or waiting to be tried again. The Kafka
	// client buffers one fetch of half as many on top of it. Other members cannot
	// have what is held here, so it should not be far above BatchSize × Concurrency.
	MaxInFlight int

	// Retry bounds the attempts. A record keeps its place here while it waits: a
	// record given back would come again at once. Attempts counts deliveries too,
	// see [ShareConsumer].
	Retry  Retry
	Poison Poison

	// HandlerTimeout ends the context of a handler call. Zero: never. Where the
	// broker cannot renew locks (before Kafka 4.2) it is cut to what is left of the
	// records' lock.
	HandlerTimeout time.Duration
	// StallTimeout is how long a handler call may run, its context ended or not,
	// before its records are no longer renewed and Run returns [ErrStalled]. Zero:
	// no watchdog, and a call that hangs keeps its records from everybody.
	StallTimeout time.Duration
	// ShutdownTimeout is how long the end of Run takes at most. Kubernetes kills
	// after 30 s unless told otherwise.
	ShutdownTimeout time.Duration

	// HealthTimeout is how long trouble may last before [ShareConsumer.Health]
	// tells: acknowledgements that fail, brokers that do not answer, a loop that does
	// not turn.
	HealthTimeout time.Duration

	// FetchMaxBytes and FetchMaxPartitionBytes bound what one fetch from one
	// broker brings, in bytes, overall and of one partition.
	FetchMaxBytes, FetchMaxPartitionBytes int32

	// ClientOpts go to the Kafka clients, after the consumer's own options: hooks, a
	// dialer. They reach the dead-letter producer too, so no options of a
	// consumer belong here. A hook may wrap a record's context, not replace it.
	ClientOpts []kgo.Opt
	Hooks      ShareHooks
	Logger     *slog.Logger // nil: slog.Default()
}

// DefaultShareConfig returns the defaults. Brokers, Topics and Group are left to
// fill in, and Start is worth a thought.
func DefaultShareConfig() ShareConfig {
	d := DefaultConfig()
	return ShareConfig{
		BatchSize: 10, Concurrency: 16, MaxInFlight: 200,
		Retry:          d.Retry,
		HandlerTimeout: d.HandlerTimeout, StallTimeout: d.StallTimeout, ShutdownTimeout: d.ShutdownTimeout, HealthTimeout: d.HealthTimeout,
		FetchMaxBytes: d.FetchMaxBytes, FetchMaxPartitionBytes: d.FetchMaxPartitionBytes,
	}
}

// ShareFrom returns a share consumer's configuration with what cfg says of brokers,
// security, topics, group, retries, poison, timeouts and fetches: one that was loaded
// from a file by [LoadConfig], for example. The rest, how much is taken at once and where the group
// starts, is that of [DefaultShareConfig].
func ShareFrom(cfg Config) ShareConfig {
	c := DefaultShareConfig()
	c.Brokers, c.Topics, c.Group, c.ClientID = cfg.Brokers, cfg.Topics, cfg.Group, cfg.ClientID
	c.TLS, c.SASL, c.ClientOpts, c.Logger = cfg.TLS, cfg.SASL, cfg.ClientOpts, cfg.Logger
	c.Retry, c.Poison = cfg.Retry, cfg.Poison
	c.HandlerTimeout, c.StallTimeout, c.ShutdownTimeout, c.HealthTimeout = cfg.HandlerTimeout, cfg.StallTimeout, cfg.ShutdownTimeout, cfg.HealthTimeout
	c.FetchMaxBytes, c.FetchMaxPartitionBytes = cfg.FetchMaxBytes, cfg.FetchMaxPartitionBytes
	return c
}

// Validate returns all that is wrong, joined, each error naming its field; nil
// if nothing is.
func (c ShareConfig) Validate() error { return c.validate().join() }

func (c ShareConfig) validate() validation { return c.common().validate() }

// common is what a share consumer has in common with a Consumer: what is
// validated, what dead letters and the options of their producer are made from, how
// to get at the brokers, the bounds of its health, and the hooks of what is common. All else is a default, in which nothing is wrong.
func (c ShareConfig) common() Config {
	d := DefaultConfig()
	d.Brokers, d.Topics, d.Group, d.ClientID = c.Brokers, c.Topics, c.Group, c.ClientID
	d.TLS, d.SASL, d.ClientOpts, d.Logger = c.TLS, c.SASL, c.ClientOpts, c.Logger
	d.Retry, d.Poison = c.Retry, c.Poison
	d.BatchSize, d.Concurrency, d.MaxInFlight, d.MaxSpan = c.BatchSize, c.Concurrency, c.MaxInFlight, max(d.MaxSpan, c.BatchSize)
	d.HandlerTimeout, d.StallTimeout, d.ShutdownTimeout, d.HealthTimeout = c.HandlerTimeout, c.StallTimeout, c.ShutdownTimeout, c.HealthTimeout
	d.FetchMaxBytes, d.FetchMaxPartitionBytes = c.FetchMaxBytes, c.FetchMaxPartitionBytes
	if c.Start != "" {
		d.Start = c.Start
	}
	d.Hooks = Hooks{OnBatch: c.Hooks.OnBatch, OnRetry: c.Hooks.OnRetry, OnPoison: c.Hooks.OnPoison, OnStall: c.Hooks.OnStall}
	return d
}
