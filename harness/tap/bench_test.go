package tap

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/history"
)

const (
	benchRecords = 400_000
	benchSize    = 100 // bytes a value
)

// BenchmarkTapVsDirect fetches the same records directly and through the tap,
// in turns, and reports the ratio of the median throughputs: at least 0.9 is
// the aim. Broker, tap and client share the machine's cores, which is harder on the
// tap than a run with processes of their own.
func BenchmarkTapVsDirect(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(partitions, testTopic))
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	compare(b, cluster.ListenAddrs(), false)
}

// BenchmarkTapVsDirectFetches is the same with the positions of fetches written to the history.
func BenchmarkTapVsDirectFetches(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(partitions, testTopic))
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	compare(b, cluster.ListenAddrs(), true)
}

// BenchmarkTapVsDirectContainers is the same in front of Apache Kafka in a
// container: what a user's run has, with a broker in a process of its own.
func BenchmarkTapVsDirectContainers(b *testing.B) {
	containers.Require(b)
	ctx := context.Background()
	k, err := containers.Start(ctx, containers.Config{RunID: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := k.Close(); err != nil {
			b.Error(err)
		}
	}()
	if err := k.CreateTopic(ctx, testTopic, partitions, nil); err != nil {
		b.Fatal(err)
	}
	compare(b, k.Brokers(), false)
}

// compare reports the ratio of the throughput through the tap to that without it.
func compare(b *testing.B, brokers []string, fetches bool) {
	b.Helper()
	fill(b, brokers)
	tap := New(Config{Log: history.NewMemory(history.Header{}), Seeds: brokers, Fetches: fetches})
	defer tap.Close()
	m, err := tap.Open(context.Background(), "m1", 1)
	if err != nil {
		b.Fatal(err)
	}
	through := strings.Split(m.Bootstrap(), ",")
	fetchAll(b, brokers) // warm up
	fetchAll(b, through)
	var ratios, speeds []float64
	for b.Loop() {
		// In turns, and compared by turn: what else the machine does changes
		// more slowly than that.
		plain, tapped := fetchAll(b, brokers), fetchAll(b, through)
		ratios, speeds = append(ratios, tapped/plain), append(speeds, tapped)
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(speeds), "records/s")
	b.ReportMetric(0, "ns/op")
}

func median(xs []float64) float64 {
	sort.Float64s(xs)
	return xs[len(xs)/2]
}

func fill(b *testing.B, seeds []string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.DefaultProduceTopic(testTopic), kgo.DisableClientMetrics(),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(benchRecords))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	records := make([]*kgo.Record, benchRecords)
	for i := range records {
		records[i] = &kgo.Record{Value: fmt.Appendf(nil, "%0*d", benchSize, i)}
	}
	if err := cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		b.Fatal(err)
	}
}

// fetchAll reads the topic once and returns records a second.
func fetchAll(b *testing.B, seeds []string) float64 {
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumeTopics(testTopic), kgo.DisableClientMetrics(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	for n := 0; n < benchRecords; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			b.Fatal(err)
		}
		n += fetches.NumRecords()
	}
	return benchRecords / time.Since(start).Seconds()
}
