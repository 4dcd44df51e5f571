package metrics

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/consumer"
)

// shareMember is a share consumer with metrics and a registry of its own.
type shareMember struct {
	running
	c *consumer.ShareConsumer
}

// newShareBench is a broker whose locks last for a second.
func newShareBench(t *testing.T) *bench {
	return newBench(t, kfake.BrokerConfigs(map[string]string{
		"group.share.heartbeat.interval.ms":   "100",
		"group.share.record.lock.duration.ms": "1000",
		"share.record.lock.sweep.interval.ms": "50",
	}))
}

func (b *bench) share(handler consumer.ShareHandler, adjust ...func(*consumer.ShareConfig)) *shareMember {
	b.Helper()
	cfg := consumer.DefaultShareConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.Start = b.cluster.ListenAddrs(), []string{topic}, group, consumer.Earliest
	cfg.ClientOpts = []kgo.Opt{kgo.DisableClientMetrics()}
	cfg.Retry.Initial, cfg.Retry.Max, cfg.HandlerTimeout = time.Millisecond, time.Millisecond, 0
	cfg.Logger = slog.New(slog.DiscardHandler)
	for _, fn := range adjust {
		fn(&cfg)
	}
	m := NewShare(Config{Group: group, Topics: []string{topic}})
	cfg.Hooks = consumer.JoinShareHooks(m.Hooks(), cfg.Hooks)
	c, err := consumer.NewShare(cfg, handler)
	if err != nil {
		b.Fatal(err)
	}
	m.Watch(c)
	return &shareMember{b.run(m, c.Run), c}
}

// acks counts acknowledgements.
func (p *shareMember) acks(status kgo.AckStatus, result string) float64 {
	return p.counter(shareAcks, "status", status.String(), "result", result)
}

// wants compares counters with what they should be.
func (p *shareMember) wants(counters map[string]float64) {
	p.b.Helper()
	for name, want := range counters {
		if got := p.counter(descriptor{name: "ksim_share_consumer_" + name}); got != want {
			p.b.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// Records are accepted, tried again, dead-lettered; a lock is lost, and its record
// comes again; an acknowledgement is refused. Every counter tells, and what is
// gathered is clean, and what the catalogue says.
func TestShareMetrics(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	renewals := b.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.ShareAcknowledge}, Err: kerr.InvalidRecordState, Count: -1,
		When: func(req kmsg.Request) bool { return req.(*kmsg.ShareAcknowledgeRequest).IsRenewAck },
	})
	b.produce(40)
	var failed, slow atomic.Int32
	reached, release := make(chan struct{}), make(chan struct{})
	p := b.share(consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		switch string(r.Value) {
		case "5":
			return consumer.Permanent(errors.New("bad"))
		case "6":
			if failed.Add(1) == 1 {
				return errors.New("not now")
			}
		case "7":
			if slow.Add(1) > 1 {
				return nil
			}
			close(reached)
			<-ctx.Done() // its lock is lost
			return context.Cause(ctx)
		case "39":
			select {
			case <-release:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}), func(cfg *consumer.ShareConfig) { cfg.Poison.Policy, cfg.BatchSize = consumer.PoisonDeadLetter, 1 })
	<-reached
	b.until("a record to be taken", func() bool { return p.counter(shareTaken) > 0 })
	renewals.Remove()
	b.until("renewals, and all but one", func() bool {
		return p.counter(shareRenewals) > 0 && p.acks(kgo.AckAccept, resultOK) == 39
	})
	if p.gauge(shareInFlight)[""] != 1 || p.gauge(shareOldest)[""] <= 0 || p.gauge(ofShare(runningCalls))[""] != 1 || p.gauge(ofShare(oldestCall))[""] <= 0 {
		t.Errorf("%+v", p.c.Status())
	}
	if p.gauge(ofShare(isLive))[""] != 1 || p.gauge(ofShare(isReady))[""] != 1 {
		t.Errorf("not healthy: %q", p.c.Health().Reasons(true))
	}
	b.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.ShareAcknowledge}, Err: kerr.InvalidRecordState, Count: 1,
		When: func(req kmsg.Request) bool {
			r := req.(*kmsg.ShareAcknowledgeRequest)
			return len(r.Topics) > 0 && !r.IsRenewAck
		},
	})
	close(release)
	b.until("the last", func() bool { return p.acks(kgo.AckAccept, resultOK) == 40 })
	p.wants(map[string]float64{"retries_total": 1, "poison_total": 1, "stalls_total": 0})
	if p.gauge(shareInFlight)[""] != 0 || p.counter(ofShare(poison), "policy", "dead-letter") != 1 || p.acks(kgo.AckReject, resultOK) != 0 {
		t.Errorf("the poison has no dead letter, or something is in flight: %+v", p.c.Status())
	}
	if n := p.counter(shareRecords) - p.counter(shareRedelivered); n != 40 || p.counter(shareRedelivered) < 1 {
		t.Errorf("%v records came for the first time, %v again", n, p.counter(shareRedelivered))
	}
	if n := p.counter(ofShare(batchRecords)); n != p.counter(ofShare(handlerSeconds)) || n < 42 || p.counter(ofShare(handlerFailures)) < 3 {
		t.Errorf("%v batches, %v failures", n, p.counter(ofShare(handlerFailures)))
	}
	s := p.c.Stats()
	if p.counter(shareRenewals) != float64(s.Renewed) || p.counter(shareTaken) != float64(s.Taken) || p.acks(kgo.AckAccept, resultFailed) != float64(s.AckFailed) {
		t.Errorf("%+v", s)
	}
	if problems, err := testutil.GatherAndLint(p.registry); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	p.matches(shareCatalogue, "sharegroup")
	p.stop()
	if p.gauge(ofShare(isReady))[""] != 0 || p.gauge(ofShare(isLive))[""] != 1 || p.gauge(shareOldest)[""] != 0 {
		t.Error("ready after its end")
	}
}

