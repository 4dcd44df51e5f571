package consumer_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// Attempts are counted on by the member that gets the partition next, in another
// process too: the count goes with the committed offset.
func TestAttemptsGoToTheNextOwner(t *testing.T) {
	k := startKafka(t)
	cfg := k.config()
	cfg.Poison.Topic = letters
	cfg.Retry.Initial, cfg.Retry.Max = 100*time.Millisecond, 100*time.Millisecond
	const bad = 14
	k.produce(0, 100)
	tried := make(chan struct{}, 100)
	handler := consumer.Each(func(_ context.Context, r *kgo.Record) error {
		if string(r.Value) == strconv.Itoa(bad) {
			tried <- struct{}{}
			return errors.New("no")
		}
		return nil
	})
	first := k.start(cfg, handler)
	for range 3 {
		<-tried
	}
	first.finish()
	second := k.start(cfg, handler)
	k.until("the commit of all", func() bool { return k.committed() == 100 })
	second.finish()
	if again := len(tried); again != cfg.Retry.Attempts-3 {
		t.Errorf("the second member tried %d times, want %d", again, cfg.Retry.Attempts-3)
	}
	dead := k.visible(letters, 1)
	for _, h := range dead[0].Headers {
		if h.Key == consumer.HeaderDeliveryCount && string(h.Value) != strconv.Itoa(cfg.Retry.Attempts) {
			t.Errorf("the dead letter counts %s attempts", h.Value)
		}
	}
}
