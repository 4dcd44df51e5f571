package consumer

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// countingOwner tells when all records of a fetch are done.
type countingOwner struct {
	fakeOwner
	left chan int
}

func (o *countingOwner) settled(n int) { o.left <- n }

// BenchmarkPartition is what becomes of a record between the Kafka client and the
// handler, and back: fetches of 9000 records, which is 1 MiB of small ones, are queued,
// handled by a handler that does nothing, and acknowledged. One op is one record.
func BenchmarkPartition(b *testing.B) {
	for _, order := range []Order{OrderPartition, OrderKey, Unordered} {
		for _, size := range []int{500, 1} {
			b.Run(fmt.Sprintf("order=%s/batch=%d", order, size), func(b *testing.B) { benchPartition(b, order, size) })
		}
	}
}

func benchPartition(b *testing.B, order Order, size int) {
	const fetch, keys = 9000, 20
	cfg := testConfig()
	cfg.Order, cfg.BatchSize, cfg.MaxSpan = order, size, 2*fetch
	e := &engine{cfg: &cfg, log: cfg.Logger, handler: func(context.Context, Batch) error { return nil }}
	e.pool = newPool(cfg.Concurrency, e.work)
	o := &countingOwner{left: make(chan int, fetch)}
	p := newPartition(topicPartition{"t", 0}, "m", &cfg, o, e.pool, &e.attempts)
	b.ReportAllocs()
	for offset := int64(0); offset < int64(b.N); {
		b.StopTimer()
		n := min(fetch, int64(b.N)-offset)
		recs := records(offset, n, "")
		for i, r := range recs {
			r.Key = fmt.Appendf(nil, "key-%d", i%keys)
		}
		offset += n
		b.StartTimer()
		if err := p.deliver(recs); err != nil {
			b.Fatal(err)
		}
		for left := int(n); left > 0; {
			left -= <-o.left
		}
	}
	<-e.pool.wait()
	p.fence(errShutdown)
}

const (
	benchTopic      = "bench"
	benchPartitions = 12
	benchBatch      = 500
)

// BenchmarkConsume reads records of 100 bytes from an embedded broker, with this
// package and with franz-go alone. The broker is in the same process, so what it
// allocates is counted for both. One op is one record.
func BenchmarkConsume(b *testing.B) {
	b.Run("franz-go", func(b *testing.B) {
		brokers := seeded(b, b.N)
		b.ResetTimer()
		b.ReportMetric(pollAll(b, brokers, b.N)/float64(b.N), "allocs/record")
	})
	b.Run("consumer", func(b *testing.B) {
		brokers := seeded(b, b.N)
		b.ResetTimer()
		b.ReportMetric(runAll(b, brokers, b.N)/float64(b.N), "allocs/record")
	})
}

// At most one allocation a record more than franz-go alone.
func TestAllocations(t *testing.T) {
	const n = 60_000
	alone := pollAll(t, seeded(t, n), n)
	ours := runAll(t, seeded(t, n), n)
	if more := (ours - alone) / n; more > 1 {
		t.Errorf("%.2f allocations a record more than franz-go", more)
	} else {
		t.Logf("%.2f allocations a record, franz-go alone %.2f", ours/n, alone/n)
	}
}

// seeded starts a broker with n records, and returns its addresses.
func seeded(tb testing.TB, n int) []string {
	tb.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(benchPartitions, benchTopic))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cluster.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DisableClientMetrics())
	if err != nil {
		tb.Fatal(err)
	}
	defer cl.Close()
	value := make([]byte, 100)
	var failed atomic.Int64
	for i := range n {
		cl.Produce(tb.Context(), &kgo.Record{Topic: benchTopic, Partition: int32(i % benchPartitions), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
			}
		})
	}
	if err := cl.Flush(tb.Context()); err != nil || failed.Load() > 0 {
		tb.Fatalf("%d records were not produced: %v", failed.Load(), err)
	}
	return cluster.ListenAddrs()
}

// pollAll reads n records with franz-go alone, and returns how often it allocated.
func pollAll(tb testing.TB, brokers []string, n int) float64 {
	tb.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumerGroup("g"), kgo.ConsumeTopics(benchTopic),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.DisableClientMetrics(),
		kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		tb.Fatal(err)
	}
	defer cl.CloseAllowingRebalance()
	before := mallocs()
	for left := n; left > 0; {
		fetches := cl.PollFetches(tb.Context())
		if err := fetches.Err0(); err != nil {
			tb.Fatal(err)
		}
		left -= fetches.NumRecords()
		if left == 0 {
			if err := cl.CommitUncommittedOffsets(tb.Context()); err != nil {
				tb.Fatal(err)
			}
		}
		cl.AllowRebalance()
	}
	return mallocs() - before
}

// runAll reads n records with this package, and returns how often it allocated.
func runAll(tb testing.TB, brokers []string, n int) float64 {
	tb.Helper()
	cfg := testConfig()
	cfg.Brokers, cfg.Topics, cfg.BatchSize = brokers, []string{benchTopic}, benchBatch
	cfg.ClientOpts = []kgo.Opt{kgo.DisableClientMetrics()}
	ctx, stop := context.WithTimeout(tb.Context(), time.Minute)
	defer stop()
	var handled atomic.Int64
	c, err := New(cfg, func(_ context.Context, b Batch) error {
		if handled.Add(int64(len(b.Records))) == int64(n) {
			stop()
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	before := mallocs()
	if err := c.Run(ctx); err != nil {
		tb.Fatal(err)
	}
	if handled.Load() != int64(n) {
		tb.Fatalf("%d of %d records", handled.Load(), n)
	}
	return mallocs() - before
}

func mallocs() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Mallocs)
}
