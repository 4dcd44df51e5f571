package workload

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

const topic = "orders"

type bench struct {
	*Producer
	cluster *kfake.Cluster
	line    *line
}

func newBench(t *testing.T, opts ...kgo.Opt) *bench {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(4, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	l := &line{}
	opts = append(append(ClientOpts("none"), kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(l.dial)), opts...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	log := history.NewMemory(history.Header{Topic: topic})
	return &bench{&Producer{Client: client, Log: log, Ledger: NewLedger(), Topic: topic}, cluster, l}
}

// line is a network that can go deaf: what is written arrives, what is
// answered does not.
type line struct{ deaf atomic.Bool }

type conn struct {
	net.Conn
	line *line
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, line: l}, nil
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.line.deaf.Load() {
			return n, err
		}
	}
}

func (b *bench) run(ctx context.Context, t *testing.T, msgs []Message, rate float64) (Stats, []history.Event, error) {
	t.Helper()
	since := b.Log.Last()
	stats, err := b.Run(ctx, slices.Values(msgs), rate)
	events := b.Log.Events(since)
	seen := map[string]history.Event{}
	count := map[history.Outcome]int{}
	for _, e := range events {
		if _, twice := seen[e.Message]; twice || e.Kind != history.Produced {
			t.Errorf("event %+v: only one Produced for each message", e)
		}
		seen[e.Message] = e
		count[e.Outcome]++
	}
	if count[history.Acked] != stats.Acked || count[history.Failed] != stats.Failed || count[history.Unknown] != stats.Unknown {
		t.Errorf("stats %+v, events %v", stats, count)
	}
	return stats, events, err
}

func few(n int) []Message {
	msgs, err := Generate(Spec{Messages: n, Partitions: 4, Keys: 50, Distribution: Uniform, Size: 100, Seed: 3})
	if err != nil {
		panic(err)
	}
	return msgs
}

func (b *bench) inTopic(t *testing.T) int64 {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

func TestAcked(t *testing.T) {
	b := newBench(t)
	spec := mixed()
	msgs := generate(t, spec)
	stats, events, err := b.run(t.Context(), t, msgs, 2000)
	if err != nil || stats.Acked != len(msgs) || len(events) != len(msgs) {
		t.Fatalf("stats %+v, error %v", stats, err)
	}
	if n := b.inTopic(t); n != int64(len(msgs)) {
		t.Errorf("%d records in the topic, want %d", n, len(msgs))
	}
	next := map[int32]int64{}
	due := map[string]time.Duration{}
	for _, e := range events {
		entry, ok := b.Ledger.ByID(e.Message)
		if !ok || e.Outcome != history.Acked || e.Partition != entry.Message.Partition || e.Offset != entry.Offset || e.Offset != next[e.Partition] {
			t.Errorf("event %+v, ledger %+v", e, entry)
		}
		next[e.Partition]++
		if byPlace, ok := b.Ledger.ByRecord(e.Partition, e.Offset); !ok || byPlace.ID != e.Message {
			t.Errorf("%s is not at its place", e.Message)
		}
		if (e.Hash == "") != (entry.Poison == Tombstone) || e.Size != len(entry.Value) || e.Key != string(entry.Key) || e.Poison != string(entry.Poison) {
			t.Errorf("event %+v of %+v", e, entry.Message)
		}
		due[e.Message] = e.Due
	}
	for i, m := range msgs { // the schedule, not the moment of sending
		if want := due[msgs[0].ID] + (Pacer{Rate: 2000}).Due(i); due[m.ID] != want {
			t.Errorf("%s due %s, want %s", m.ID, due[m.ID], want)
		}
	}
}

func TestRecordsCarryTheirID(t *testing.T) {
	b := newBench(t)
	msgs := few(20)
	if _, _, err := b.run(t.Context(), t, msgs, 0); err != nil {
		t.Fatal(err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for n := 0; n < len(msgs); {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			e, ok := b.Ledger.ByID(string(r.Headers[0].Value))
			if !ok || r.Headers[0].Key != HeaderID || r.Headers[1].Key != HeaderSeq || string(r.Value) != string(e.Value) || r.Partition != e.Partition {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func TestRefusedByTheBrokerIsFailed(t *testing.T) {
	b := newBench(t)
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed})
	stats, events, err := b.run(t.Context(), t, few(1), 0)
	if err != nil || stats.Failed != 1 || !strings.Contains(events[0].Error, "TOPIC_AUTHORIZATION_FAILED") || events[0].Offset != -1 || events[0].Partition != -1 {
		t.Errorf("stats %+v, events %+v, error %v", stats, events, err)
	}
	if n := b.inTopic(t); n != 0 {
		t.Errorf("%d records in the topic", n)
	}
	// The client goes on after it.
	if stats, _, err := b.run(t.Context(), t, few(50), 0); err != nil || stats.Acked != 50 {
		t.Errorf("afterwards: %+v, error %v", stats, err)
	}
}

func TestNeverSentIsFailed(t *testing.T) {
	b := newBench(t)
	huge := few(1)
	huge[0].Value = make([]byte, 2<<20)
	if stats, _, err := b.run(t.Context(), t, huge, 0); err != nil || stats.Failed != 1 {
		t.Errorf("larger than a batch: %+v, error %v", stats, err)
	}
	b.Topic = "missing"
	if stats, events, err := b.run(t.Context(), t, few(1), 0); err != nil || stats.Failed != 1 {
		t.Errorf("no such topic: %+v, %+v, error %v", stats, events, err)
	}
	if n := b.inTopic(t); n != 0 {
		t.Errorf("%d records in the topic", n)
	}
}

// Without a broker nothing is ever written, and the client gives up in the end.
func TestUnreachableIsFailed(t *testing.T) {
	b := newBench(t, kgo.RecordDeliveryTimeout(time.Second))
	b.cluster.Close()
	stats, _, err := b.run(t.Context(), t, few(3), 0)
	if err != nil || stats.Failed != 3 {
		t.Errorf("stats %+v, error %v", stats, err)
	}
}

// A lost answer is unknown, and rightly so: the record is there.
func TestUnansweredIsUnknown(t *testing.T) {
	b := newBench(t)
	warm(t, b)
	b.Timeout = 300 * time.Millisecond
	b.line.deaf.Store(true)
	produced := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Observe: true, Count: -1})
	stats, events, err := b.run(t.Context(), t, few(1), 0)
	if err != nil || stats.Unknown != 1 || events[0].Offset != -1 || events[0].Partition != -1 || !strings.Contains(events[0].Error, "no answer within 300ms") {
		t.Fatalf("stats %+v, events %+v, error %v", stats, events, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := produced.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if n := b.inTopic(t); n != 5 {
		t.Errorf("%d records in the topic, want 4 and the one that nobody answered for", n)
	}
	if e, _ := b.Ledger.ByID(events[0].Message); e.Offset != -1 || e.Partition != e.Message.Partition {
		t.Errorf("ledger %+v", e)
	}
}

func TestCancelledInFlightIsUnknown(t *testing.T) {
	b := newBench(t)
	warm(t, b)
	b.line.deaf.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	produced := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Observe: true, Count: -1})
	go func() {
		defer cancel()
		bounded, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		_ = produced.Wait(bounded, 1)
	}()
	msgs := few(50_000)
	stats, events, err := b.run(ctx, t, msgs, 100)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if stats.Unknown == 0 || stats.Acked != 0 || len(events) == len(msgs) {
		t.Errorf("stats %+v of %d", stats, len(msgs))
	}
}

// An answer that is lost with its connection is asked for again by the
// idempotent client: one record, one ack.
func TestRetryDoesNotRepeat(t *testing.T) {
	b := newBench(t)
	hit := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut})
	stats, _, err := b.run(t.Context(), t, few(1), 0)
	if err != nil || stats.Acked != 1 || hit.Hits() != 1 {
		t.Errorf("stats %+v, %d faults, error %v", stats, hit.Hits(), err)
	}
	if n := b.inTopic(t); n != 1 {
		t.Errorf("%d records in the topic", n)
	}
}

