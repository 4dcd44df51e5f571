package main

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// oursConfig is the default configuration with the batch size of this comparison.
func oursConfig(s setup, topic string) consumer.Config {
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.ClientID = s.Brokers, []string{topic}, s.Group, "bench"
	cfg.BatchSize, cfg.CommitInterval = batchSize, commitEvery
	cfg.FetchMaxBytes, cfg.FetchMaxPartitionBytes = int32(s.FetchMax), fetchMaxPartition
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return cfg
}

func consumeOurs(ctx context.Context, s setup, m *meter) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cfg := oursConfig(s, topic)
	var mu sync.Mutex
	committed, sum := make(map[int32]int64), int64(0)
	cfg.Hooks.OnCommit = func(_ string, partition int32, offset int64, err error) {
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		sum += offset - committed[partition]
		committed[partition] = offset
		if sum == int64(s.Records) {
			m.committed()
		}
	}
	c, err := consumer.New(cfg, func(_ context.Context, b consumer.Batch) error {
		if m.handle(len(b.Records)) {
			stop() // which commits what is handled
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// wait is the work of a record in a key order trial.
const wait = time.Millisecond

// concurrency is how many records of a key order trial are worked on at once.
const concurrency = 64

func keyedOurs(ctx context.Context, s setup, m *meter) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cfg := oursConfig(s, keyedTopic)
	cfg.Order, cfg.Concurrency = consumer.OrderKey, concurrency
	go m.watch(stop)
	c, err := consumer.New(cfg, consumer.Each(func(context.Context, *kgo.Record) error {
		<-time.After(wait)
		m.count.Add(1)
		m.start()
		return nil
	}))
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// keyedIdeal is what so many goroutines can do that have no Kafka to deal with.
func keyedIdeal(ctx context.Context, _ setup, m *meter) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go m.watch(stop)
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for ctx.Err() == nil {
				<-time.After(wait)
				m.count.Add(1)
				m.start()
			}
		})
	}
	wg.Wait()
	return nil
}
