package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// CreateTopic creates a topic through cl with the broker's default replication
// (KIP-464: -1) and waits until it can be used: on real Kafka the answer comes
// before the brokers know of it.
func CreateTopic(ctx context.Context, cl *kgo.Client, name string, partitions int32, configs map[string]*string) error {
	_, err := createTopic(ctx, cl, name, partitions, configs)
	return err
}

// createTopic tells also whether the topic was created, where it then did not become ready.
func createTopic(ctx context.Context, cl *kgo.Client, name string, partitions int32, configs map[string]*string) (created bool, err error) {
	adm := kadm.NewClient(cl)
	fresh, err := topicMissing(ctx, cl, name)
	if err != nil {
		return false, fmt.Errorf("create topic %s: %w", name, err)
	}
	resp, err := adm.CreateTopic(ctx, partitions, -1, configs, name)
	if err = errors.Join(err, resp.Err); fresh && errors.Is(err, kerr.TopicAlreadyExists) {
		err = nil // a busy broker answered so late that the client asked again
	}
	if err != nil {
		if resp.ErrMessage != "" {
			return false, fmt.Errorf("create topic %s: %w (%s)", name, err, resp.ErrMessage)
		}
		return false, fmt.Errorf("create topic %s: %w", name, err)
	}
	return true, AwaitTopic(ctx, cl, name, partitions)
}

// AwaitTopic waits until a topic has that many partitions and can be used: on real Kafka the answer to
// a change comes before the brokers know of it.
func AwaitTopic(ctx context.Context, cl *kgo.Client, name string, partitions int32) error {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := topicReady(ctx, cl, name, int(partitions))
		if missing == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topic %s was created but is not ready: %w (%w)", name, missing, ctx.Err())
		case <-tick.C:
		}
	}
}

// topicReady returns nil if every broker names a leader for every partition,
// and every leader knows that it is one. Short of that, a client that comes
// quickly is told "unknown topic" or "not leader", and sits until it may ask for
// metadata again (5 s in franz-go). It asks the brokers themselves: kadm would
// give the same answer for those 5 s.
func topicReady(ctx context.Context, cl *kgo.Client, name string, partitions int) error {
	meta, err := topicMetadata(name).RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	var leaders map[int32][]int32
	for _, b := range meta.Brokers {
		one, err := topicMetadata(name).RequestWith(ctx, cl.Broker(int(b.NodeID)))
		if err != nil {
			return fmt.Errorf("broker %d: %w", b.NodeID, err)
		}
		n := 0
		leaders = make(map[int32][]int32)
		for _, t := range one.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode == 0 && p.Leader >= 0 {
					leaders[p.Leader] = append(leaders[p.Leader], p.Partition)
					n++
				}
			}
		}
		if n != partitions {
			return fmt.Errorf("broker %d knows leaders of %d of %d partitions", b.NodeID, n, partitions)
		}
	}
	for leader, led := range leaders {
		if err := leads(ctx, cl.Broker(int(leader)), name, led); err != nil {
			return fmt.Errorf("broker %d: %w", leader, err)
		}
	}
	return nil
}

// topicMissing tells whether there is no topic of that name yet.
func topicMissing(ctx context.Context, cl *kgo.Client, name string) (bool, error) {
	meta, err := topicMetadata(name).RequestWith(ctx, cl)
	if err != nil {
		return false, err
	}
	return len(meta.Topics) == 1 && meta.Topics[0].ErrorCode == kerr.UnknownTopicOrPartition.Code, nil
}

// topicMetadata asks for the named topics; for every topic if none is named.
func topicMetadata(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// leads returns nil if the broker serves the partitions as their leader: only a leader lists offsets.
func leads(ctx context.Context, broker *kgo.Broker, name string, partitions []int32) error {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = name
	for _, p := range partitions {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = p, -1
		topic.Partitions = append(topic.Partitions, partition)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, broker)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: %w", p.Partition, err)
			}
		}
	}
	return nil
}

// DeleteTopic deletes a topic through cl. A topic that is not there is no error.
func DeleteTopic(ctx context.Context, cl *kgo.Client, name string) error {
	resp, err := kadm.NewClient(cl).DeleteTopic(ctx, name)
	if err = errors.Join(err, resp.Err); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("delete topic %s: %w", name, err)
	}
	return nil
}

// GuessVersion tells from the requests a broker offers which release it is:
// brokers do not say. An error means that no broker answered.
func GuessVersion(ctx context.Context, cl *kgo.Client) (string, *kversion.Versions, error) {
	all, err := kadm.NewClient(cl).ApiVersions(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("ask for API versions: %w", err)
	}
	var failed error
	for _, v := range all.Sorted() {
		if v.Err != nil {
			failed = v.Err
			continue
		}
		vs := &kversion.Versions{}
		v.EachKeySorted(func(k, _, vmax int16) { vs.SetMaxKeyVersion(k, vmax) })
		return v.VersionGuess(), vs, nil
	}
	if failed == nil {
		failed = errors.New("no broker answered")
	}
	return "", nil, fmt.Errorf("ask for API versions: %w", failed)
}
