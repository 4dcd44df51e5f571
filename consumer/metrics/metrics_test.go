package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/consumer"
)

const (
	topic      = "orders"
	group      = "billing"
	partitions = 4
	patience   = 30 * time.Second
)

// bench is an embedded broker.
type bench struct {
	*testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
}

func newBench(t *testing.T, opts ...kfake.Opt) *bench {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(2), kfake.SeedTopics(partitions, topic), kfake.SeedTopics(1, "dlq.billing.orders"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &bench{t, cluster, client}
}

func (b *bench) produce(n int) {
	b.Helper()
	for i := range n {
		r := &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: fmt.Append(nil, i)}
		if err := b.client.ProduceSync(b.Context(), r).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) until(what string, ok func() bool) {
	b.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("waited too long for %s", what)
		}
	}
}

// member is a consumer with metrics and a registry of its own, as in a process of
// its own.
type member struct {
	running
	c *consumer.Consumer
}

// running is a consumer of either kind, that runs.
type running struct {
	b        *bench
	registry *prometheus.Registry
	cancel   context.CancelFunc
	done     chan error
}

func (b *bench) run(m prometheus.Collector, run func(context.Context) error) running {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	ctx, cancel := context.WithCancel(context.Background())
	p := running{b, registry, cancel, make(chan error, 1)}
	b.Cleanup(cancel)
	go func() { p.done <- run(ctx) }()
	return p
}

func (b *bench) start(handler consumer.Handler, adjust ...func(*consumer.Config)) *member {
	b.Helper()
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = b.cluster.ListenAddrs(), []string{topic}, group
	cfg.HeartbeatInterval, cfg.CommitInterval, cfg.LagInterval = 50*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	cfg.ClientOpts = []kgo.Opt{kgo.DisableClientMetrics()}
	cfg.Retry.Initial, cfg.Retry.Max, cfg.BatchSize = time.Millisecond, time.Millisecond, 10
	cfg.Logger = slog.New(slog.DiscardHandler)
	for _, fn := range adjust {
		fn(&cfg)
	}
	m := New(Config{Group: group, Topics: []string{topic}})
	cfg.Hooks = consumer.JoinHooks(m.Hooks(), cfg.Hooks)
	c, err := consumer.New(cfg, handler)
	if err != nil {
		b.Fatal(err)
	}
	m.Watch(c)
	return &member{b.run(m, c.Run), c}
}

func (p *running) stop() {
	p.b.Helper()
	p.cancel()
	if err := p.end(); err != nil {
		p.b.Errorf("Run: %v", err)
	}
}

func (p *running) end() error {
	p.b.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(patience):
		p.b.Fatal("Run does not return")
		return nil
	}
}

// family gathers one metric.
func (p *running) family(name string) []*dto.Metric {
	p.b.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		p.b.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()
		}
	}
	return nil
}

// gauge returns a gauge by partition.
func (p *running) gauge(d descriptor) map[string]float64 {
	p.b.Helper()
	out := make(map[string]float64)
	for _, m := range p.family(d.name) {
		out[label(m, "partition")] = m.GetGauge().GetValue()
	}
	return out
}

