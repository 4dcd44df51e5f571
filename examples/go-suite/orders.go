// Package orders is an example of a consumer in Go with a suite that proves
// it: orders_test.go is all that it takes.
package orders

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/subject"
)

// Consume bills orders until ctx is done: poll, process, commit what is processed, in
// that order, and give nothing up half done. Plain franz-go, at least once.
func Consume(ctx context.Context, env subject.Env) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(env.BootstrapServers, ",")...),
		kgo.ConsumeTopics(env.Topic),
		kgo.ConsumerGroup(env.GroupID),
		kgo.ClientID(env.Member),
		kgo.SessionTimeout(env.SessionTimeout),
		kgo.RebalanceTimeout(env.MaxPollInterval),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		// A rebalance waits until the batch is done and committed.
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance() // leaves the group
	for {
		fetches := client.PollRecords(ctx, env.BatchSize)
		if ctx.Err() != nil {
			return nil // SIGTERM: all that was polled before is processed and committed
		}
		if err := fetches.Err0(); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		for _, r := range fetches.Records() {
			if err := bill(env.SinkURL, r); err != nil {
				return err // restarted by its orchestrator; nothing of this batch was committed
			}
		}
		// Not ctx: what is processed is committed, also on the way out.
		if err := client.CommitRecords(context.WithoutCancel(ctx), fetches.Records()...); err != nil {
			return err
		}
		client.AllowRebalance()
	}
}

// bill is the business of this consumer: it tells the downstream system of an order.
func bill(url string, r *kgo.Record) error {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(string(r.Value)))
	if err != nil {
		return err
	}
	req.Header.Set("Ksim-Record", fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("order %s: %s", r.Key, resp.Status)
	}
	return nil
}
