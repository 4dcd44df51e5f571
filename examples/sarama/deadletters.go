package main

import (
	"errors"
	"fmt"
	"log"
	"strconv"

	"github.com/IBM/sarama"
)

// deadLetters puts aside, unchanged, what can never be processed.
type deadLetters struct {
	topic, group string
	producer     sarama.SyncProducer
}

func newDeadLetters(s settings) (*deadLetters, error) {
	producer, err := sarama.NewSyncProducer(s.brokers, s.producer())
	if err != nil {
		return nil, err
	}
	return &deadLetters{topic: s.deadLetters, group: s.group, producer: producer}, nil
}

// send returns once the brokers have the dead letter, and only then.
func (d *deadLetters) send(r *sarama.ConsumerMessage, attempts int, reason string) error {
	if d.topic == "" {
		return errors.New(reason + "; set KSIM_DLQ_TOPIC to go on without such records")
	}
	m := &sarama.ProducerMessage{Topic: d.topic, Key: bytesOrNil(r.Key), Value: bytesOrNil(r.Value)}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, *h)
	}
	add := func(name, value string) { // KIP-1191's names
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte("__dlq.errors." + name), Value: []byte(value)})
	}
	add("topic", r.Topic)
	add("partition", strconv.Itoa(int(r.Partition)))
	add("offset", strconv.FormatInt(r.Offset, 10))
	add("group", d.group)
	add("delivery.count", strconv.Itoa(attempts))
	add("message", reason[:min(len(reason), 1024)])
	if _, _, err := d.producer.SendMessage(m); err != nil {
		return fmt.Errorf("%s: the dead letter was not accepted: %w", where(r), err)
	}
	log.Printf("%s: dead letter after %d attempts: %s", where(r), attempts, reason)
	return nil
}

// bytesOrNil keeps what is null null: an encoder of nothing would be an empty value.
func bytesOrNil(b []byte) sarama.Encoder {
	if b == nil {
		return nil
	}
	return sarama.ByteEncoder(b)
}

func (d *deadLetters) close() {
	if err := d.producer.Close(); err != nil {
		log.Printf("dead letters: %v", err)
	}
}
