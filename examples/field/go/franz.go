package main

import (
	"context"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is franz-go as its README begins: poll, iterate, and let the client commit what earlier polls returned.
func franz(ctx context.Context) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers()...), kgo.ConsumerGroup(os.Getenv("KSIM_GROUP_ID")), kgo.ConsumeTopics(os.Getenv("KSIM_TOPIC")),
		kgo.SessionTimeout(millis("KSIM_SESSION_TIMEOUT_MS")), kgo.HeartbeatInterval(millis("KSIM_SESSION_TIMEOUT_MS")/10),
		kgo.RebalanceTimeout(millis("KSIM_MAX_POLL_INTERVAL_MS")),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return fmt.Errorf("%v", errs)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			if err := process(r.Topic, r.Partition, r.Offset, r.Value); err != nil {
				return err
			}
		}
	}
}
