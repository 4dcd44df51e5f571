package backend

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partition is where a partition is.
type Partition struct {
	Topic         string
	ID            int32
	Leader        int32 // -1 for none
	Replicas, ISR []int32
}

// Partitions asks a broker, one of them or any, for all partitions of the named topics; of
// every topic if none is named. It asks anew each time, where kadm may answer from what the client knows.
func Partitions(ctx context.Context, from kmsg.Requestor, topics ...string) ([]Partition, error) {
	resp, err := topicMetadata(topics...).RequestWith(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("ask where partitions are: %w", err)
	}
	var all []Partition
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("ask where topic %s is: %w", *t.Topic, err)
		}
		for _, p := range t.Partitions {
			all = append(all, Partition{Topic: *t.Topic, ID: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR})
		}
	}
	return all, nil
}

// DescribePartition is Partitions for one partition.
func DescribePartition(ctx context.Context, from kmsg.Requestor, topic string, partition int32) (Partition, error) {
	all, err := Partitions(ctx, from, topic)
	if err != nil {
		return Partition{}, err
	}
	for _, p := range all {
		if p.ID == partition {
			return p, nil
		}
	}
	return Partition{}, fmt.Errorf("topic %s has no partition %d", topic, partition)
}
