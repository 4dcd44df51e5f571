package dlq_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/dlq"
)

// The bug is fixed: what failed by it goes back to where it came from, ten a second.
func Example() {
	brokers, stop := exampleKafka()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	cfg := dlq.Config{ClientOpts: []kgo.Opt{kgo.SeedBrokers(brokers...)}, Topic: "dlq.billing.orders"}
	for letter, err := range dlq.List(ctx, cfg, dlq.ListOptions{Pending: true}) {
		if err != nil {
			log.Print(err)
			return
		}
		fmt.Println(letter.Place(), "was", letter.Origin, "-", letter.Message)
	}

	opts := dlq.DefaultReplay()
	opts.Filter.Message = "no such price"
	opts.Rate = 10
	plan, err := dlq.MakePlan(ctx, cfg, opts)
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println("to send:", plan.Letters)
	sent, err := dlq.Replay(ctx, cfg, opts)
	switch {
	case errors.Is(err, dlq.ErrTakenOver):
		log.Print("somebody else is at it: ", err)
	case err != nil:
		log.Printf("%d sent; run it again to send the rest: %v", sent.Letters, err)
	}
	fmt.Println("sent:", sent.Letters)

	sent, err = dlq.Replay(ctx, cfg, opts)
	fmt.Println("sent the second time:", sent.Letters, err)
	// Output:
	// dlq.billing.orders/0@0 was orders/0@0 - no such price: 7
	// dlq.billing.orders/0@1 was orders/0@2 - not a number
	// to send: 1
	// sent: 1
	// sent the second time: 0 <nil>
}

// exampleKafka starts an embedded broker, on which a consumer has put two of three
// records aside.
func exampleKafka() (brokers []string, stop func()) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders", "dlq.billing.orders"))
	if err != nil {
		log.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, value := range []string{"7", "8", "x"} {
		if err := client.ProduceSync(context.Background(), kgo.StringRecord(value)).FirstErr(); err != nil {
			log.Fatal(err)
		}
	}
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = cluster.ListenAddrs(), []string{"orders"}, "billing"
	cfg.Poison.Policy = consumer.PoisonDeadLetter
	cfg.Hooks.OnPoison = func(r *kgo.Record, _ int, _ error, _ consumer.PoisonPolicy) {
		if string(r.Value) == "x" {
			done()
		}
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	c, err := consumer.New(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
		switch string(r.Value) {
		case "7":
			return consumer.Permanent(errors.New("no such price: 7"))
		case "x":
			return consumer.Permanent(errors.New("not a number"))
		}
		return nil
	}))
	if err == nil {
		err = c.Run(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
	return cluster.ListenAddrs(), cluster.Close
}
