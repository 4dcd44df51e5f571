package main

import (
	"context"
	"os"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// consumeConfluent is the consumer of confluent-kafka-go's examples: poll, process, then store the offset by
// hand, which the client commits by the clock.
func consumeConfluent(ctx context.Context) error {
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": os.Getenv("KSIM_BOOTSTRAP_SERVERS"), "group.id": os.Getenv("KSIM_GROUP_ID"), "client.id": os.Getenv("KSIM_MEMBER"),
		"session.timeout.ms": os.Getenv("KSIM_SESSION_TIMEOUT_MS"), "heartbeat.interval.ms": 500, "max.poll.interval.ms": os.Getenv("KSIM_MAX_POLL_INTERVAL_MS"),
		"auto.offset.reset": "earliest", "enable.auto.offset.store": false,
	})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SubscribeTopics([]string{os.Getenv("KSIM_TOPIC")}, nil); err != nil {
		return err
	}
	for ctx.Err() == nil {
		switch e := c.Poll(100).(type) {
		case *kafka.Message:
			tp := e.TopicPartition
			if err := process(*tp.Topic, tp.Partition, int64(tp.Offset), e.Value); err != nil {
				return err
			}
			if _, err := c.StoreMessage(e); err != nil {
				return err
			}
		case kafka.Error:
			if e.IsFatal() {
				return e
			}
		}
	}
	return nil
}
