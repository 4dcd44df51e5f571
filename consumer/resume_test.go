package consumer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// A partition that was paused goes on soon after it is resumed, though the only fetch
// that a broker has under way may be waiting for records of a partition that has none.
func TestResumeBesideAnIdlePartition(t *testing.T) {
	k := startKafka(t)
	const n, value = 4000, 1000
	recs := make([]*kgo.Record, n)
	for i := range recs {
		recs[i] = &kgo.Record{Topic: topic, Partition: 0, Value: make([]byte, value)}
	}
	if err := k.client.ProduceSync(k.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := k.config()
	cfg.BatchSize, cfg.MaxInFlight = 50, 50
	cfg.FetchMaxPartitionBytes = 100 * value
	var pauses, handled atomic.Int64
	all := make(chan struct{})
	cfg.Hooks.OnPause = func(string, int32) { pauses.Add(1) }
	r := k.start(cfg, func(_ context.Context, b consumer.Batch) error {
		time.Sleep(5 * time.Millisecond)
		if handled.Add(int64(len(b.Records))) == n {
			close(all)
		}
		return nil
	})
	began := time.Now()
	<-all
	// 400 ms of work; with a fetch that waits for 5 s, the client's default, it is 5 s.
	if took := time.Since(began); took > 4*time.Second || pauses.Load() == 0 {
		t.Errorf("took %v, with %d pauses", took, pauses.Load())
	}
	r.finish()
}
