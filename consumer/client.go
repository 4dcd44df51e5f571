package consumer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clientOpts are the options of a session's Kafka client. Callbacks and polls
// exclude each other (BlockRebalanceOnPoll): what a poll returned is queued
// before a revoke runs, and nothing of a revoked partition is queued after.
func (s *session) clientOpts(ctx context.Context) []kgo.Opt {
	cfg := s.e.cfg
	opts := []kgo.Opt{
		// Not the context of Run: the last commit and the leave come after its end.
		kgo.WithContext(ctx),
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.WithLogger(kafkaLog{s.e.log}),
		kgo.WithHooks(connectLog{s.e.log}),
		kgo.ConsumeTopics(cfg.Topics...),
		kgo.ConsumerGroup(cfg.Group),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(s.onAssigned),
		kgo.OnPartitionsRevoked(s.onRevoked),
		kgo.OnPartitionsLost(s.onLost),
		kgo.RebalanceTimeout(cfg.RebalanceTimeout),
		kgo.ConsumeStartOffset(cfg.Start.offset()),
		kgo.ConsumeResetOffset(cfg.Reset.offset()),
		kgo.FetchMaxBytes(cfg.FetchMaxBytes),
		kgo.FetchMaxPartitionBytes(cfg.FetchMaxPartitionBytes),
		kgo.BrokerMaxReadBytes(max(cfg.FetchMaxBytes, 100<<20)), // kgo's default, which a larger fetch would not fit in
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // handlers do not get them, but the watermark passes them
		kgo.AdjustFetchOffsetsFn(s.begin),
		kgo.WithHooks(pulse{&s.e.vitals}),
	}
	switch cfg.Protocol {
	case ProtocolConsumer:
		// Without sticky or range first, kgo would silently use the classic protocol.
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	case ProtocolEager:
		opts = append(opts, kgo.Balancers(kgo.StickyBalancer()))
	default:
		opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	}
	if cfg.SessionTimeout > 0 {
		opts = append(opts, kgo.SessionTimeout(cfg.SessionTimeout))
	}
	if cfg.HeartbeatInterval > 0 {
		opts = append(opts, kgo.HeartbeatInterval(cfg.HeartbeatInterval))
	}
	if cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(cfg.InstanceID))
	}
	if cfg.ClientID != "" {
		opts = append(opts, kgo.ClientID(cfg.ClientID))
	}
	if s.e.tx != nil {
		opts = append(opts, produceOpts()...)
		opts = append(opts, kgo.ProducerBatchMaxBytesFn(cfg.maxBatchBytes),
			kgo.TransactionalID(cfg.TransactionalID), kgo.TransactionTimeout(cfg.TransactionTimeout),
			kgo.MetadataMinAge(transactionalMetadataAge), kgo.OnPartitionsCallbackBlocked(s.onBlocked))
	}
	return append(opts, cfg.ClientOpts...)
}

// fetchMaxWait is how long a broker may hold a fetch for which it has no records. There
// is one fetch at a time to each broker, so a partition that is resumed while the
// others have nothing waits for so long. kgo's default is 5 s.
const fetchMaxWait = 250 * time.Millisecond

// transactionalMetadataAge bounds how long an output waits that comes while the broker still writes the end of the
// transaction before: it is refused with CONCURRENT_TRANSACTIONS (KIP-890), as is normal where one transaction
// follows the other, and kgo produces again when it has asked for metadata, which it does not do more often than this.
// With its default of 5 s every such transaction takes 5 s, and a rebalance that begins meanwhile takes as long.
const transactionalMetadataAge = 100 * time.Millisecond

// produceOpts are for producing dead letters and outputs: acks=all and
// idempotent, which are kgo's defaults; partition by key as Kafka does. It must
// take whatever the broker let in, and what any client can read back.
func produceOpts() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(maxLetterBytes),
		kgo.ProducerBatchCompression(kgo.GzipCompression(), kgo.NoCompression()),
	}
}

// maxLetterBytes bounds a dead letter; the broker's own bound is the one that counts.
const maxLetterBytes = 64 << 20

// maxBatchBytes is what a batch of records to a topic may have in a transaction: a
// dead letter may have as much as the broker takes, outputs share batches of Kafka's
// default.
func (c Config) maxBatchBytes(topic string) int32 {
	for _, t := range c.Topics {
		if c.deadLetterTopic(t) == topic {
			return maxLetterBytes
		}
	}
	return 1_000_012
}

// letterOpts are the options of the producer of dead letters.
func letterOpts(cfg *Config, log *slog.Logger) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.WithLogger(kafkaLog{log}),
		kgo.WithHooks(connectLog{log}),
		kgo.RecordDeliveryTimeout(max(cfg.Retry.Max+cfg.CommitTimeout, time.Second)), // kgo takes no less
	}
	opts = append(opts, produceOpts()...)
	if cfg.ClientID != "" {
		opts = append(opts, kgo.ClientID(cfg.ClientID))
	}
	return append(opts, cfg.ClientOpts...)
}

func (p Position) offset() kgo.Offset {
	if p == Latest {
		return kgo.NewOffset().AtEnd()
	}
	return kgo.NewOffset().AtStart()
}

// kafkaLog passes the warnings and errors of the Kafka client on.
type kafkaLog struct{ log *slog.Logger }

// Level implements kgo.Logger.
func (l kafkaLog) Level() kgo.LogLevel {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

// Log implements kgo.Logger.
func (l kafkaLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	at := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		at = slog.LevelError
	case kgo.LogLevelWarn:
		at = slog.LevelWarn
	}
	l.log.Log(context.Background(), at, "kafka client: "+msg, keyvals...)
}

// connectLog tells of connections that were opened and then refused: by a password
// or a certificate that the broker does not like. The client tries again and again,
// since both can be put right from outside, and would not say a word about it.
type connectLog struct{ log *slog.Logger }

// OnBrokerConnect implements kgo.HookBrokerConnect. Without a connection, the
// client has told already.
func (l connectLog) OnBrokerConnect(broker kgo.BrokerMetadata, _ time.Duration, conn net.Conn, err error) {
	if conn == nil || err == nil || errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	l.log.Warn("a broker refused the connection, will try again; do TLS and SASL fit?", "broker", net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port))), "err", err)
}
