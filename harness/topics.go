package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/observe"
)

// topicAdmin does to the topics of a stage what faults ask for.
type topicAdmin struct{ *stage }

var _ fault.Topics = topicAdmin{}

// Configure implements fault.Topics.
func (t topicAdmin) Configure(ctx context.Context, topic, name, value string) (func(context.Context) error, error) {
	set := func(ctx context.Context, op kadm.IncrementalOp, value *string) error {
		resp, err := kadm.NewClient(t.client).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: name, Value: value}}, topic)
		for _, r := range resp {
			err = errors.Join(err, r.Err)
		}
		if err != nil {
			return fmt.Errorf("set %s of topic %s: %w", name, topic, err)
		}
		return nil
	}
	undo := func(ctx context.Context) error {
		if before, ok := t.scenario.TopicConfig[name]; ok && topic == t.names.topic {
			return set(ctx, kadm.SetConfig, &before)
		}
		return set(ctx, kadm.DeleteConfig, nil)
	}
	return undo, set(ctx, kadm.SetConfig, &value)
}

// Extents implements fault.Topics. What it sees goes to the history as well.
func (t topicAdmin) Extents(ctx context.Context) (map[int32]fault.Extent, error) {
	positions, err := t.lag.Once(ctx)
	extents := map[int32]fault.Extent{}
	for partition, p := range positions {
		extents[partition] = fault.Extent{Start: p.Start, End: p.End, Committed: p.Committed}
	}
	return extents, err
}

// AddPartitions implements fault.Topics.
func (t topicAdmin) AddPartitions(ctx context.Context, n int32) error {
	all := t.members.partitions() + n
	resp, err := kadm.NewClient(t.client).UpdatePartitions(ctx, int(all), t.names.topic)
	for _, r := range resp {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		return fmt.Errorf("add %d partitions to topic %s: %w", n, t.names.topic, err)
	}
	if err := backend.AwaitTopic(ctx, t.client, t.names.topic, all); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond) // the client has no event for that
	defer tick.Stop()
	for {
		t.client.ForceMetadataRefresh()
		positions, err := t.lag.Once(ctx)
		leader, _, _ := t.client.PartitionLeader(t.names.topic, all-1)
		if err == nil && len(positions) == int(all) && leader >= 0 {
			break // producer and observer know of them
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the harness does not see the new partitions: %w", errors.Join(ctx.Err(), err))
		}
	}
	t.members.widen(all)
	t.feed.widen(all)
	return nil
}

// DeleteRecords implements fault.Topics.
func (t topicAdmin) DeleteRecords(ctx context.Context, below map[int32]int64) error {
	offsets := kadm.Offsets{}
	for partition, offset := range below {
		offsets.Add(kadm.Offset{Topic: t.names.topic, Partition: partition, At: offset, LeaderEpoch: -1})
	}
	resp, err := kadm.NewClient(t.client).DeleteRecords(ctx, offsets)
	if err = errors.Join(err, resp.Error()); err != nil {
		return fmt.Errorf("delete records of topic %s: %w", t.names.topic, err)
	}
	return nil
}

// Missing implements fault.Topics.
func (t topicAdmin) Missing(ctx context.Context, ref int64) (int, error) {
	if _, err := t.lag.Once(ctx); err != nil { // where logs begin later is known better than by what is not found
		return 0, err
	}
	scanned, err := observe.Scan(ctx, t.kafka.ClientOpts(), t.names.topic, t.ledger, t.log, ref)
	return scanned.Missing, err
}

// Recreate implements fault.Topics.
func (t topicAdmin) Recreate(ctx context.Context, quiet func(context.Context) error) error {
	t.feed.sending.Lock() // every message that was sent has ended
	defer t.feed.sending.Unlock()
	if err := quiet(ctx); err != nil {
		return err
	}
	if err := t.kafka.DeleteTopic(ctx, t.names.topic); err != nil {
		return err
	}
	if err := t.awaitGone(ctx); err != nil {
		return err
	}
	t.log.Append(history.Event{Kind: history.Recreated, Topic: t.names.topic})
	if err := t.createTopic(ctx); err != nil {
		return err
	}
	t.client.PurgeTopicsFromClient(t.names.topic) // what it knows is of the old one
	return nil
}

// awaitGone waits until no broker knows the topic, nor the group any commit in it.
func (t topicAdmin) awaitGone(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond) // brokers have no event for that
	defer tick.Stop()
	for {
		_, err := backend.Partitions(ctx, t.client, t.names.topic)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			var offsets kadm.OffsetResponses
			offsets, err = kadm.NewClient(t.client).FetchOffsets(ctx, t.names.group)
			if err == nil && len(offsets[t.names.topic]) == 0 {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("topic %s, or what is committed in it, does not go away: %w", t.names.topic, errors.Join(ctx.Err(), err))
		}
	}
}
