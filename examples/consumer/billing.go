package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// order is the value of a record.
type order struct {
	Customer string `json:"customer"`
	Cents    int64  `json:"cents"`
}

// bills returns the handler: each order is a bill, posted to url.
func bills(url string) consumer.Handler {
	return consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		o, err := parse(r.Value)
		if err != nil {
			return consumer.Permanent(err) // it will be no better next time
		}
		return post(ctx, url, o, fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset))
	})
}

func parse(value []byte) (order, error) {
	var o order
	if err := json.Unmarshal(value, &o); err != nil {
		return o, fmt.Errorf("not an order: %w", err)
	}
	if o.Customer == "" || o.Cents <= 0 {
		return o, errors.New("not an order: it has no customer, or no amount")
	}
	return o, nil
}

// post makes a bill. It may be asked for more than once, since the consumer
// promises at least once: the billing system knows a repeat by its id.
func post(ctx context.Context, url string, o order, id string) error {
	body, err := json.Marshal(o)
	if err != nil {
		return consumer.Permanent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return consumer.Fatal(err) // the URL is wrong: no order will get through
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", id)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return consumer.Unavailable(err) // the order is not to blame
	}
	defer func() { _ = resp.Body.Close() }()
	switch failed := fmt.Errorf("the billing system answers %s", resp.Status); {
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return consumer.RetryAfter(consumer.Unavailable(failed), time.Duration(seconds)*time.Second)
	case resp.StatusCode < 500:
		return consumer.Permanent(failed)
	default:
		return failed // tried again, and put aside after the last attempt
	}
}
