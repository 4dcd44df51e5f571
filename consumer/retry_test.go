package consumer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/ksim-dev/ksim/consumer"
)

// A record that waits to be tried again holds up its own key, and neither other keys
// nor the only worker.
func TestRetryHoldsItsKeyOnly(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 400)
	cfg := k.config()
	cfg.Order, cfg.Concurrency = consumer.OrderKey, 1
	e := newEffects()
	var up atomic.Bool
	r := k.start(cfg, func(_ context.Context, b consumer.Batch) error {
		if string(b.Records[0].Key) == "k4" && !up.Load() {
			return consumer.Unavailable(errors.New("not yet"))
		}
		for _, r := range b.Records {
			e.add(r, string(r.Key))
		}
		return nil
	})
	k.until("all other keys", func() bool { return e.distinct() == 380 })
	up.Store(true)
	k.until("the commit of all", func() bool { return k.committed() == 400 })
	r.finish()
	if e.wrong != "" || e.repeated() != 0 {
		t.Fatal(e.wrong, e.repeated())
	}
}
