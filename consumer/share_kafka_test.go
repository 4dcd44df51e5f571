package consumer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ksim-dev/ksim/harness/backend/containers"
)

// The suite on real Kafka. Its tests wait for locks most of the time, and so run
// side by side, each with its own topics and group.
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
	t.Run("suite", func(t *testing.T) {
		for _, c := range shareSuite {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				k := shareOn(t, cluster.Brokers(), lock)
				name := strings.ToLower(c.name)
				k.topic, k.letters, k.group = name, name+".letters", name+".group"
				admin := kadm.NewClient(k.client)
				for topic, n := range map[string]int32{k.topic: partitions, k.letters: 1} {
					if _, err := admin.CreateTopic(k.Context(), n, 1, nil, topic); err != nil {
						t.Fatal(err)
					}
				}
				c.run(k)
			})
		}
	})
}
