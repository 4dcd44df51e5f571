package consumer_test

import (
	"context"
	"errors"
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

// shareKafka is Kafka, embedded or in a container, with two topics.
type shareKafka struct {
	*testing.T
	brokers []string
	client  *kgo.Client
	lock    time.Duration
	topic   string
	letters string
	group   string
	members int // made so far, for their client ids
}

// embedded starts a broker whose locks last for a second, the least that
// franz-go knows, and are swept often.
func embedded(t *testing.T) *shareKafka {
	t.Helper()
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(2), kfake.SeedTopics(partitions, topic), kfake.SeedTopics(1, letters),
		kfake.BrokerConfigs(map[string]string{
			"group.share.heartbeat.interval.ms":   "100",
			"group.share.session.timeout.ms":      "3000", // a member that is dead keeps its partitions for so long
			"group.share.record.lock.duration.ms": "1000",
			"share.record.lock.sweep.interval.ms": "50",
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return shareOn(t, cluster.ListenAddrs(), time.Second)
}

func shareOn(t *testing.T, brokers []string, lock time.Duration) *shareKafka {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &shareKafka{T: t, brokers: brokers, client: client, lock: lock, topic: topic, letters: letters, group: group}
}

func (k *shareKafka) produce(from, n int) {
	k.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		id := from + i
		recs[i] = &kgo.Record{
			Topic: k.topic, Partition: int32(id % partitions), Key: fmt.Appendf(nil, "k%d", id), Value: strconv.AppendInt(nil, int64(id), 10),
			Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte{0, 0xff, byte(id)}}},
		}
	}
	if err := k.client.ProduceSync(k.Context(), recs...).FirstErr(); err != nil {
		k.Fatal(err)
	}
}

func (k *shareKafka) config() consumer.ShareConfig {
	cfg := consumer.DefaultShareConfig()
	k.members++
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.ClientID = k.brokers, []string{k.topic}, k.group, fmt.Sprintf("c%d", k.members)
	cfg.Start = consumer.Earliest
	cfg.Retry.Initial, cfg.Retry.Max = 5*time.Millisecond, 20*time.Millisecond
	cfg.ShutdownTimeout = 10 * time.Second
	cfg.ClientOpts = []kgo.Opt{kgo.DisableClientMetrics(), kgo.MetadataMinAge(50 * time.Millisecond)}
	cfg.Logger = slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return cfg
}

// sharing is a share consumer that runs.
type sharing struct {
	k    *shareKafka
	c    *consumer.ShareConsumer
	stop context.CancelFunc
	done chan error
}

func (k *shareKafka) start(cfg consumer.ShareConfig, handler consumer.ShareHandler) *sharing {
	k.Helper()
	c, err := consumer.NewShare(cfg, handler)
	if err != nil {
		k.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &sharing{k, c, cancel, make(chan error, 1)}
	ended := make(chan struct{})
	go func() { defer close(ended); r.done <- c.Run(ctx) }()
	k.Cleanup(func() { cancel(); <-ended })
	return r
}

func (r *sharing) end() error {
	r.k.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		r.k.Fatal("Run does not return")
		return nil
	}
}

// until is that of the broker, and fails if the consumer ends.
func (r *sharing) until(what string, ok func() bool) {
	r.k.Helper()
	r.k.until(what, func() bool {
		select {
		case err := <-r.done:
			r.k.Fatalf("Run ended: %v", err)
		default:
		}
		return ok()
	})
}

func (r *sharing) finish() {
	r.k.Helper()
	r.stop()
	if err := r.end(); err != nil {
		r.k.Fatalf("Run: %v", err)
	}
}

func (k *shareKafka) until(what string, ok func() bool) {
	k.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			k.Fatalf("waited too long for %s", what)
		}
	}
}

// nothingLeft says that the group has nothing left to deliver: a member of its own
// sees nothing for a time in which locks end twice.
func (k *shareKafka) nothingLeft() {
	k.Helper()
	seen := make(chan string, 1000)
	r := k.start(k.config(), consumer.Each(func(_ context.Context, r *kgo.Record) error {
		seen <- fmt.Sprintf("%s (delivery %d)", r.Value, r.DeliveryCount())
		return nil
	}))
	defer r.finish()
	select {
	case what := <-seen:
		k.Errorf("record %s came again", what)
	case <-time.After(2*k.lock + time.Second):
	}
}

// deliveries notes which records were handled, and in which delivery.
type deliveries struct {
	mu   sync.Mutex
	seen map[string][]int
	by   map[string]int
}

func newDeliveries() *deliveries {
	return &deliveries{seen: make(map[string][]int), by: make(map[string]int)}
}

func (d *deliveries) add(who string, r *kgo.Record) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[string(r.Value)] = append(d.seen[string(r.Value)], int(r.DeliveryCount()))
	d.by[who]++
	return len(d.seen[string(r.Value)])
}

func (d *deliveries) of(value string) []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]int(nil), d.seen[value]...)
}

func (d *deliveries) distinct() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen)
}

func (d *deliveries) once(t *testing.T, n int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.seen) != n {
		t.Errorf("%d of %d records were handled", len(d.seen), n)
	}
	for value, times := range d.seen {
		if len(times) != 1 {
			t.Errorf("record %s was handled %d times, in deliveries %v", value, len(times), times)
		}
	}
}

var errNo = errors.New("no")

func (d *deliveries) handler(who string) consumer.ShareHandler { return d.slow(who, 0) }

func (d *deliveries) slow(who string, takes time.Duration) consumer.ShareHandler {
	return consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		d.add(who, r)
		select {
		case <-time.After(takes):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

func headers(r *kgo.Record) map[string]string {
	out := make(map[string]string)
	for _, h := range r.Headers {
		out[h.Key] = string(h.Value)
	}
	return out
}

// readLetters returns all dead letters, and fails if there are not n.
func (k *shareKafka) readLetters(n int) []*kgo.Record {
	k.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.ConsumeTopics(k.letters), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		k.Fatal(err)
	}
	defer cl.Close()
	var out []*kgo.Record
	for len(out) <= n {
		wait := patience
		if len(out) == n {
			wait = time.Second // for one too many
		}
		ctx, cancel := context.WithTimeout(k.Context(), wait)
		f := cl.PollFetches(ctx)
		cancel()
		if len(f.Records()) == 0 {
			break
		}
		out = append(out, f.Records()...)
	}
	if len(out) != n {
		k.Fatalf("%d dead letters, want %d", len(out), n)
	}
	return out
}
