package consumer

import (
	"errors"
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

	// FetchMaxBytes and FetchMaxPartitionBytes bound what one fetch from one
	// broker brings, in bytes, overall and of one partition.
	FetchMaxBytes, FetchMaxPartitionBytes int32

	// ClientOpts go to the Kafka clients, after the consumer's own options: TLS,
	// SASL, hooks. They reach the dead-letter producer too, so no options of a
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
		HandlerTimeout: d.HandlerTimeout, StallTimeout: d.StallTimeout, ShutdownTimeout: d.ShutdownTimeout,
		FetchMaxBytes: d.FetchMaxBytes, FetchMaxPartitionBytes: d.FetchMaxPartitionBytes,
	}
}

// Validate returns all that is wrong, joined, each error naming its field; nil
// if nothing is.
func (c ShareConfig) Validate() error {
	var v validation
	v.need(len(c.Brokers) > 0 && noneEmpty(c.Brokers), "Brokers: give host:port of at least one broker")
	v.need(len(c.Topics) > 0 && noneEmpty(c.Topics), "Topics: give at least one topic")
	v.need(c.Group != "", "Group: give the name of the share group")
	oneOf(&v, "Start", c.Start, "", Earliest, Latest)
	oneOf(&v, "Poison.Policy", c.Poison.Policy, "", PoisonDeadLetter, PoisonSkip, PoisonStop)
	v.need(c.Poison.Topic == "" || c.Poison.policy() == PoisonDeadLetter, "Poison.Topic: %q is set, but the policy is %s", c.Poison.Topic, c.Poison.policy())
	common := c.common()
	for _, topic := range c.Topics {
		v.need(c.Poison.policy() != PoisonDeadLetter || common.deadLetterTopic(topic) != topic, "Poison.Topic: %s would be its own dead-letter topic", topic)
	}

	v.atLeast("BatchSize", c.BatchSize, 1)
	v.atLeast("Concurrency", c.Concurrency, 1)
	v.atLeast("MaxInFlight", c.MaxInFlight, max(c.BatchSize, 1))
	v.atLeast("FetchMaxBytes", int(c.FetchMaxBytes), 1)
	v.atLeast("FetchMaxPartitionBytes", int(c.FetchMaxPartitionBytes), 1)
	v.atLeast("Retry.Attempts", c.Retry.Attempts, 1)
	v.positive("Retry.Initial", c.Retry.Initial)
	v.need(c.Retry.Max >= c.Retry.Initial, "Retry.Max: %v is less than Retry.Initial, %v", c.Retry.Max, c.Retry.Initial)
	v.need(c.Retry.Multiplier >= 1, "Retry.Multiplier: %v is less than 1", c.Retry.Multiplier)
	v.need(c.Retry.Jitter >= 0 && c.Retry.Jitter <= 1, "Retry.Jitter: %v is not between 0 and 1", c.Retry.Jitter)

	v.notNegative("HandlerTimeout", c.HandlerTimeout)
	v.notNegative("StallTimeout", c.StallTimeout)
	v.positive("ShutdownTimeout", c.ShutdownTimeout)
	v.need(c.StallTimeout == 0 || c.StallTimeout > c.HandlerTimeout, "StallTimeout: %v is not more than HandlerTimeout, %v", c.StallTimeout, c.HandlerTimeout)
	return errors.Join(v...)
}

// common is what a share consumer has in common with a Consumer: what dead
// letters and the options of their producer are made from.
func (c ShareConfig) common() Config {
	return Config{
		Brokers: c.Brokers, Topics: c.Topics, Group: c.Group, ClientID: c.ClientID,
		Retry: c.Retry, Poison: c.Poison,
		CommitTimeout: DefaultConfig().CommitTimeout, // bounds the delivery of a dead letter
		ClientOpts:    c.ClientOpts, Logger: c.Logger,
	}
}
