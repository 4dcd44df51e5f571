package main

import (
	"context"
	"log"
	"os"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
)

// consumeWatermill is Watermill's subscriber: Ack what was processed, Nack what was not, and it comes again.
func consumeWatermill(ctx context.Context) error {
	cfg := kafka.DefaultSaramaSubscriberConfig()
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Group.Session.Timeout = millis("KSIM_SESSION_TIMEOUT_MS")
	cfg.Consumer.Group.Heartbeat.Interval = millis("KSIM_SESSION_TIMEOUT_MS") / 10
	cfg.Consumer.Group.Rebalance.Timeout = millis("KSIM_MAX_POLL_INTERVAL_MS")
	s, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: brokers(), Unmarshaler: kafka.DefaultMarshaler{}, OverwriteSaramaConfig: cfg, ConsumerGroup: os.Getenv("KSIM_GROUP_ID"),
	}, watermill.NewStdLogger(false, false))
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	topic := os.Getenv("KSIM_TOPIC")
	messages, err := s.Subscribe(ctx, topic)
	if err != nil {
		return err
	}
	for m := range messages {
		partition, _ := kafka.MessagePartitionFromCtx(m.Context())
		offset, _ := kafka.MessagePartitionOffsetFromCtx(m.Context())
		if err := process(topic, partition, offset, m.Payload); err != nil {
			log.Print(err)
			m.Nack()
			continue
		}
		m.Ack()
	}
	return ctx.Err()
}
