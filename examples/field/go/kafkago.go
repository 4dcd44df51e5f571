package main

import (
	"context"
	"os"

	"github.com/segmentio/kafka-go"
)

// kafkaGo is segmentio/kafka-go with explicit commits: FetchMessage, then CommitMessages.
func kafkaGo(ctx context.Context) error {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers(), GroupID: os.Getenv("KSIM_GROUP_ID"), Topic: os.Getenv("KSIM_TOPIC"), MaxBytes: 10e6,
		StartOffset: kafka.FirstOffset, SessionTimeout: millis("KSIM_SESSION_TIMEOUT_MS"), HeartbeatInterval: millis("KSIM_SESSION_TIMEOUT_MS") / 10,
		RebalanceTimeout: millis("KSIM_MAX_POLL_INTERVAL_MS"),
	})
	defer func() { _ = r.Close() }()
	for {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return err
		}
		if err := process(m.Topic, int32(m.Partition), m.Offset, m.Value); err != nil {
			return err
		}
		if err := r.CommitMessages(ctx, m); err != nil {
			return err
		}
	}
}
