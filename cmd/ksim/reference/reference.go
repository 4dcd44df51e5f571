// Package reference is the consumer that ksim judges where no command is given:
// the consumer library, posting its effects to the sink. It is also an example
// of how a consumer in Go is run under ksim.
package reference

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/harness/subject"
)

const (
	// firstBackoff is short, so that scenarios are.
	firstBackoff = 50 * time.Millisecond
	jitter       = 0.2
	// MinBackoff is the least wait between two attempts at a record.
	MinBackoff = firstBackoff * 4 / 5 // 1 − jitter
)

// Run consumes as env says until ctx ends, and then stops gracefully. With KSIM_SCHEMA_REGISTRY_URL
// it decodes each value by its schema before it posts it. Beside
// the variables of every subject it reads
//
//	KSIM_EFFECT              record (default): one POST for each record; batch: one for each batch
//	KSIM_COMMIT_INTERVAL_MS  commit at this interval; without it, after every batch
//	KSIM_PANIC               1: panic in the handler at an answer of the sink with status 500 and the reason "panic"
//	KSIM_HANDLER_TIMEOUT_MS  how long a handler call may take (default 30 s)
//	KSIM_CONCURRENCY         handler calls side by side at most (default 64)
//	KSIM_DELIVERY            at-least-once (default); or exactly once: transactions, outputs go to KSIM_OUTPUT_TOPIC; or sql, they go to
//	KSIM_SQL_URL             a postgres:// URL or the path of an SQLite file; {topic} in it stands for the topic
func Run(ctx context.Context, env subject.Env) error {
	cfg, err := configure(env)
	if err != nil {
		return err
	}
	if env.SinkURL == "" {
		return errors.New("reference: KSIM_SINK_URL is not set, so there is nowhere to post effects to")
	}
	s := newSink(env.SinkURL, cfg.Concurrency)
	s.panics = env.Extra["KSIM_PANIC"] == "1"
	defer s.close()
	handler := consumer.Each(s.record)
	switch effect := env.Extra["KSIM_EFFECT"]; effect {
	case "", "record":
	case "batch":
		handler = s.batch(cfg.Order != consumer.Unordered)
	default:
		return fmt.Errorf("reference: KSIM_EFFECT is %q: give record or batch", effect)
	}
	m := newExporter(env, &cfg)
	if handler, err = decoding(env.SchemaRegistryURL, handler); err != nil {
		return err
	}
	c, done, err := build(ctx, env, cfg, s, handler)
	if err != nil {
		return err
	}
	defer done()
	return m.run(ctx, c)
}

// Ways to deliver, for KSIM_DELIVERY.
const (
	AtLeastOnce  = "at-least-once"
	Transactions = "transactions" // exactly once, by Kafka's
	SQL          = "sql"          // exactly once, by a database's
)

// build makes the consumer that delivers as asked. Effects are posted to the sink in each
// of them, where they come again after an abort; what is exactly once is the outputs.
func build(ctx context.Context, env subject.Env, cfg consumer.Config, s *sink, handler consumer.Handler) (c *consumer.Consumer, done func(), err error) {
	done = func() {}
	switch delivery := env.Extra["KSIM_DELIVERY"]; delivery {
	case "", AtLeastOnce:
		c, err = consumer.New(cfg, handler)
	case Transactions:
		if env.OutputTopic == "" || env.TransactionalID == "" {
			return nil, nil, errors.New("reference: KSIM_DELIVERY is transactions, but KSIM_OUTPUT_TOPIC or KSIM_TRANSACTIONAL_ID is not set; promise --delivery exactly-once")
		}
		c, err = consumer.NewTransactional(transactional(env, cfg), outputs(env.OutputTopic, handler))
	case SQL:
		if env.Extra["KSIM_EFFECT"] == "batch" {
			return nil, nil, errors.New("reference: KSIM_EFFECT=batch does not go with KSIM_DELIVERY=sql")
		}
		return newSQL(ctx, env, cfg, s)
	default:
		err = fmt.Errorf("reference: KSIM_DELIVERY is %q: give %s, %s or %s", delivery, AtLeastOnce, Transactions, SQL)
	}
	return c, done, err
}

// transactional is a configuration for one short transaction after the other.
func transactional(env subject.Env, cfg consumer.Config) consumer.Config {
	cfg.TransactionalID = env.TransactionalID
	// A transaction is what a poll brings, and all of it is repeated after a crash or an abort.
	cfg.MaxInFlight = transactionBatches * cfg.BatchSize
	cfg.TransactionTimeout = cfg.HandlerTimeout * 4 / 3
	return cfg
}

