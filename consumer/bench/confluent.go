package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// consumeConfluent gathers batches from Poll, and commits the next offset of each
// partition every interval.
func consumeConfluent(ctx context.Context, s setup, m *meter) error {
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": strings.Join(s.Brokers, ","), "group.id": s.Group, "client.id": "bench",
		"auto.offset.reset": "earliest", "enable.auto.commit": false, "enable.auto.offset.store": false,
		"partition.assignment.strategy": "cooperative-sticky", "isolation.level": "read_committed",
		"fetch.max.bytes": s.FetchMax, "max.partition.fetch.bytes": fetchMaxPartition,
		"fetch.wait.max.ms":   int(fetchMaxWait.Milliseconds()),
		"queued.min.messages": 1_000_000, "queued.max.messages.kbytes": 128 << 10,
	})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SubscribeTopics([]string{topic}, nil); err != nil {
		return err
	}
	name := topic
	batch := make([]*kafka.Message, 0, batchSize)
	next := make(map[int32]kafka.Offset, partitions)
	commit := func() error {
		offsets := make([]kafka.TopicPartition, 0, len(next))
		for partition, offset := range next {
			offsets = append(offsets, kafka.TopicPartition{Topic: &name, Partition: partition, Offset: offset})
		}
		clear(next)
		_, err := c.CommitOffsets(offsets)
		return err
	}
	left := s.Records
	for last := time.Now(); left > 0; {
		batch = batch[:0]
		for len(batch) < min(batchSize, left) {
			switch e := c.Poll(100).(type) {
			case *kafka.Message:
				m.start()
				batch = append(batch, e)
			case kafka.Error:
				if e.IsFatal() {
					return e
				}
			case nil:
				if ctx.Err() != nil {
					return fmt.Errorf("%w with %d records left", ctx.Err(), left)
				}
			}
		}
		left -= len(batch)
		m.handle(len(batch))
		for _, msg := range batch {
			next[msg.TopicPartition.Partition] = msg.TopicPartition.Offset + 1
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
