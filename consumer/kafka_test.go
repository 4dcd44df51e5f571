package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

const (
	topic      = "orders"
	partitions = 4
	group      = "billing"
	letters    = "dlq.billing.orders"
	patience   = 30 * time.Second
)

// kafka is an embedded broker with the topic and its dead-letter topic.
type kafka struct {
	*testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
}

func startKafka(t *testing.T) *kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(3), kfake.SeedTopics(partitions, topic), kfake.SeedTopics(1, letters),
		kfake.GroupMinSessionTimeout(500*time.Millisecond),
		kfake.BrokerConfigs(map[string]string{
			"group.consumer.session.timeout.ms": "3000", "group.consumer.heartbeat.interval.ms": "100",
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &kafka{t, cluster, client}
}

// produce sends records from to from+n-1, numbered in their values, over all
// partitions; a key is always in one partition.
func (k *kafka) produce(from, n int) {
	k.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		id := from + i
		recs[i] = &kgo.Record{
			Topic: topic, Partition: int32(id % partitions), Key: fmt.Appendf(nil, "k%d", id%20), Value: strconv.AppendInt(nil, int64(id), 10),
			Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte{0, 0xff, byte(id)}}},
		}
	}
	if err := k.client.ProduceSync(k.Context(), recs...).FirstErr(); err != nil {
		k.Fatal(err)
	}
}

func (k *kafka) config() consumer.Config {
	cfg := k.testConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.ClientID = k.cluster.ListenAddrs(), []string{topic}, group, "c"
	return cfg
}

func (k *kafka) testConfig() consumer.Config {
	cfg := consumer.DefaultConfig()
	cfg.SessionTimeout, cfg.HeartbeatInterval = 5*time.Second, 50*time.Millisecond
	cfg.RebalanceTimeout, cfg.DrainTimeout, cfg.ShutdownTimeout = 5*time.Second, 4*time.Second, 10*time.Second
	cfg.CommitInterval = 20 * time.Millisecond
	cfg.Retry.Initial, cfg.Retry.Max = 5*time.Millisecond, 20*time.Millisecond
	cfg.BatchSize = 10
	cfg.ClientOpts = []kgo.Opt{kgo.DisableClientMetrics()}
	cfg.Logger = slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return cfg
}

// committed is the sum of the committed offsets of all partitions: the number of
// records that are committed, since offsets start at 0 and have no gaps.
func (k *kafka) committed() int64 {
	sum := int64(0)
	if info := k.cluster.GroupInfo(group); info != nil {
		for _, c := range info.Commits[topic] {
			sum += c.Offset
		}
	}
	return sum
}

func (k *kafka) members() int {
	info := k.cluster.GroupInfo(group)
	if info == nil {
		return 0
	}
	return len(info.Members)
}

// until waits for a condition of the broker's, which has no event to wait for.
func (k *kafka) until(what string, ok func() bool) {
	k.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			k.Fatalf("waited too long for %s", what)
		}
	}
}

// running is a consumer that runs.
type running struct {
	k    *kafka
	stop context.CancelFunc
	done chan error
}

func (k *kafka) start(cfg consumer.Config, handler consumer.Handler) *running {
	k.Helper()
	c, err := consumer.New(cfg, handler)
	if err != nil {
		k.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{k, cancel, make(chan error, 1)}
	k.Cleanup(cancel)
	go func() { r.done <- c.Run(ctx) }()
	return r
}

// end waits for Run to return.
func (r *running) end() error {
	r.k.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		r.k.Fatal("Run does not return")
		return nil
	}
}

func (r *running) finish() {
	r.k.Helper()
	r.stop()
	if err := r.end(); err != nil {
		r.k.Fatalf("Run: %v", err)
	}
}

// effects notes what was handled, in order.
type effects struct {
	mu    sync.Mutex
	count map[string]int
	high  map[string]int64 // by partition, or by partition and key
	wrong string
	total int
	first chan struct{} // closed at the first effect
}

func newEffects() *effects {
	return &effects{count: make(map[string]int), high: make(map[string]int64), first: make(chan struct{})}
}

func (e *effects) add(r *kgo.Record, key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.total++; e.total == 1 {
		close(e.first)
	}
	e.count[string(r.Value)]++
	lane := fmt.Sprintf("%d/%s", r.Partition, key)
	if h := e.high[lane]; e.count[string(r.Value)] == 1 && r.Offset < h && e.wrong == "" {
		e.wrong = fmt.Sprintf("%d after %d in lane %s", r.Offset, h, lane)
	}
	e.high[lane] = max(e.high[lane], r.Offset)
}

func (e *effects) distinct() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.count)
}

func (e *effects) repeated() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total - len(e.count)
}

func (e *effects) handler(takes time.Duration, byKey bool) consumer.Handler {
	return consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return ctx.Err()
		}
		key := ""
		if byKey {
			key = string(r.Key)
		}
		e.add(r, key)
		return nil
	})
}
