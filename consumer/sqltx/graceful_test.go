package sqltx_test

import (
	"context"
	"database/sql"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	kafka "github.com/ksim-dev/ksim/harness/backend"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/sqltx"
)

// A consumer that is stopped in the middle of a batch commits the records that
// it has done, to the database and then to Kafka, and goes on behind them.
func TestStopKeepsWhatWasDone(t *testing.T) {
	f := newFixture(t, backend{sqltx.SQLite, sqliteFile})
	broker, err := kafka.NewEmbedded(t.Context(), kafka.EmbeddedConfig{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Close() }()
	if err := broker.CreateTopic(t.Context(), topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(broker.ClientOpts(), kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	recs := make([]*kgo.Record, 100)
	for i := range recs {
		recs[i] = &kgo.Record{Value: []byte("good")}
	}
	if err := client.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for round, stopAt := range []int64{37, 99} {
		ctx, stop := context.WithCancel(t.Context())
		store := f.store(f.admin, sqltx.Options{})
		s := &stopper{life: life{Brokers: broker.Brokers(), Name: "c"}}
		cfg := s.config(store)
		cfg.Group, cfg.BatchSize, cfg.CommitInterval = f.group, 100, time.Hour
		var stopping atomic.Bool
		c, err := consumer.New(cfg, store.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
			if r.Offset == stopAt && !stopping.Swap(true) {
				stop()
				<-consumer.Stopping(ctx)
			}
			return f.effect(ctx, tx, r)
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(ctx); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		want := make([]int64, stopAt+1)
		for i := range want {
			want[i] = int64(i)
		}
		f.want(stopAt+1, want...)
		offsets, err := kadm.NewClient(client).FetchOffsets(t.Context(), f.group)
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := offsets.Lookup(topic, 0); !ok || o.At != stopAt+1 {
			t.Errorf("round %d: %d is committed to Kafka", round, o.At)
		}
	}
}
