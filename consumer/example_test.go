package consumer_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// The whole of a service: it consumes until SIGTERM or SIGINT, finishes what it
// has begun, commits, and leaves the group.
func Example() {
	brokers, stopKafka := exampleKafka()
	defer stopKafka()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	cfg := consumer.DefaultConfig()
	cfg.Brokers = brokers
	cfg.Topics = []string{"invoices"}
	cfg.Group = "billing"
	cfg.Order = consumer.OrderKey
	cfg.Poison = consumer.Poison{Policy: consumer.PoisonSkip}
	cfg.Logger = slog.New(slog.DiscardHandler)

	handled := 0
	c, err := consumer.New(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
		fmt.Printf("%s: %s\n", r.Key, r.Value)
		if handled++; handled == 3 {
			// In production Kubernetes sends it.
			return syscall.Kill(os.Getpid(), syscall.SIGTERM)
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
	fmt.Println("stopped gracefully")
	// Output:
	// alice: 1
	// alice: 2
	// alice: 3
	// stopped gracefully
}

// exampleKafka starts an embedded broker with three records.
func exampleKafka() (brokers []string, stop func()) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "invoices", "mails"))
	if err != nil {
		log.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("invoices"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for i := 1; i <= 3; i++ {
		r := &kgo.Record{Key: []byte("alice"), Value: fmt.Append(nil, i)}
		if err := client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			log.Fatal(err)
		}
	}
	return cluster.ListenAddrs(), cluster.Close
}

// A service that makes one record of another, exactly once: whoever reads committed
// records sees the invoice of each order once, whatever happens to this process.
func ExampleNewTransactional() {
	brokers, stopKafka := exampleKafka()
	defer stopKafka()

	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	cfg := consumer.DefaultConfig()
	cfg.Brokers = brokers
	cfg.Topics = []string{"invoices"}
	cfg.Group = "mailer"
	cfg.TransactionalID = "mailer-0" // of this replica; a StatefulSet's pod name is a good one
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Hooks.OnCommit = func(_ string, _ int32, next int64, _ error) {
		fmt.Println("committed up to", next)
		stop()
	}
	c, err := consumer.NewTransactional(cfg, consumer.EachTx(func(_ context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		mail := &kgo.Record{Topic: "mails", Key: r.Key, Value: append([]byte("invoice "), r.Value...)}
		return []*kgo.Record{mail}, nil
	}))
	if err != nil {
		log.Print(err)
		return
	}
	if err := c.Run(ctx); err != nil {
		log.Print(err)
	}
	// Output: committed up to 3
}

// A batch goes to a system that takes many records in one call.
func ExampleFailed() {
	save := func(context.Context, []*kgo.Record) map[int]error { return nil } // by index, those it did not take
	handler := func(ctx context.Context, b consumer.Batch) error {
		return consumer.Failed(save(ctx, b.Records))
	}
	fmt.Println(handler(context.Background(), consumer.Batch{}))
	// Output: <nil>
}
