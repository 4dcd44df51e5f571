package consumer_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ksim-dev/ksim/harness/backend/containers"
)

// The suite on real Kafka, each test with its own topics and group.
func TestShareOnKafka(t *testing.T) {
	containers.Require(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	const lock = 3 * time.Second
	cluster, err := containers.Start(ctx, containers.Config{Env: map[string]string{
		"KAFKA_GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS": "1000",
		"KAFKA_GROUP_SHARE_RECORD_LOCK_DURATION_MS":     "3000",
		"KAFKA_GROUP_SHARE_MIN_SESSION_TIMEOUT_MS":      "1000",
		"KAFKA_GROUP_SHARE_SESSION_TIMEOUT_MS":          "3000",
		"KAFKA_GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS":   "100",
		"KAFKA_GROUP_SHARE_HEARTBEAT_INTERVAL_MS":       "300",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	shareTests(t, func(t *testing.T, name string) *shareKafka {
		k := shareOn(t, cluster.Brokers(), lock)
		k.topic, k.letters, k.group = name, name+".letters", name+".group"
		admin := kadm.NewClient(k.client)
		for topic, n := range map[string]int32{k.topic: partitions, k.letters: 1} {
			if _, err := admin.CreateTopic(k.Context(), n, 1, nil, topic); err != nil {
				t.Fatal(err)
			}
		}
		return k
	})
}
