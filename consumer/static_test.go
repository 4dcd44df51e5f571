package consumer_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/harness/backend/containers"
)

// A static member that is restarted has its partitions back at once, though its
// session is long; nothing moves to the other member meanwhile.
func TestStaticRestart(t *testing.T) {
	containers.Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := containers.Start(ctx, containers.Config{ConsumerSession: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	for _, protocol := range []consumer.Protocol{consumer.ProtocolCooperative, consumer.ProtocolEager, consumer.ProtocolConsumer} {
		t.Run(string(protocol), func(t *testing.T) { staticRestart(t, cluster, protocol) })
	}
}

func staticRestart(t *testing.T, cluster *containers.Cluster, protocol consumer.Protocol) {
	name := "static-" + string(protocol)
	if err := cluster.CreateTopic(t.Context(), name, 4, nil); err != nil {
		t.Fatal(err)
	}
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.Brokers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	k := &kafka{T: t}
	var owned [2]atomic.Int64 // by the member with this number: partitions at its last assignment
	var moved atomic.Int64
	handled := make(chan int, 1000)
	member := func(i int) *running {
		cfg := k.testConfig()
		cfg.Brokers, cfg.Topics, cfg.Group = cluster.Brokers(), []string{name}, name
		cfg.InstanceID, cfg.Protocol, cfg.SessionTimeout = fmt.Sprintf("%s-%d", name, i), protocol, 30*time.Second
		cfg.RebalanceTimeout = 30 * time.Second
		cfg.Hooks.OnAssign = func(_ string, partitions []int32) { owned[i].Add(int64(len(partitions))) }
		cfg.Hooks.OnRevoke = func(_ string, partitions []int32, _ bool) { owned[i].Add(-int64(len(partitions))) }
		cfg.Hooks.OnRebalance = func(info consumer.RebalanceInfo) {
			if i == 1 && info.Owned != 2 && owned[0].Load() == 0 {
				moved.Add(1)
			}
		}
		return k.start(cfg, consumer.Each(func(context.Context, *kgo.Record) error { handled <- i; return nil }))
	}
	first, second := member(0), member(1)
	k.until("two partitions each", func() bool { return owned[0].Load() == 2 && owned[1].Load() == 2 })
	moved.Store(0)
	first.finish()
	began := time.Now()
	first = member(0)
	k.until("its partitions again", func() bool { return owned[0].Load() == 2 })
	for p := range int32(4) {
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: name, Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	by := [2]int{}
	for range 4 {
		select {
		case i := <-handled:
			by[i]++
		case <-time.After(patience):
			t.Fatal("records are not handled")
		}
	}
	if by != [2]int{2, 2} || moved.Load() != 0 {
		t.Errorf("handled %v, moved %d times", by, moved.Load())
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the restart took %v, with a session of 30 s", took)
	}
	first.finish()
	second.finish()
}
