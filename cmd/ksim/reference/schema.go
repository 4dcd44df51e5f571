package reference

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/schema"
)

// decoding puts the schemas of the registry at url before a handler, which sees only records that were
// decoded by them. It posts the bytes that it was given all the same: those are what the sink knows.
func decoding(url string, handler consumer.Handler) (consumer.Handler, error) {
	if url == "" {
		return handler, nil
	}
	registry, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		return nil, fmt.Errorf("reference: KSIM_SCHEMA_REGISTRY_URL: %w", err)
	}
	d, err := schema.New(schema.Config{Registry: registry, Value: schema.Rule{Subject: schema.TopicName}})
	if err != nil {
		return nil, fmt.Errorf("reference: KSIM_SCHEMA_REGISTRY_URL: %w", err)
	}
	return d.Handler(func(ctx context.Context, b consumer.Batch, _ []schema.Value) error { return handler(ctx, b) }), nil
}
