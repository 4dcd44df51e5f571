package harness

import (
	"context"

	"github.com/ksim-dev/ksim/harness/backend"
)

// Provider lends a Kafka to a scenario. The release func gives it back.
type Provider interface {
	Acquire(ctx context.Context) (k backend.Kafka, release func(), err error)
}

// Fresh starts a Kafka for each scenario and stops it after that: for backends
// that cost next to nothing, so that scenarios cannot disturb each other.
func Fresh(start func(context.Context) (backend.Kafka, error)) Provider { return fresh(start) }

type fresh func(context.Context) (backend.Kafka, error)

func (f fresh) Acquire(ctx context.Context) (backend.Kafka, func(), error) {
	k, err := f(ctx)
	if err != nil {
		return nil, nil, err
	}
	return k, func() { _ = k.Close() }, nil // nothing depends on how a throw-away broker ends
}

// Shared lends the same Kafka to all; topics and groups keep scenarios apart.
func Shared(k backend.Kafka) Provider { return shared{k} }

type shared struct{ kafka backend.Kafka }

func (s shared) Acquire(context.Context) (backend.Kafka, func(), error) {
	return s.kafka, func() {}, nil
}
