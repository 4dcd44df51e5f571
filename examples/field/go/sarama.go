package main

import (
	"context"
	"os"

	"github.com/IBM/sarama"
)

// consumeSarama is the consumer group of sarama's examples: mark what was processed, the client commits by the clock.
func consumeSarama(ctx context.Context) error {
	cfg := sarama.NewConfig()
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Group.Session.Timeout = millis("KSIM_SESSION_TIMEOUT_MS")
	cfg.Consumer.Group.Heartbeat.Interval = millis("KSIM_SESSION_TIMEOUT_MS") / 10
	cfg.Consumer.Group.Rebalance.Timeout = millis("KSIM_MAX_POLL_INTERVAL_MS")
	client, err := sarama.NewConsumerGroup(brokers(), os.Getenv("KSIM_GROUP_ID"), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for ctx.Err() == nil {
		if err := client.Consume(ctx, []string{os.Getenv("KSIM_TOPIC")}, claimer{}); err != nil {
			return err
		}
	}
	return nil
}

type claimer struct{}

func (claimer) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (claimer) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (claimer) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			if err := process(m.Topic, m.Partition, m.Offset, m.Value); err != nil {
				return err
			}
			session.MarkMessage(m, "")
		case <-session.Context().Done():
			return nil
		}
	}
}
