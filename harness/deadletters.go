package harness

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/backend"
)

// maxDeadLetterBytes leaves room for the headers that a dead letter, or an output, adds to
// the largest record that fits into the topic itself.
const maxDeadLetterBytes = "2097152"

// deadLetterAdmin is the dead-letter topic of a scenario.
type deadLetterAdmin struct {
	kafka      backend.Kafka
	client     *kgo.Client // nil until the stage has one: only Widen needs it
	topic      string
	partitions int32
}

func (s *stage) deadLetters() deadLetterAdmin {
	return deadLetterAdmin{kafka: s.kafka, client: s.client, topic: s.names.deadLetter, partitions: s.cfg.Partitions}
}

// Create implements fault.DeadLetterTopic.
func (d deadLetterAdmin) Create(ctx context.Context) error { return d.create(ctx, maxDeadLetterBytes) }

func (d deadLetterAdmin) create(ctx context.Context, size string) error {
	// The broker stamps dead letters when it has them: that tells whether
	// one was acknowledged before its record was committed.
	stamp := "LogAppendTime"
	return d.kafka.CreateTopic(ctx, d.topic, d.partitions, map[string]*string{
		"message.timestamp.type": &stamp, "max.message.bytes": &size,
	})
}

// Widen implements fault.DeadLetterTopic.
func (d deadLetterAdmin) Widen(ctx context.Context) error {
	size := maxDeadLetterBytes
	answers, err := kadm.NewClient(d.client).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &size}}, d.topic)
	for _, a := range answers {
		if err == nil {
			err = a.Err
		}
	}
	if err != nil {
		return fmt.Errorf("let the topic %s take records of %s bytes: %w", d.topic, size, err)
	}
	return nil
}
