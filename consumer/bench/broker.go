package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/backend/containers"
)

const (
	topic       = "bench"     // records without a key, for throughput
	keyedTopic  = "bench-key" // records with one of so many keys, for key order
	keys        = 256
	partitions  = 12
	payload     = 100       // bytes, random
	batchBytes  = 16 << 10  // of the producer: batch.size of the Java producer
	keyedTotal  = 1_000_000 // records in keyedTopic: more than any key order trial handles
	produceTime = 3 * time.Minute
)

// startKafka starts one broker. ksim's containers are set up to start fast and stay
// small; a broker that is to serve fast needs the JVM's better compiler and some heap.
func startKafka(ctx context.Context) (*containers.Cluster, error) {
	return containers.Start(ctx, containers.Config{RunID: "consumer-bench", Env: map[string]string{
		"KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseG1GC -XX:MaxGCPauseMillis=20",
		"KAFKA_HEAP_OPTS":            "-Xms1g -Xmx1g",
	}})
}

// produce fills the topics. Every partition gets the same number of records.
func (b *bench) produce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, produceTime)
	defer cancel()
	for _, name := range []string{topic, keyedTopic} {
		if err := b.kafka.CreateTopic(ctx, name, partitions, nil); err != nil {
			return err
		}
	}
	cl, err := kgo.NewClient(append(b.kafka.ClientOpts(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(batchBytes),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(50*time.Millisecond),
		kgo.MaxBufferedRecords(100_000))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	say("producing %d records of %d bytes to %d partitions", b.records, payload, partitions)
	rng := rand.NewChaCha8([32]byte{1})
	if err := fill(ctx, cl, b.records, func(i int) *kgo.Record {
		return &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: random(rng)}
	}); err != nil || b.keyRounds == 0 {
		return err
	}
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic(keyedTopic)
	homes := make([]int32, keys)
	for k := range homes {
		homes[k] = int32(partitioner.Partition(&kgo.Record{Key: key(k)}, partitions))
	}
	return fill(ctx, cl, keyedTotal, func(i int) *kgo.Record {
		k := i % keys
		return &kgo.Record{Topic: keyedTopic, Partition: homes[k], Key: key(k), Value: random(rng)}
	})
}

func fill(ctx context.Context, cl *kgo.Client, n int, record func(i int) *kgo.Record) error {
	var failed atomic.Pointer[error]
	for i := range n {
		cl.Produce(ctx, record(i), func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	return nil
}

func key(k int) []byte { return fmt.Appendf(nil, "key-%d", k) }

func random(rng *rand.ChaCha8) []byte {
	b := make([]byte, payload)
	_, _ = rng.Read(b) // never fails
	return b
}
