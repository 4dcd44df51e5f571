package schema

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/internal/services"
)

const (
	topic   = "orders"
	group   = "billing"
	letters = "dlq.billing.orders"

	numberV1 = `{"type":"record","name":"Number","fields":[{"name":"n","type":"int"}]}`
	numberV2 = `{"type":"record","name":"Number","fields":[{"name":"more","type":"string"},{"name":"n","type":"int"}]}`
)

type number struct {
	N int `avro:"n"`
}

// kafka is an embedded broker with the topic and its dead-letter topic.
type kafka struct {
	*testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
}

func startKafka(t *testing.T) *kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topic), kfake.SeedTopics(1, letters))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &kafka{t, cluster, client}
}

func (k *kafka) produce(partition int32, values ...[]byte) {
	k.Helper()
	recs := make([]*kgo.Record, len(values))
	for i, v := range values {
		recs[i] = &kgo.Record{Topic: topic, Partition: partition, Key: fmt.Appendf(nil, "k%d", i%3), Value: v}
	}
	if err := k.client.ProduceSync(k.Context(), recs...).FirstErr(); err != nil {
		k.Fatal(err)
	}
}

func (k *kafka) committed(partition int32) int64 {
	if info := k.cluster.GroupInfo(group); info != nil {
		return info.Commits[topic][partition].Offset
	}
	return 0
}

// letters reads all dead letters there are.
func (k *kafka) letters() []*kgo.Record {
	k.Helper()
	end := k.cluster.PartitionInfo(letters, 0).HighWatermark
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.cluster.ListenAddrs()...), kgo.DisableClientMetrics(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{letters: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		k.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(k.Context(), time.Minute)
	defer cancel()
	var out []*kgo.Record
	for int64(len(out)) < end {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			k.Fatalf("%d of %d dead letters: %v", len(out), end, f.Err())
		}
		out = append(out, f.Records()...)
	}
	return out
}

func header(r *kgo.Record, name string) string {
	for _, h := range slices.Backward(r.Headers) {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// run starts a consumer, and returns what stops it.
func (k *kafka) run(handler consumer.Handler, change func(*consumer.Config)) (stop func()) {
	k.Helper()
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = k.cluster.ListenAddrs(), []string{topic}, group
	cfg.CommitInterval, cfg.HeartbeatInterval = 20*time.Millisecond, 50*time.Millisecond
	cfg.Retry.Initial, cfg.Retry.Max = 5*time.Millisecond, 50*time.Millisecond
	cfg.BatchSize, cfg.Poison.Policy = 10, consumer.PoisonDeadLetter
	cfg.ClientOpts = []kgo.Opt{kgo.DisableClientMetrics()}
	cfg.Logger = slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	change(&cfg)
	c, err := consumer.New(cfg, handler)
	if err != nil {
		k.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			k.Errorf("Run: %v", err)
		}
	})
	k.Cleanup(stop)
	return stop
}

// handled notes the numbers that a handler was given and took.
type handled struct {
	mu    sync.Mutex
	count map[string]int
}

func (h *handled) add(partition int32, n any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == nil {
		h.count = make(map[string]int)
	}
	h.count[fmt.Sprintf("%d:%v", partition, n)]++
}

func (h *handled) want(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range want {
		if h.count[key] != 1 {
			t.Errorf("%s was handled %d times", key, h.count[key])
		}
		delete(h.count, key)
	}
	for key, n := range h.count {
		t.Errorf("%s was handled %d times, and should not have been", key, n)
	}
}

// The registry is killed. Partitions that need a schema not yet known wait, the others go
// on, poison of that kind is not mistaken for the outage nor the outage for
// poison. The registry comes back, and all that waited is handled, in order.
func TestOutageOfTheRegistry(t *testing.T) {
	server := services.NewRegistry(t)
	r := newRegistry(t, server.URL())
	k := startKafka(t)
	v1 := r.register("orders-value", sr.TypeAvro, numberV1)
	v2 := r.register("orders-value", sr.TypeAvro, numberV2)
	first := func(n int) []byte { return avroValue(t, v1, numberV1, map[string]any{"n": n}) }
	second := func(n int) []byte { return avroValue(t, v2, numberV2, map[string]any{"n": n, "more": "x"}) }

	var got handled
	var unavailable atomic.Int64
	d := r.decoder(Config{Value: Rule{Reader: Reader{Text: numberV1}, Subject: TopicName}})
	stop := k.run(d.Handler(func(_ context.Context, b consumer.Batch, values []Value) error {
		if len(values) != len(b.Records) {
			t.Errorf("%d values for %d records", len(values), len(b.Records))
		}
		for i, v := range values {
			switch data := v.Data.(type) {
			case nil:
				got.add(b.Partition, fmt.Sprint("tombstone at ", b.Records[i].Offset))
			case map[string]any:
				got.add(b.Partition, data["n"])
			}
		}
		return nil
	}), func(cfg *consumer.Config) {
		cfg.Hooks.OnRetry = func(info consumer.RetryInfo) {
			if !errors.Is(info.Err, ErrUnavailable) || info.Attempts != 0 {
				t.Errorf("retry after %d attempts: %v", info.Attempts, info.Err)
			}
			unavailable.Add(1)
		}
	})
	k.produce(0, first(1), first(2))
	k.produce(1, first(1))
	until(t, "what came before", func() bool { return k.committed(0) == 2 && k.committed(1) == 1 })

	server.Stop()
	k.produce(0, first(3), nil, []byte("not of the registry"), second(4), wire(v2, []byte{0xff}), second(5), first(6))
	k.produce(1, first(2), wire(v1, nil), first(3))
	until(t, "the partition that needs no registry", func() bool { return k.committed(1) == 4 })
	until(t, "the other one to come to what it cannot read", func() bool { return k.committed(0) == 5 && unavailable.Load() > 10 })
	if n := len(k.letters()); n != 2 {
		t.Errorf("%d dead letters during the outage, want the two that are poison", n)
	}

	server.Start(t)
	until(t, "what waited", func() bool { return k.committed(0) == 9 })
	stop()
	got.want(t, "0:1", "0:2", "0:3", "0:tombstone at 3", "0:4", "0:5", "0:6", "1:1", "1:2", "1:3")
	wantLetters(t, k, map[string]string{"0/4": "", "0/6": strconv.Itoa(v2), "1/2": strconv.Itoa(v1)})
}

