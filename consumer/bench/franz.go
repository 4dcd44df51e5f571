package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeFranz is the loop that one writes with franz-go alone: poll what there is, hand
// it on in batches of one partition, commit what was polled every interval.
func consumeFranz(ctx context.Context, s setup, m *meter) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(s.Brokers...), kgo.ConsumerGroup(s.Group), kgo.ConsumeTopics(topic), kgo.ClientID("bench"),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxBytes(int32(s.FetchMax)), kgo.FetchMaxPartitionBytes(fetchMaxPartition), kgo.FetchMaxWait(fetchMaxWait),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	last := time.Now()
	for {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		done := false
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			done = m.hand(p.Records) || done
		})
		if done || time.Since(last) >= commitEvery {
			if err := cl.CommitUncommittedOffsets(ctx); err != nil {
				return err
			}
			last = time.Now()
		}
		cl.AllowRebalance()
		if done {
			m.committed()
			return nil
		}
	}
}
