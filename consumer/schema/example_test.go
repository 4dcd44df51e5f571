package schema_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"log/slog"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/schema"
)

// The schema that this service was built for. As a rule a file of the repository,
// embedded with go:embed.
const orderV1 = `{"type":"record","name":"Order","fields":[
	{"name":"id","type":"long"},
	{"name":"note","type":"string","default":"no note"}]}`

// What producers write by now: a field more, and one less.
const orderV2 = `{"type":"record","name":"Order","fields":[
	{"name":"id","type":"long"},
	{"name":"currency","type":"string"}]}`

// Order is what the service works with.
type Order struct {
	ID   int64  `avro:"id"`
	Note string `avro:"note"`
}

// A service that was built for version 1 of a schema reads what is written by version 2.
// A record that was not written with the registry is dead-lettered.
func ExampleEach() {
	registry, brokers, stop := exampleServices()
	defer stop()

	client, err := sr.NewClient(sr.URLs(registry)) // and sr.BasicAuth, sr.DialTLSConfig
	if err != nil {
		log.Fatal(err)
	}
	d, err := schema.New(schema.Config{
		Registry: client,
		Value:    schema.Rule{Reader: schema.Reader{Text: orderV1}, Subject: schema.TopicName},
	})
	if err != nil {
		log.Fatal(err) // every field that is wrong
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = brokers, []string{"orders"}, "billing"
	cfg.Poison = consumer.Poison{Policy: consumer.PoisonDeadLetter}
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Hooks.OnPoison = func(_ *kgo.Record, _ int, err error, _ consumer.PoisonPolicy) {
		fmt.Println("dead letter:", errors.Is(err, schema.ErrWireFormat))
	}
	c, err := consumer.New(cfg, schema.Each(d, func(_ context.Context, r *kgo.Record, o *Order) error {
		if o == nil {
			fmt.Printf("%s was deleted\n", r.Key)
			cancel() // the last one of the example
			return nil
		}
		fmt.Printf("%s: order %d, %s\n", r.Key, o.ID, o.Note)
		return nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// a: order 1, no note
	// dead letter: true
	// c: order 3, no note
	// a was deleted
}

// Values without a Go type of their own.
func ExampleDecoder_Handler() {
	registry, _, stop := exampleServices()
	defer stop()
	client, err := sr.NewClient(sr.URLs(registry))
	if err != nil {
		log.Fatal(err)
	}
	d, err := schema.New(schema.Config{Registry: client})
	if err != nil {
		log.Fatal(err)
	}
	handler := d.Handler(func(_ context.Context, b consumer.Batch, values []schema.Value) error {
		for i, v := range values {
			fmt.Println(b.Records[i].Offset, v.SchemaID, v.Data)
		}
		return nil
	})
	records := []*kgo.Record{{Topic: "orders", Offset: 5, Value: exampleOrder(7)}, {Topic: "orders", Offset: 6}}
	fmt.Println(handler(context.Background(), consumer.Batch{Topic: "orders", Records: records}))
	// Output:
	// 5 2 map[currency:EUR id:7]
	// 6 0 <nil>
	// <nil>
}

// exampleOrder is written by version 2.
func exampleOrder(id int64) []byte {
	payload, err := avro.MustParse(orderV2).Encode(map[string]any{"id": id, "currency": "EUR"})
	if err != nil {
		log.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, 2), payload...)
}

// exampleServices starts a registry with both versions, and a broker with four records.
func exampleServices() (registry string, brokers []string, stop func()) {
	fake := srfake.New()
	fake.SeedSchema("orders-value", 1, 1, sr.Schema{Schema: orderV1})
	fake.SeedSchema("orders-value", 2, 2, sr.Schema{Schema: orderV2})
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders", "dlq.billing.orders"))
	if err != nil {
		log.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("orders"), kgo.DisableClientMetrics())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, r := range []*kgo.Record{
		{Key: []byte("a"), Value: exampleOrder(1)}, {Key: []byte("b"), Value: []byte("plain text")},
		{Key: []byte("c"), Value: exampleOrder(3)}, {Key: []byte("a")},
	} {
		if err := client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			log.Fatal(err)
		}
	}
	return fake.URL(), cluster.ListenAddrs(), func() {
		cluster.Close()
		fake.Close()
	}
}