// wantLetters checks the dead letters: by partition and offset, the id of the schema.
func wantLetters(t *testing.T, k *kafka, want map[string]string) {
	t.Helper()
	found := 0
	for _, l := range k.letters() {
		at := header(l, consumer.HeaderPartition) + "/" + header(l, consumer.HeaderOffset)
		id, ok := want[at]
		if !ok {
			t.Errorf("a dead letter of %s: %s", at, header(l, consumer.HeaderMessage))
			continue
		}
		found++
		for name, value := range map[string]string{
			consumer.HeaderStage: "decode", consumer.HeaderSchemaID: id, consumer.HeaderAttempts: "1", consumer.HeaderErrorType: "*schema.Error",
		} {
			if got := header(l, name); got != value {
				t.Errorf("dead letter of %s: %s is %q, want %q", at, name, got, value)
			}
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d dead letters", found, len(want))
	}
}

// Poison in the middle of batches, under every order and with every kind of handler,
// while the handler itself fails single records at first: each record that can be
// read is done exactly once, and only the others are dead-lettered.
func TestPoisonAmongOthers(t *testing.T) {
	r := realRegistry(t)
	id := r.register(r.subject("value"), sr.TypeAvro, numberV1)
	const records = 60
	bad := func(i int) bool { return i%7 == 3 }
	for _, order := range []consumer.Order{consumer.OrderPartition, consumer.OrderKey, consumer.Unordered} {
		for name, make := range map[string]func(*Decoder, func(int32, int) error) consumer.Handler{
			"each": func(d *Decoder, take func(int32, int) error) consumer.Handler {
				return Each(d, func(_ context.Context, r *kgo.Record, v *number) error { return take(r.Partition, v.N) })
			},
			"some": func(d *Decoder, take func(int32, int) error) consumer.Handler {
				return Batches(d, func(_ context.Context, b consumer.Batch, values []*number) error {
					failed := make(map[int]error)
					for i, v := range values {
						if err := take(b.Partition, v.N); err != nil {
							failed[i] = err
						}
					}
					return consumer.Failed(failed)
				})
			},
			"first": func(d *Decoder, take func(int32, int) error) consumer.Handler {
				return d.Handler(func(_ context.Context, b consumer.Batch, values []Value) error {
					for i, v := range values {
						if err := take(b.Partition, int(v.Data.(map[string]any)["n"].(int32))); err != nil {
							return consumer.FailedAt(i, err)
						}
					}
					return nil
				})
			},
		} {
			t.Run(string(order)+", "+name, func(t *testing.T) {
				k := startKafka(t)
				values := [][]byte{}
				var want []string
				letters := map[string]string{}
				for i := range records {
					if bad(i) {
						values = append(values, wire(id, nil))
						letters[fmt.Sprint("0/", i)] = strconv.Itoa(id)
						continue
					}
					values = append(values, avroValue(t, id, numberV1, map[string]any{"n": i}))
					want = append(want, fmt.Sprint("0:", i))
				}
				k.produce(0, values...)
				var got handled
				var failures sync.Map
				d := r.decoder(Config{})
				stop := k.run(make(d, func(partition int32, n int) error {
					if _, again := failures.LoadOrStore(n, true); n%4 == 0 && !again {
						return errors.New("not yet")
					}
					got.add(partition, n)
					return nil
				}), func(cfg *consumer.Config) { cfg.Order = order })
				until(t, "all", func() bool { return k.committed(0) == records })
				stop()
				got.want(t, want...)
				wantLetters(t, k, letters)
			})
		}
	}
}