// One record is skipped, and one stalls its handler: its probes and metrics say so.
func TestShareMetricsOfAStall(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	b.produce(8)
	release := make(chan struct{})
	defer close(release)
	p := b.share(consumer.Each(func(_ context.Context, r *kgo.Record) error {
		switch string(r.Value) {
		case "1":
			return consumer.Permanent(errors.New("bad"))
		case "2":
			<-release
		}
		return nil
	}), func(cfg *consumer.ShareConfig) {
		cfg.Poison.Policy, cfg.BatchSize, cfg.StallTimeout = consumer.PoisonSkip, 1, time.Second
	})
	if err := p.end(); !errors.Is(err, consumer.ErrStalled) {
		t.Errorf("Run: %v", err)
	}
	p.wants(map[string]float64{"stalls_total": 1, "poison_total": 1, "retries_total": 0, "taken_records_total": 0})
	if p.acks(kgo.AckAccept, resultOK) != 6 || p.acks(kgo.AckReject, resultOK) != 1 || p.acks(kgo.AckRelease, resultOK) != 1 {
		t.Errorf("%+v", p.c.Stats())
	}
	if p.counter(ofShare(poison), "policy", "skip") != 1 {
		t.Error("nothing was skipped")
	}
	if p.gauge(ofShare(stalledCalls))[""] != 1 || p.gauge(ofShare(isLive))[""] != 0 {
		t.Errorf("%+v", p.c.Status())
	}
}

func TestShareWatch(t *testing.T) {
	cfg := consumer.DefaultShareConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = []string{"127.0.0.1:1"}, []string{topic}, group
	c, err := consumer.NewShare(cfg, func(context.Context, consumer.Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	m := NewShare(Config{Group: group})
	if testutil.CollectAndCount(m) != 0 {
		t.Error("metrics of nothing")
	}
	m.Watch(c)
	m.Watch(c)
	if n := testutil.CollectAndCount(m); n != 8 || len(m.watched.all()) != 1 {
		t.Errorf("%d gauges of %d consumers", n, len(m.watched.all()))
	}
	// Both kinds fit in one registry, a group of each with the same name too.
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m, New(Config{Group: group, Topics: []string{topic}}))
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a consumer of another group is watched")
		}
	}()
	NewShare(Config{Group: "another"}).Watch(c)
}
