package backend_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/backend"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// roundTrip produces a record and consumes it, and returns its timestamp type
// (0 create time, 1 append time).
func roundTrip(ctx context.Context, t *testing.T, topic string, opts ...kgo.Opt) int8 {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
	fetches := cl.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatalf("fetch: %v", err)
	}
	records := fetches.Records()
	if len(records) != 1 || string(records[0].Value) != "v" {
		t.Fatalf("got %d records", len(records))
	}
	return records[0].Attrs.TimestampType()
}

var (
	_ backend.Kafka = (*backend.Embedded)(nil)
	_ backend.Kafka = (*backend.External)(nil)
)
