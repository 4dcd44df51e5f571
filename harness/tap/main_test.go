package tap

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main(containers.ReaperMode()) // for the benchmark in front of a container
	goleak.VerifyTestMain(m)
}

const (
	testTopic  = "orders"
	testGroup  = "billing"
	partitions = 6
	patience   = 10 * time.Second
)

// fixture is a cluster of three brokers with a tap in front of it.
type fixture struct {
	*testing.T
	ctx     context.Context
	cluster *kfake.Cluster
	log     *history.Log
	tap     *Tap
}

func newFixture(t *testing.T) *fixture { t.Helper(); return newFixtureOf(t, 3) }

func newFixtureOf(t *testing.T, brokers int) *fixture {
	t.Helper()
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.SeedTopics(partitions, testTopic),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{"group.consumer.heartbeat.interval.ms": "100", "group.consumer.session.timeout.ms": "2000"}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	f := &fixture{T: t, ctx: ctx, cluster: cluster, log: history.NewMemory(history.Header{Group: testGroup})}
	f.tap = New(Config{Log: f.log, Seeds: cluster.ListenAddrs(), Group: testGroup})
	t.Cleanup(func() {
		f.tap.Close()
		cluster.Close()
		cancel()
		if p := f.tap.Problems(); len(p) > 0 && !strings.Contains(t.Name(), "Malformed") {
			t.Errorf("problems: %q", p)
		}
		if t.Failed() {
			for _, e := range f.log.Events(0) {
				t.Logf("%4d %8.3f %-16s %-4s gen %d %s/%d@%d %s %s ref %d %s", e.Seq, e.At.Seconds(), e.Kind, e.Who(), e.Generation, e.Topic, e.Partition, e.Offset, e.Outcome, e.Error, e.Ref, e.Note)
			}
		}
	})
	return f
}

func (f *fixture) open(member string, incarnation int) *Member {
	f.Helper()
	m, err := f.tap.Open(f.ctx, member, incarnation)
	if err != nil {
		f.Fatal(err)
	}
	return m
}

// client is a subject: a kgo client that knows the tap's addresses only.
type client struct {
	*kgo.Client
	m     *Member
	mu    sync.Mutex
	dials []string
	calls []string // of callbacks: "assigned orders/3"
	stop  context.CancelFunc
	done  chan struct{}
}

func (c *client) record(kind string, ps map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, partitions := range ps {
		for _, p := range partitions {
			c.calls = append(c.calls, fmt.Sprintf("%s %s/%d", kind, topic, p))
		}
	}
}

func (c *client) callbacks() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

func direct(f *fixture, opts ...kgo.Opt) *kgo.Client {
	f.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(f.cluster.ListenAddrs()...), kgo.DisableClientMetrics())...)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(cl.Close)
	return cl
}

// through makes a client that goes through the tap of m.
func through(f *fixture, m *Member, opts ...kgo.Opt) *client {
	f.Helper()
	c := &client{m: m, done: make(chan struct{})}
	var d net.Dialer
	opts = append(opts, kgo.SeedBrokers(strings.Split(m.Bootstrap(), ",")...), kgo.DisableClientMetrics(),
		kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			c.mu.Lock()
			c.dials = append(c.dials, addr)
			c.mu.Unlock()
			return d.DialContext(ctx, network, addr)
		}))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		f.Fatal(err)
	}
	c.Client = cl
	return c
}

// consume starts a consumer that commits every poll. It ends with the test at the latest.
func consume(f *fixture, m *Member, opts ...kgo.Opt) *client {
	f.Helper()
	var c *client
	record := func(kind string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, ps map[string][]int32) { c.record(kind, ps) }
	}
	ready := make(chan struct{})
	c = through(f, m, append([]kgo.Opt{
		kgo.ConsumerGroup(testGroup), kgo.ConsumeTopics(testTopic), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(2 * time.Second), kgo.HeartbeatInterval(100 * time.Millisecond), kgo.RebalanceTimeout(2 * time.Second),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(ctx context.Context, cl *kgo.Client, ps map[string][]int32) {
			<-ready
			record("assigned")(ctx, cl, ps)
		}),
		kgo.OnPartitionsRevoked(record("revoked")), kgo.OnPartitionsLost(record("lost")),
	}, opts...)...)
	close(ready)
	ctx, cancel := context.WithCancel(f.ctx)
	c.stop = cancel
	go func() {
		defer close(c.done)
		for ctx.Err() == nil {
			fetches := c.PollFetches(ctx)
			if !fetches.Empty() {
				_ = c.CommitRecords(ctx, fetches.Records()...)
			}
		}
	}()
	f.Cleanup(func() { c.end() })
	return c
}

// leave ends a consumer in good order.
func (c *client) leave(ctx context.Context) error {
	c.stop()
	<-c.done
	err := c.LeaveGroupContext(ctx)
	c.Close()
	return err
}

// end ends a consumer with its test, whatever was done to its tap.
func (c *client) end() {
	c.stop()
	c.m.Heal()
	<-c.done
	c.CloseAllowingRebalance()
}

func (f *fixture) produce(n int) {
	f.Helper()
	cl := direct(f, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(testTopic))
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Partition: int32(i % partitions), Value: fmt.Appendf(nil, "value-%06d", i)}
	}
	if err := cl.ProduceSync(f.ctx, records...).FirstErr(); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) awaitStable(members ...string) {
	f.Helper()
	f.await("stable "+strings.Join(members, ","), func() bool { return f.tap.Stable(testTopic, partitions, members) })
}

func (f *fixture) await(what string, ready func() bool) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	if err := f.tap.Await(ctx, ready); err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

// awaitEvent waits for an event after Seq since.
func (f *fixture) awaitEvent(since int64, what string, match func(history.Event) bool) history.Event {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	e, err := f.log.Await(ctx, since, match)
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
	return e
}

func kindOf(k history.Kind, member string) func(history.Event) bool {
	return func(e history.Event) bool { return e.Kind == k && e.Member == member }
}

func (f *fixture) count(since int64, match func(history.Event) bool) (n int) {
	for _, e := range f.log.Events(since) {
		if match(e) {
			n++
		}
	}
	return n
}

// receive takes from a channel, or fails the test.
func receive[T any](f *fixture, what string, ch <-chan T) T {
	f.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		f.Fatalf("%s: nothing in %s", what, patience)
		panic("unreachable")
	}
}
