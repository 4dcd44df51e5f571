package dlq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says which dead-letter topic, and where it is.
type Config struct {
	// ClientOpts are for the Kafka clients: brokers, TLS, SASL. No options of a
	// consumer or a producer belong here.
	ClientOpts []kgo.Opt
	// Topic is the dead-letter topic.
	Topic string
	// Group keeps which letters were sent. Empty means Topic + ".replay". It has no
	// members. It is the transactional id of a replay too.
	Group string
	// Timeout is how long Kafka may take to answer, to send on what there is to
	// read, or to end a transaction. Zero means 30 s.
	Timeout time.Duration
	Logger  *slog.Logger // nil: slog.Default()
}

func (c Config) withDefaults() (Config, error) {
	if c.Topic == "" {
		return c, errors.New("dlq: Config.Topic: give the name of the dead-letter topic")
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("dlq: Config.Timeout: %v is negative", c.Timeout)
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Group == "" {
		c.Group = c.Topic + ".replay"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// client makes a client. Config.ClientOpts may override the defaults, and not own.
func (c *Config) client(own ...kgo.Opt) (*kgo.Client, error) {
	defaults := []kgo.Opt{
		kgo.ClientID("ksim-dlq"),
		kgo.MetadataMinAge(250 * time.Millisecond), // somebody is waiting
	}
	cl, err := kgo.NewClient(slices.Concat(defaults, c.ClientOpts, own, []kgo.Opt{kgo.WithLogger(kafkaLog{c.Logger})})...)
	if err != nil {
		return nil, fmt.Errorf("dlq: %w", err)
	}
	return cl, nil
}

// askAgain is the wait before what a broker could not answer is asked again.
const askAgain = 50 * time.Millisecond

// admin connects, and asks for the bounds of the topic.
func (c *Config) admin(ctx context.Context) (*kadm.Client, map[int32]bounds, error) {
	cl, err := c.client(kgo.RetryTimeout(c.Timeout))
	if err != nil {
		return nil, nil, err
	}
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	all, err := topicBounds(ctx, adm, c.Topic)
	if err != nil {
		adm.Close()
		return nil, nil, err
	}
	return adm, all, nil
}

// progress asks the group for the progress of every partition, with no transaction
// under way.
func (c *Config) progress(ctx context.Context, adm *kadm.Client, all map[int32]bounds) (map[int32]*progress, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	listed, err := c.stableOffsets(ctx, adm)
	if err != nil {
		return nil, fmt.Errorf("dlq: progress of group %s: %w", c.Group, plain(err))
	}
	out := make(map[int32]*progress)
	for partition, b := range all {
		out[partition] = &progress{next: b.start}
		at, ok := listed.Lookup(c.Topic, partition)
		if !ok || at.At < 0 {
			continue
		}
		p, err := readProgress(at.At, at.Metadata)
		if err != nil {
			return nil, fmt.Errorf("dlq: group %s, %s/%d: %w", c.Group, c.Topic, partition, err)
		}
		if p.next > b.end {
			return nil, fmt.Errorf("dlq: group %s has %s/%d at offset %d, but it ends at %d: the topic was made anew. Delete the group's offsets, or choose another group", c.Group, c.Topic, partition, p.next, b.end)
		}
		p.advance(b.start)
		out[partition] = p
	}
	return out, nil
}

// stableOffsets asks until no transaction is under way that commits to the group.
func (c *Config) stableOffsets(ctx context.Context, adm *kadm.Client) (kadm.OffsetResponses, error) {
	for {
		listed, err := adm.FetchOffsets(kadm.RequireStable(ctx), c.Group)
		if err == nil {
			err = listed.Error()
		}
		if errors.Is(err, kerr.GroupIDNotFound) {
			return nil, nil
		}
		if !errors.Is(err, kerr.UnstableOffsetCommit) {
			return listed, err
		}
		if pause(ctx, askAgain) != nil {
			return nil, err
		}
	}
}

// kafkaLog passes the warnings and errors of the Kafka client on.
type kafkaLog struct{ log *slog.Logger }

// Level implements kgo.Logger.
func (l kafkaLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log implements kgo.Logger.
func (l kafkaLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	at := slog.LevelWarn
	if level == kgo.LogLevelError {
		at = slog.LevelError
	}
	l.log.Log(context.Background(), at, "kafka client: "+msg, keyvals...)
}
