package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// The configuration is a file under version control; what differs between places
// comes from the environment.
func ExampleLoadConfig() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "consumer.yaml")
	if err := os.WriteFile(path, []byte(`
brokers: ${KAFKA_BROKERS:-127.0.0.1:9092}
topics: [invoices]
group: billing
order: key
retry: {attempts: 8, max: 30s}
`), 0o600); err != nil {
		log.Print(err)
		return
	}
	cfg, err := consumer.LoadConfig(path)
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println(cfg.Brokers, cfg.Order, cfg.Retry.Attempts, cfg.BatchSize)
	// Output: [127.0.0.1:9092] key 8 100
}

// Everything that is wrong is told at once.
func ExampleParseConfig() {
	_, err := consumer.ParseConfig([]byte(`
brokers: [kafka:9092]
topics: [invoices]
group: billing
batch_size: 50
retry:
  attempts: 0
  max: 10
`))
	fmt.Println(err)
	// Output:
	// line 5: batch_size: there is no such field; batch-size is meant?
	// line 7: retry.attempts: 0 is less than 1
	// line 8: retry.max: 10 has no unit: write 10s for seconds, 10ms for milliseconds
}

// A record that no attempt will make better is poison at once.
func ExamplePermanent() {
	handler := consumer.Each(func(_ context.Context, r *kgo.Record) error {
		var order struct{ ID int }
		if err := json.Unmarshal(r.Value, &order); err != nil {
			return consumer.Permanent(err)
		}
		return nil
	})
	err := handler(context.Background(), consumer.Batch{Records: []*kgo.Record{{Value: []byte(`{"ID": 1}`)}, {Value: []byte("oops")}}})
	for _, o := range consumer.Outcomes(err, 2) {
		fmt.Println(o.Kind)
	}
	// Output:
	// done
	// permanent
}

// While the database is down no record is to blame, and none ends as poison.
func ExampleUnavailable() {
	errDown := errors.New("database is down")
	save := func(context.Context, []byte) error { return errDown }
	handler := consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		err := save(ctx, r.Value)
		if errors.Is(err, errDown) {
			return consumer.Unavailable(err)
		}
		return err
	})
	err := handler(context.Background(), consumer.Batch{Records: []*kgo.Record{{}}})
	fmt.Println(consumer.Outcomes(err, 1)[0].Kind)
	// Output: unavailable
}

// A system that says when to come again is taken at its word.
func ExampleRetryAfter() {
	call := func(context.Context, []byte) (status int, retryAfter time.Duration) {
		return http.StatusTooManyRequests, 3 * time.Second
	}
	handler := consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		switch status, wait := call(ctx, r.Value); status {
		case http.StatusOK:
			return nil
		case http.StatusTooManyRequests:
			return consumer.RetryAfter(consumer.Unavailable(errors.New("too many requests")), wait)
		default:
			return fmt.Errorf("status %d", status)
		}
	})
	fmt.Println(handler(context.Background(), consumer.Batch{Records: []*kgo.Record{{}}}))
	// Output: record 0 of the batch: too many requests
}

// A test of a handler asks what its error means to the consumer.
func ExampleOutcomes() {
	err := consumer.FailedAt(1, consumer.Permanent(errors.New("no such customer")))
	for i, o := range consumer.Outcomes(err, 3) {
		fmt.Println(i, o.Kind)
	}
	// Output:
	// 0 done
	// 1 permanent
	// 2 untried
}