// counter sums the series that have these labels up.
func (p *running) counter(d descriptor, labels ...string) float64 {
	p.b.Helper()
	sum := 0.0
	for _, m := range p.family(d.name) {
		matches := true
		for i := 0; i < len(labels); i += 2 {
			matches = matches && label(m, labels[i]) == labels[i+1]
		}
		if matches {
			sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func (p *member) owned() []string {
	out := []string{}
	for _, part := range p.c.Status().Partitions {
		out = append(out, fmt.Sprint(part.Partition))
	}
	return out
}

// The lag that two members show is that of the broker, each for exactly the
// partitions that it owns, through a rebalance and to the end.
func TestLagThroughARebalance(t *testing.T) {
	b := newBench(t)
	b.produce(200)
	gate := make(chan struct{})
	held := func(ctx context.Context, batch consumer.Batch) error { // half of each partition
		if batch.Records[0].Offset >= 20 {
			select {
			case <-gate:
			case <-consumer.Stopping(ctx):
				return consumer.FailedAt(0, consumer.ErrStopped)
			}
		}
		return nil
	}
	first := b.start(held)
	all := map[string]float64{"0": 30, "1": 30, "2": 30, "3": 30}
	b.until("the lag", func() bool { return maps.Equal(first.gauge(lag), all) })
	if got := first.gauge(committedOffset); !maps.Equal(got, map[string]float64{"0": 20, "1": 20, "2": 20, "3": 20}) {
		t.Errorf("committed %v", got)
	}
	if got := first.gauge(endOffset)["1"]; got != 50 {
		t.Errorf("end %v", got)
	}
	if got := first.gauge(inFlight)["1"]; got == 0 {
		t.Error("nothing in flight")
	}
	if got := first.gauge(lagSeconds); len(got) != partitions || got["1"] <= 0 {
		t.Errorf("lag in seconds %v", got)
	}
	second := b.start(held)
	half := func(p *member) bool { return len(p.gauge(lag)) == partitions/2 }
	b.until("a half each", func() bool { return half(first) && half(second) })
	b.until("the same lag", func() bool {
		sum := first.gauge(lag)
		maps.Copy(sum, second.gauge(lag))
		return maps.Equal(sum, all)
	})
	for _, p := range []*member{first, second} {
		owned := p.owned()
		for _, d := range gaugesOfStatus {
			if len(d.labels) == 0 {
				continue
			}
			if got := slices.Sorted(maps.Keys(p.gauge(d))); !slices.Equal(got, owned) {
				t.Errorf("%s of %v, owned are %v", d.name, got, owned)
			}
		}
		if got := p.gauge(assigned)[""]; got != 2 {
			t.Errorf("%v assigned", got)
		}
	}
	if first.counter(revokedTotal) != 2 || first.counter(assignedTotal) != 4 || second.counter(assignedTotal) != 2 || first.counter(rebalances) < 2 {
		t.Errorf("%v revoked, %v and %v assigned, %v rebalances", first.counter(revokedTotal), first.counter(assignedTotal), second.counter(assignedTotal), first.counter(rebalances))
	}
	close(gate)
	none := map[string]float64{"0": 0, "1": 0, "2": 0, "3": 0}
	b.until("no lag", func() bool {
		sum := first.gauge(lag)
		maps.Copy(sum, second.gauge(lag))
		return maps.Equal(sum, none)
	})
	b.same(first, second)
	second.stop()
	if got := second.gauge(lag); len(got) != 0 {
		t.Errorf("series remain after the end: %v", got)
	}
	b.until("all of it", func() bool { return len(first.gauge(lag)) == partitions })
	b.same(first)
	first.stop()
}

// same compares lag with what the broker says.
func (b *bench) same(members ...*member) {
	b.Helper()
	lags, err := kadm.NewClient(b.client).Lag(b.Context(), group)
	if err != nil {
		b.Fatal(err)
	}
	got := make(map[string]float64)
	for _, m := range members {
		maps.Copy(got, m.gauge(lag))
	}
	for partition, l := range lags[group].Lag[topic] {
		if have, ok := got[fmt.Sprint(partition)]; !ok || have != float64(l.Lag) || l.Err != nil {
			b.Errorf("partition %d: the broker says %d, the metric %v", partition, l.Lag, have)
		}
	}
}

// A partition without a commit has no lag, and no 0 instead; nor has the end of
// the log if nobody asks.
func TestUnknownIsAbsent(t *testing.T) {
	b := newBench(t)
	p := b.start(func(context.Context, consumer.Batch) error { return nil }, func(cfg *consumer.Config) { cfg.LagInterval = 0 })
	b.until("the assignment", func() bool { return len(p.owned()) == partitions })
	for _, d := range []descriptor{lag, committedOffset, processedOffset, endOffset, endAge, lagSeconds} {
		if got := p.gauge(d); len(got) != 0 {
			t.Errorf("%s: %v", d.name, got)
		}
	}
	if got := p.gauge(inFlight); len(got) != partitions {
		t.Errorf("in flight: %v", got)
	}
	b.produce(1)
	b.until("what fetches tell", func() bool { return maps.Equal(p.gauge(lag), map[string]float64{"0": 0}) })
	p.stop()
}

// Every counter counts, and all of it is clean by promlint.
func TestCounters(t *testing.T) {
	b := newBench(t)
	b.produce(40)
	fault := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.IllegalGeneration, Count: 1})
	var once sync.Once
	p := b.start(consumer.Each(func(_ context.Context, r *kgo.Record) error {
		switch string(r.Value) {
		case "5":
			return consumer.Permanent(errors.New("bad"))
		case "6":
			var err error
			once.Do(func() { err = errors.New("not now") })
			return err
		}
		return nil
	}), func(cfg *consumer.Config) { cfg.Poison.Policy = consumer.PoisonDeadLetter; cfg.MaxInFlight = 10 })
	b.until("all of it", func() bool {
		return fault.Hits() == 1 && maps.Equal(p.gauge(lag), map[string]float64{"0": 0, "1": 0, "2": 0, "3": 0})
	})
	if n := p.counter(poison, "policy", "dead-letter"); n < 1 || p.counter(poison) != n {
		t.Errorf("poison %v of %v", n, p.counter(poison))
	}
	if p.counter(retries) != 1 || p.counter(handlerFailures) < 2 {
		t.Errorf("%v retries, %v failures", p.counter(retries), p.counter(handlerFailures))
	}
	if p.counter(commits, "result", resultRefused) < 1 || p.counter(commits, "result", resultOK) < partitions || p.counter(commitSeconds) < 2 {
		t.Errorf("commits: %v refused, %v ok, %v answers", p.counter(commits, "result", resultRefused), p.counter(commits, "result", resultOK), p.counter(commitSeconds))
	}
	if p.counter(lostTotal) != partitions || p.counter(revokedTotal) != 0 || p.counter(assignedTotal) != 2*partitions {
		t.Errorf("%v lost, %v revoked, %v assigned", p.counter(lostTotal), p.counter(revokedTotal), p.counter(assignedTotal))
	}
	if p.counter(batchRecords) < 4 || p.counter(batchRecords) != p.counter(handlerSeconds) {
		t.Errorf("%v batches, %v durations", p.counter(batchRecords), p.counter(handlerSeconds))
	}
	if p.gauge(isLive)[""] != 1 || p.gauge(isReady)[""] != 1 || p.counter(stalls) != 0 {
		t.Error("not healthy")
	}
	problems, err := testutil.GatherAndLint(p.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	p.stop()
	if p.gauge(isReady)[""] != 0 || p.gauge(isLive)[""] != 1 {
		t.Error("ready after its end")
	}
}

// matches checks that what is gathered is what a catalogue says.
func (p *running) matches(catalogue []descriptor, groupLabel string) {
	p.b.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		p.b.Fatal(err)
	}
	got := make(map[string]*dto.MetricFamily)
	for _, f := range families {
		got[f.GetName()] = f
	}
	for _, d := range catalogue {
		f := got[d.name]
		delete(got, d.name)
		if f == nil || f.GetHelp() != d.help || !strings.EqualFold(f.GetType().String(), string(d.kind)) {
			p.b.Errorf("%s: gathered is %v", d.name, f)
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		want := append([]string{groupLabel}, d.labels...)
		slices.Sort(want)
		if !slices.Equal(labels, want) {
			p.b.Errorf("%s: labels %v, want %v", d.name, labels, want)
		}
	}
	if len(got) > 0 {
		p.b.Errorf("not in the catalogue: %v", slices.Collect(maps.Keys(got)))
	}
}

// What is gathered is what the catalogue, and so the documentation, says.
func TestCatalogue(t *testing.T) {
	b := newBench(t)
	b.produce(partitions)
	p := b.start(func(context.Context, consumer.Batch) error { return nil })
	b.until("a lag", func() bool { return len(p.gauge(lag)) == partitions })
	p.matches(catalogue, "consumergroup")
	p.stop()
}

func TestWatch(t *testing.T) {
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = []string{"127.0.0.1:1"}, []string{topic}, group
	c, err := consumer.New(cfg, func(context.Context, consumer.Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	m := New(Config{Group: group, Labels: prometheus.Labels{"zone": "a"}})
	gauges := func() int { return testutil.CollectAndCount(m, assigned.name, isReady.name) }
	if gauges() != 0 {
		t.Error("gauges of nothing")
	}
	m.Watch(c)
	m.Watch(c)
	if gauges() != 2 || len(m.watched.all()) != 1 {
		t.Errorf("%d gauges of %d consumers", gauges(), len(m.watched.all()))
	}
	ended, err := consumer.New(cfg, func(context.Context, consumer.Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ended.Run(ctx); err != nil {
		t.Fatal(err)
	}
	m.Watch(ended)
	m.Watch(c)
	if len(m.watched.all()) != 1 {
		t.Errorf("%d watched, of which one has ended", len(m.watched.all()))
	}
	other := New(Config{Group: "another"})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m, New(Config{Group: "third", Labels: prometheus.Labels{"zone": "a"}})) // two groups of one process
	defer func() {
		if recover() == nil {
			t.Error("a consumer of another group is watched")
		}
	}()
	other.Watch(c)
}

// lag_seconds is there only where it is known.
func TestBehind(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		p    consumer.PartitionStatus
		want time.Duration
		ok   bool
	}{
		"in flight":           {consumer.PartitionStatus{InFlight: 2, OldestRecord: now.Add(-time.Minute), Processed: 3, End: 9}, time.Minute, true},
		"a clock ahead":       {consumer.PartitionStatus{InFlight: 2, OldestRecord: now.Add(time.Minute)}, 0, true},
		"no timestamp":        {consumer.PartitionStatus{InFlight: 2, OldestRecord: time.UnixMilli(-1)}, 0, false},
		"caught up":           {consumer.PartitionStatus{Processed: 9, End: 9}, 0, true},
		"not fetched":         {consumer.PartitionStatus{Processed: 3, End: 9}, 0, false},
		"end unknown":         {consumer.PartitionStatus{Processed: 3, End: consumer.Unknown}, 0, false},
		"start unknown":       {consumer.PartitionStatus{Processed: consumer.Unknown, End: 0}, 0, false},
		"nothing known at it": {consumer.PartitionStatus{Processed: consumer.Unknown, End: consumer.Unknown}, 0, false},
	} {
		got, ok := behind(c.p, now)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %v %v", name, got, ok)
		}
	}
}
