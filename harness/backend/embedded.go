package backend

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// EmbeddedConfig is how the embedded broker is set up. The zero value is good.
type EmbeddedConfig struct {
	// Nodes is the number of brokers; 0 means 3. On one node some clients
	// (sarama) share a connection between fetch and commit and crawl.
	Nodes int
	// ConsumerSession and ConsumerHeartbeat are imposed on KIP-848 groups; 0
	// means 3 s and 300 ms.
	ConsumerSession, ConsumerHeartbeat time.Duration
	// Options are further options of kfake, after our own.
	Options []kfake.Opt
}

// Embedded is franz-go's kfake in this process: real sockets on 127.0.0.1,
// Kafka's protocol, no disk, no replication.
type Embedded struct {
	cluster *kfake.Cluster
	admin   *kgo.Client
	brokers []string
	caps    Capabilities
}

// embeddedMinSession is short, so that a crash needs not be waited for long.
const embeddedMinSession = time.Second

// cleanerBackoff is how often logs are compacted, and retention is enforced, in those topics that ask for it.
const cleanerBackoff = 200 * time.Millisecond

// NewEmbedded starts an embedded Kafka. It costs milliseconds and a few MB.
func NewEmbedded(_ context.Context, cfg EmbeddedConfig) (*Embedded, error) {
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if cfg.ConsumerSession == 0 {
		cfg.ConsumerSession = 3 * time.Second
	}
	if cfg.ConsumerHeartbeat == 0 {
		cfg.ConsumerHeartbeat = 300 * time.Millisecond
	}
	opts := append([]kfake.Opt{
		kfake.NumBrokers(cfg.Nodes),
		kfake.ClusterID("ksim-embedded"),
		kfake.MaxVersions(embeddedVersions()),
		kfake.GroupMinSessionTimeout(embeddedMinSession),
		kfake.BrokerConfigs(map[string]string{
			"group.consumer.session.timeout.ms":    millis(cfg.ConsumerSession),
			"group.consumer.heartbeat.interval.ms": millis(cfg.ConsumerHeartbeat),
			"log.cleaner.backoff.ms":               millis(cleanerBackoff), // of retention too
		}),
	}, cfg.Options...)
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("start the embedded Kafka: %w", err)
	}
	neverTruncate(cluster)
	e := &Embedded{
		cluster: cluster,
		brokers: cluster.ListenAddrs(),
		caps: Capabilities{
			GroupMinSession: embeddedMinSession, ConsumerSession: cfg.ConsumerSession, ConsumerHeartbeat: cfg.ConsumerHeartbeat,
			KIP848: true, Transactions: true, ShareGroups: true, Replicas: 1,
			Move: cfg.Nodes > 1, RefuseErrors: true,
		},
	}
	e.admin, err = kgo.NewClient(e.ClientOpts()...)
	if err != nil {
		cluster.Close()
		return nil, fmt.Errorf("client of the embedded Kafka: %w", err)
	}
	return e, nil
}

// embeddedVersions are those of the newest release, but CreateTopics stops at
// v4: from v5 on kfake answers with null configs, which crash Java's admin client.
func embeddedVersions() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(kmsg.CreateTopics.Int16(), 4)
	return v
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Cluster is the broker itself, for what only a broker in the same process can
// do: faults (kfake.Fault), and the broker's own view of a group (GroupInfo),
// which stands in for __consumer_offsets.
func (e *Embedded) Cluster() *kfake.Cluster { return e.cluster }

// Name implements Kafka.
func (e *Embedded) Name() string { return "embedded" }

// Version implements Kafka.
func (e *Embedded) Version() string { return EmbeddedVersion() }

// EmbeddedVersion is the version of kfake that this binary is built with.
func EmbeddedVersion() string {
	const module = "github.com/twmb/franz-go/pkg/kfake"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path != module {
				continue
			}
			if dep.Replace != nil {
				dep = dep.Replace
			}
			return "franz-go kfake " + dep.Version
		}
	}
	return "franz-go kfake"
}

// Brokers implements Kafka.
func (e *Embedded) Brokers() []string { return append([]string(nil), e.brokers...) }

// Dial implements Kafka.
func (e *Embedded) Dial(ctx context.Context, addr string) (net.Conn, error) { return Plain(ctx, addr) }

// ClientOpts implements Kafka.
func (e *Embedded) ClientOpts() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(e.brokers...)}
}

// Capabilities implements Kafka.
func (e *Embedded) Capabilities() Capabilities { return e.caps }

// CreateTopic implements Kafka.
func (e *Embedded) CreateTopic(ctx context.Context, name string, partitions int32, configs map[string]*string) error {
	return CreateTopic(ctx, e.admin, name, partitions, configs)
}

// DeleteTopic implements Kafka.
func (e *Embedded) DeleteTopic(ctx context.Context, name string) error {
	return DeleteTopic(ctx, e.admin, name)
}

// Close implements Kafka.
func (e *Embedded) Close() error {
	e.admin.Close()
	e.cluster.Close()
	return nil
}
