package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/ksim-dev/ksim/consumer"
)

// shareKafka is Kafka, embedded or in a container, with two topics.
type shareKafka struct {
	*testing.T
	cluster *kfake.Cluster // nil in a container
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
func embedded(t *testing.T, opts ...kfake.Opt) *shareKafka {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts,
		kfake.NumBrokers(2), kfake.SeedTopics(partitions, topic), kfake.SeedTopics(1, letters),
		kfake.BrokerConfigs(map[string]string{
			"group.share.heartbeat.interval.ms":   "100",
			"group.share.session.timeout.ms":      "3000", // a member that is dead keeps its partitions for so long
			"group.share.record.lock.duration.ms": "1000",
			"share.record.lock.sweep.interval.ms": "50",
		}),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	k := shareOn(t, cluster.ListenAddrs(), time.Second)
	k.cluster = cluster
	return k
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

// Before Kafka 4.2 a lock cannot be renewed: a handler ends before it does, and
// what waits too long is given back.
func TestShareWithoutRenewal(t *testing.T) {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.ShareFetch), 1)
	versions.SetMaxKeyVersion(int16(kmsg.ShareAcknowledge), 1)
	k := embedded(t, kfake.MaxVersions(versions))
	k.produce(0, 2)
	cfg := k.config()
	log := new(keptLog)
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	cfg.HandlerTimeout = 0
	cfg.Retry.Attempts = 10
	d := newDeliveries()
	r := k.start(cfg, consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		n := d.add("", r)
		switch {
		case string(r.Value) == "0" && n == 1:
			<-ctx.Done() // by the lock
			return context.Cause(ctx)
		case string(r.Value) == "1" && r.DeliveryCount() == 1:
			return consumer.RetryAfter(errNo, time.Hour)
		}
		return nil
	}))
	r.until("both", func() bool { return r.c.Stats().Accepted == 2 })
	r.finish()
	if got := d.of("0"); len(got) < 2 {
		t.Errorf("deliveries %v of the one with a slow handler", got)
	}
	if got := d.of("1"); len(got) != 2 || got[1] != 2 || r.c.Stats().Released == 0 {
		t.Errorf("deliveries %v of the one that had to wait, %+v", got, r.c.Stats())
	}
	if !log.has("cannot renew") {
		t.Error("no warning")
	}
}

// A refused acknowledgement is told, and the record comes again when its lock ends.
func TestShareAckFailed(t *testing.T) {
	k := embedded(t)
	k.produce(0, 1)
	fault := k.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.ShareAcknowledge, kmsg.ShareFetch}, Err: kerr.InvalidRecordState, Count: 1,
		When: func(req kmsg.Request) bool {
			switch req := req.(type) {
			case *kmsg.ShareAcknowledgeRequest:
				return len(req.Topics) > 0
			case *kmsg.ShareFetchRequest:
				return len(req.Topics) > 0 && len(req.Topics[0].Partitions[0].AcknowledgementBatches) > 0
			}
			return false
		},
	})
	defer fault.Remove()
	failed := make(chan consumer.ShareAckInfo, 10)
	cfg := k.config()
	cfg.Hooks.OnAckFailed = func(i consumer.ShareAckInfo) { failed <- i }
	d := newDeliveries()
	r := k.start(cfg, d.handler(""))
	select {
	case i := <-failed:
		if i.Topic != topic || len(i.Offsets) != 1 || i.Offsets[0] != 0 || i.Status != kgo.AckAccept || i.Err == nil {
			t.Errorf("%+v", i)
		}
	case <-time.After(patience):
		t.Fatal("nobody told")
	}
	r.until("its end", func() bool { return r.c.Stats().Accepted == 1 })
	r.finish()
	if got := d.of("0"); len(got) != 2 || got[1] != 2 || r.c.Stats().AckFailed != 1 {
		t.Errorf("deliveries %v, %+v", got, r.c.Stats())
	}
}