// outputs adds an output for each record that the handler does.
func outputs(topic string, handler consumer.Handler) consumer.TxHandler {
	return func(ctx context.Context, b consumer.Batch, out *consumer.Outbox) error {
		for i, r := range b.Records {
			out.Add(i, &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Headers: []kgo.RecordHeader{{Key: "Ksim-Record", Value: []byte(name(r))}}})
		}
		return handler(ctx, b)
	}
}

// configure turns the environment of a member into a configuration.
func configure(env subject.Env) (consumer.Config, error) {
	cfg := consumer.DefaultConfig()
	cfg.Brokers = strings.Split(env.BootstrapServers, ",")
	cfg.Topics = []string{env.Topic}
	cfg.Group = env.GroupID
	cfg.ClientID = env.Member
	cfg.InstanceID = env.InstanceID
	cfg.Retry.Initial, cfg.Retry.Jitter = firstBackoff, jitter
	cfg.Retry.Max = 2 * time.Second
	cfg.CommitEachBatch = true
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))

	switch env.GroupProtocol {
	case "", "classic":
		if err := assign(&cfg, env.Assignor); err != nil {
			return cfg, err
		}
	case "consumer":
		cfg.Protocol = consumer.ProtocolConsumer
	default:
		return cfg, fmt.Errorf("reference: KSIM_GROUP_PROTOCOL is %q: give classic or consumer", env.GroupProtocol)
	}
	if env.Order != "" {
		cfg.Order = consumer.Order(env.Order)
	}
	if env.DLQTopic != "" {
		cfg.Poison = consumer.Poison{Policy: consumer.PoisonDeadLetter, Topic: env.DLQTopic}
	}
	if env.BatchSize > 0 {
		cfg.BatchSize = env.BatchSize
		cfg.MaxInFlight = max(cfg.MaxInFlight, 2*env.BatchSize)
		cfg.MaxSpan = max(cfg.MaxSpan, env.BatchSize)
	}
	cfg.BatchWait = env.BatchWait
	if env.MaxAttempts > 0 {
		cfg.Retry.Attempts = env.MaxAttempts
	}
	if env.SessionTimeout > 0 {
		cfg.SessionTimeout = env.SessionTimeout
		cfg.HeartbeatInterval = min(cfg.HeartbeatInterval, max(env.SessionTimeout/10, 100*time.Millisecond))
	}
	if env.MaxPollInterval > 0 {
		cfg.RebalanceTimeout = env.MaxPollInterval
		// Leave the group time for the rebalance itself.
		cfg.DrainTimeout = min(cfg.DrainTimeout, env.MaxPollInterval*3/4)
	}
	if env.MetadataMaxAge > 0 {
		cfg.ClientOpts = append(cfg.ClientOpts, kgo.MetadataMaxAge(env.MetadataMaxAge), kgo.MetadataMinAge(min(env.MetadataMaxAge, time.Second)))
	}
	err := extras(env, &cfg)
	return cfg, err
}

// extras sets what variables of its own say.
func extras(env subject.Env, cfg *consumer.Config) error {
	ms, err := number(env.Extra, "KSIM_COMMIT_INTERVAL_MS")
	if err != nil {
		return err
	}
	if ms > 0 {
		cfg.CommitEachBatch, cfg.CommitInterval = false, time.Duration(ms)*time.Millisecond
	}
	if cfg.CommitEachBatch {
		// One batch of each partition is what a crash may repeat, out of order too.
		cfg.MaxSpan = cfg.BatchSize
	}
	if ms, err = number(env.Extra, "KSIM_HANDLER_TIMEOUT_MS"); err != nil {
		return err
	}
	if ms > 0 {
		cfg.HandlerTimeout = time.Duration(ms) * time.Millisecond
	}
	n, err := number(env.Extra, "KSIM_CONCURRENCY")
	if err != nil {
		return err
	}
	if n > 0 {
		cfg.Concurrency = n
	}
	return nil
}

// assign chooses how a classic group shares partitions out.
func assign(cfg *consumer.Config, assignor string) error {
	switch assignor {
	case "", "cooperative-sticky":
		cfg.Protocol = consumer.ProtocolCooperative
	case "eager":
		cfg.Protocol = consumer.ProtocolEager
	default:
		return fmt.Errorf("reference: KSIM_ASSIGNOR is %q: give cooperative-sticky or eager", assignor)
	}
	return nil
}

// number reads a whole number of 1 or more; 0 if the variable is not set.
func number(extra map[string]string, name string) (int, error) {
	text := extra[name]
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("reference: %s is %q: give a whole number of 1 or more", name, text)
	}
	return n, nil
}
