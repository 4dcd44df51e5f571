package main

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ceilingClients is more than enough to keep two cores busy beside the broker.
const ceilingClients = 4

// consumeCeiling shows what this machine can deliver: several franz-go clients that share
// the partitions by hand, fetch and decode in parallel, are in no group and commit nothing.
func consumeCeiling(ctx context.Context, s setup, m *meter) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for k := range ceilingClients {
		from := map[int32]kgo.Offset{}
		for p := k; p < partitions; p += ceilingClients {
			from[int32(p)] = kgo.NewOffset().AtStart()
		}
		cl, err := kgo.NewClient(
			kgo.SeedBrokers(s.Brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.ClientID("bench"),
			kgo.FetchMaxBytes(int32(s.FetchMax)), kgo.FetchMaxPartitionBytes(fetchMaxPartition), kgo.FetchMaxWait(fetchMaxWait),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		)
		if err != nil {
			return err
		}
		defer cl.Close()
		wg.Go(func() {
			for {
				fetches := cl.PollFetches(ctx)
				if fetches.Err0() != nil { // ctx ended
					return
				}
				fetches.EachPartition(func(p kgo.FetchTopicPartition) {
					if m.hand(p.Records) {
						stop()
					}
				})
			}
		})
	}
	wg.Wait()
	m.committed() // nothing: the clock stops here
	return nil
}