// A broker that is loading refuses a renewal for a moment: no lock is lost by it,
// although the consumer is full and fetches nothing.
func TestShareRenewalRefusedForAMoment(t *testing.T) {
	k := embedded(t)
	k.produce(0, 1)
	fault := k.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.ShareAcknowledge}, Topic: topic, Err: kerr.CoordinatorLoadInProgress, Count: 1,
		When: func(req kmsg.Request) bool { return req.(*kmsg.ShareAcknowledgeRequest).IsRenewAck },
	})
	defer fault.Remove()
	cfg := k.config()
	cfg.HandlerTimeout, cfg.BatchSize, cfg.MaxInFlight = 0, 1, 1
	d := newDeliveries()
	r := k.start(cfg, d.slow("", 3*k.lock))
	r.until("its end", func() bool { return r.c.Stats().Accepted == 1 })
	r.finish()
	d.once(t, 1)
	if s := r.c.Stats(); fault.Hits() == 0 || s.Taken > 0 || s.AckFailed > 0 {
		t.Errorf("refused %d times, %+v", fault.Hits(), s)
	}
}

// The connection breaks in the middle of a renewal, and with it the broker's
// session with this member: the broker delivers all that it holds again, and here
// no record is with two handlers at once.
func TestShareConnectionLost(t *testing.T) {
	k := embedded(t)
	k.produce(0, 12)
	var broken, taken, both atomic.Int32
	k.cluster.ControlKey(int16(kmsg.ShareAcknowledge), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if broken.Load() < 2 && req.(*kmsg.ShareAcknowledgeRequest).IsRenewAck {
			broken.Add(1)
			k.cluster.KeepControl()
			return nil, errNo, true
		}
		k.cluster.KeepControl()
		return nil, nil, false
	})
	cfg := k.config()
	cfg.HandlerTimeout = 0
	cfg.Hooks.OnTaken = func(string, int32, int64, error) { taken.Add(1) }
	var running sync.Map
	d := newDeliveries()
	r := k.start(cfg, func(ctx context.Context, b consumer.Batch) error {
		for _, r := range b.Records {
			if _, twice := running.LoadOrStore(string(r.Value), true); twice {
				both.Add(1)
			}
			d.add("", r)
		}
		defer func() {
			for _, r := range b.Records {
				running.Delete(string(r.Value))
			}
		}()
		select {
		case <-time.After(k.lock):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	r.until("all", func() bool { return r.c.Stats().Accepted == 12 })
	r.finish()
	if broken.Load() == 0 || taken.Load() == 0 || both.Load() > 0 {
		t.Errorf("%d connections broken, %d records taken, %d with two handlers", broken.Load(), taken.Load(), both.Load())
	}
	k.nothingLeft()
}

// Without Start the group's configuration stays as it is, and a silence is explained.
func TestShareStart(t *testing.T) {
	k := embedded(t)
	k.produce(0, 10)
	cfg := k.config()
	cfg.Start = ""
	log := new(keptLog)
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	d := newDeliveries()
	r := k.start(cfg, d.handler(""))
	r.until("a warning", func() bool { return log.has("nobody has chosen where this share group starts") })
	n := 10
	r.until("new records", func() bool {
		k.produce(n, 1)
		n++
		return d.distinct() > 0
	})
	r.finish()
	if d.of("0") != nil {
		t.Error("an old record came")
	}
}

// A broker without share groups ends Run with words.
func TestShareUnsupported(t *testing.T) {
	k := embedded(t, kfake.MaxVersions(kversion.V3_9_0()))
	r := k.start(k.config(), newDeliveries().handler(""))
	if err := r.end(); err == nil || !strings.Contains(err.Error(), "no share groups") {
		t.Errorf("Run: %v", err)
	}
}

// A hook that replaces a record's context takes away what acknowledges it: Run
// says so, and nothing is lost.
func TestShareHookContext(t *testing.T) {
	k := embedded(t)
	k.produce(0, 1)
	cfg := k.config()
	cfg.ClientOpts = append(cfg.ClientOpts, kgo.WithHooks(replacer{}))
	if err := k.start(cfg, newDeliveries().handler("")).end(); err == nil || !strings.Contains(err.Error(), "replaced the context") {
		t.Fatalf("Run: %v", err)
	}
	d := newDeliveries()
	r := k.start(k.config(), d.handler(""))
	r.until("the record", func() bool { return r.c.Stats().Accepted == 1 })
	r.finish()
}

type replacer struct{}

func (replacer) OnFetchRecordBuffered(r *kgo.Record) { r.Context = context.Background() }

// keptLog keeps what was keptLog.
type keptLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *keptLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *keptLog) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), text)
}
