// Command minimal is the smallest service on the consumer library that is complete;
// docs/consumer.md quotes it. It wants Kafka at 127.0.0.1:9092 with the topics orders
// and dlq.billing.orders.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

func main() {
	cfg := consumer.DefaultConfig()
	cfg.Brokers = []string{"127.0.0.1:9092"}
	cfg.Topics = []string{"orders"}
	cfg.Group = "billing"
	cfg.Poison.Policy = consumer.PoisonDeadLetter // to dlq.billing.orders, which must exist

	c, err := consumer.New(cfg, consumer.Each(bill))
	if err != nil {
		log.Fatal(err) // all that is wrong, field by field
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err = c.Run(ctx) // until SIGTERM: it finishes, commits, leaves the group
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// bill does the work of one record. It may be called again for the same one.
func bill(_ context.Context, r *kgo.Record) error {
	_, err := fmt.Printf("%s/%d@%d %s\n", r.Topic, r.Partition, r.Offset, r.Value)
	return err
}