// A client that is closed under way leaves nothing certain but what never left it.
func TestClosedClient(t *testing.T) {
	b := newBench(t)
	warm(t, b)
	b.line.deaf.Store(true)
	produced := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Observe: true, Count: -1})
	go func() {
		bounded, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		_ = produced.Wait(bounded, 1)
		b.Client.Close()
	}()
	stats, _, err := b.run(t.Context(), t, few(1), 0)
	if err != nil || stats.Unknown != 1 {
		t.Errorf("in flight: %+v, error %v", stats, err)
	}
	stats, _, err = b.run(t.Context(), t, few(1), 0)
	if err != nil || stats.Failed != 1 {
		t.Errorf("after the end: %+v, error %v", stats, err)
	}
}

func TestForeignClient(t *testing.T) {
	b := newBench(t)
	plain, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	b.Client = plain
	if _, err := b.Run(t.Context(), slices.Values(few(1)), 0); err == nil || !strings.Contains(err.Error(), "ClientOpts") {
		t.Errorf("error %v", err)
	}
}

func TestCompressions(t *testing.T) {
	for name := range codecs {
		b := newBench(t, ClientOpts(name)...)
		if stats, _, err := b.run(t.Context(), t, few(10), 0); err != nil || stats.Acked != 10 {
			t.Errorf("%q: %+v, error %v", name, stats, err)
		}
	}
}

// warm loads metadata and producer id, so that the next request is a produce.
func warm(t *testing.T, b *bench) {
	t.Helper()
	msgs := few(200)
	first := map[int32]bool{}
	msgs = slices.DeleteFunc(msgs, func(m Message) bool {
		seen := first[m.Partition]
		first[m.Partition] = true
		return seen
	})
	for i := range msgs {
		msgs[i].ID = "warm-" + msgs[i].ID
	}
	if stats, _, err := b.run(t.Context(), t, msgs, 0); err != nil || stats.Acked != 4 {
		t.Fatalf("warm-up: %+v, error %v", stats, err)
	}
}

func BenchmarkProducer(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topic))
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(append(ClientOpts("none"), kgo.SeedBrokers(cluster.ListenAddrs()...))...)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	seq, err := Spec{Messages: b.N, Partitions: 4, Keys: 100, Distribution: Uniform, Size: 256}.Stream()
	if err != nil {
		b.Fatal(err)
	}
	p := &Producer{Client: client, Log: history.NewMemory(history.Header{}), Ledger: NewLedger(), Topic: topic}
	b.ReportAllocs()
	if stats, err := p.Run(b.Context(), seq, 0); err != nil || stats.Acked != b.N {
		b.Fatalf("%+v, %v", stats, err)
	}
}
