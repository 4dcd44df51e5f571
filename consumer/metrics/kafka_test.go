package metrics_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/metrics"
	"github.com/ksim-dev/ksim/harness/backend/containers"
)

const patience = time.Minute

// lagOf gathers the lag by partition.
func lagOf(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != "kafka_consumergroup_lag" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "partition" {
					out[l.GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
	}
	return out
}

// transaction ends with a commit or an abort; open leaves the end to the caller.
func transaction(t *testing.T, opts []kgo.Opt, topic string, partition int32, n int, commit kgo.TransactionEndTry, open bool) func() {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.TransactionalID(fmt.Sprintf("tx-%d-%v", partition, commit)), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	end := func() {
		defer cl.Close()
		if err := cl.EndTransaction(t.Context(), commit); err != nil {
			t.Error(err)
		}
	}
	if !open {
		end()
	}
	return end
}

// On real Kafka, where logs have control records: a consumer that is caught up has
// lag 0, by its own word and by the broker's, after transactions that were
// committed, aborted, and while one is open.
func TestLagWithTransactionsOnKafka(t *testing.T) {
	containers.Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := containers.Start(ctx, containers.Config{RunID: "metrics"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, protocol := range []consumer.Protocol{consumer.ProtocolCooperative, consumer.ProtocolConsumer} {
		t.Run(string(protocol), func(t *testing.T) { transactions(t, cluster, protocol) })
	}
}

func transactions(t *testing.T, cluster *containers.Cluster, protocol consumer.Protocol) {
	topic, group := "orders-"+string(protocol), "billing-"+string(protocol)
	if err := cluster.CreateTopic(t.Context(), topic, 3, nil); err != nil {
		t.Fatal(err)
	}
	opts := append(cluster.ClientOpts(), kgo.DisableClientMetrics())
	transaction(t, opts, topic, 0, 5, kgo.TryCommit, false) // ends with a control record
	transaction(t, opts, topic, 1, 5, kgo.TryAbort, false)  // has nothing for a handler

	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.Protocol = cluster.Brokers(), []string{topic}, group, protocol
	cfg.CommitInterval, cfg.LagInterval = 50*time.Millisecond, 50*time.Millisecond
	cfg.Logger = slog.New(slog.DiscardHandler)
	var handled atomic.Int64
	m := metrics.New(metrics.Config{Group: group})
	cfg.Hooks = m.Hooks()
	c, err := consumer.New(cfg, func(_ context.Context, b consumer.Batch) error {
		handled.Add(int64(len(b.Records)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Watch(c)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()

	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	await := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited too long for %s: %+v, %v", what, c.Status().Partitions, c.Health().Reasons(true))
			}
		}
	}
	caughtUp := func(want map[string]float64) {
		t.Helper()
		await(fmt.Sprintf("lag %v", want), func() bool { return maps.Equal(lagOf(t, registry), want) })
		ends, err := admin.ListCommittedOffsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		commits, err := admin.FetchOffsets(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		for name, lag := range want {
			var partition int32
			if _, err := fmt.Sscan(name, &partition); err != nil {
				t.Fatal(err)
			}
			end, _ := ends.Lookup(topic, partition)
			commit, _ := commits.Lookup(topic, partition)
			if end.Offset-commit.At != int64(lag) {
				t.Errorf("partition %s: the broker has end %d and commit %d, the metric says %v", name, end.Offset, commit.At, lag)
			}
		}
	}
	caughtUp(map[string]float64{"0": 0, "1": 0}) // 2 has no commit: not known
	if handled.Load() != 5 {
		t.Errorf("%d handled, want 5", handled.Load())
	}

	end := transaction(t, opts, topic, 2, 4, kgo.TryCommit, true)
	transaction(t, opts, topic, 2, 3, kgo.TryAbort, false) // behind the open one
	high, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := high.Lookup(topic, 2); o.Offset < 7 {
		t.Errorf("the log ends at %d", o.Offset)
	}
	caughtUp(map[string]float64{"0": 0, "1": 0})
	end()
	caughtUp(map[string]float64{"0": 0, "1": 0, "2": 0})
	if handled.Load() != 9 {
		t.Errorf("%d handled, want 9", handled.Load())
	}
	if h := c.Health(); !h.Ready {
		t.Errorf("not ready: %s", strings.Join(h.Reasons(true), "; "))
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run does not return")
	}
	if got := lagOf(t, registry); len(got) != 0 {
		t.Errorf("series remain: %v", got)
	}
}
