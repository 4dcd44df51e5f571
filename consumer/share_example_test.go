package consumer_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// A queue: any number of members share the records of a topic, whatever its
// number of partitions, and each record is locked for the member that has it.
func ExampleNewShare() {
	brokers, stopKafka := exampleKafka()
	defer stopKafka()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	cfg := consumer.DefaultShareConfig()
	cfg.Brokers = brokers
	cfg.Topics = []string{"invoices"}
	cfg.Group = "workers"
	cfg.Start = consumer.Earliest // the group's configuration; Kafka's default skips what is there
	cfg.Concurrency = 1
	cfg.Poison = consumer.Poison{Policy: consumer.PoisonSkip}
	cfg.Logger = slog.New(slog.DiscardHandler)

	handled := 0
	c, err := consumer.NewShare(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
		fmt.Printf("%s: %s, delivery %d\n", r.Key, r.Value, r.DeliveryCount())
		if handled++; handled == 3 {
			stop()
		}
		return nil
	}))
	if err != nil {
		log.Print(err) // every field that is wrong
		return
	}
	if err := c.Run(ctx); err != nil {
		log.Print(err)
		return
	}
	fmt.Println(c.Stats().Accepted, "accepted")
	// Output:
	// alice: 1, delivery 1
	// alice: 2, delivery 1
	// alice: 3, delivery 1
	// 3 accepted
}

// The configuration is the same file as for a Consumer. What a queue needs besides
// is set in code.
func ExampleShareFrom() {
	loaded, err := consumer.ParseConfig([]byte(`
brokers: ${KAFKA_BROKERS:-127.0.0.1:9092}
topics: [invoices]
group: workers
retry: {attempts: 8}
poison: {policy: skip}
health-timeout: 1m
`)) // of a file: LoadConfig
	if err != nil {
		log.Print(err) // by line, everything that is wrong
		return
	}
	cfg := consumer.ShareFrom(loaded)
	cfg.Start = consumer.Earliest
	cfg.BatchSize, cfg.Concurrency, cfg.MaxInFlight = 20, 32, 1000
	fmt.Println(cfg.Group, cfg.Retry.Attempts, cfg.Poison.Policy, cfg.HealthTimeout, cfg.Validate() == nil)
	// Output: workers 8 skip 1m0s true
}
