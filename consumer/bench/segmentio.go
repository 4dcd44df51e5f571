package main

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"
)

// consumeSegmentio gathers batches from FetchMessage, and commits the last record of
// each partition every interval.
func consumeSegmentio(ctx context.Context, s setup, m *meter) error {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: s.Brokers, GroupID: s.Group, GroupTopics: []string{topic},
		StartOffset: kafka.FirstOffset, IsolationLevel: kafka.ReadCommitted,
		MinBytes: 1, MaxBytes: fetchMaxPartition, MaxWait: fetchMaxWait, // MaxBytes is of one partition
		QueueCapacity: 2 * batchSize, // the default of 100 is less than a batch
	})
	defer func() { _ = r.Close() }()
	batch := make([]kafka.Message, 0, batchSize)
	marks := make(map[int]kafka.Message, partitions)
	commit := func() error {
		msgs := make([]kafka.Message, 0, len(marks))
		for _, msg := range marks {
			msgs = append(msgs, msg)
		}
		clear(marks)
		return r.CommitMessages(ctx, msgs...)
	}
	left := s.Records
	for last := time.Now(); left > 0; {
		batch = batch[:0]
		for len(batch) < min(batchSize, left) {
			msg, err := r.FetchMessage(ctx)
			if err != nil {
				return err
			}
			m.start()
			batch = append(batch, msg)
		}
		left -= len(batch)
		m.handle(len(batch))
		for _, msg := range batch {
			marks[msg.Partition] = msg
		}
		if time.Since(last) >= commitEvery {
			if err := commit(); err != nil {
				return err
			}
			last = time.Now()
		}
	}
	if err := commit(); err != nil {
		return err
	}
	m.committed()
	return nil
}
