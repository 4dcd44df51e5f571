package consumer

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Two batches of a partition without an order stop half-way when it is revoked,
// the one with the lower offsets first. The hole that it leaves below what the
// other has done is filled all the same, and all that is done is committed.
func TestDrainFillsAHoleBehindAnotherBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Order, cfg.BatchSize = Unordered, 2
		second := make(chan struct{})
		p, _, _ := testPartition(&cfg, Each(func(ctx context.Context, r *kgo.Record) error {
			if stopping := Stopping(ctx); stopping != nil {
				<-stopping // so each batch does one record, and no more
			}
			if r.Offset == 2 {
				<-second
			}
			return nil
		}))
		if err := p.deliver([]*kgo.Record{{Offset: 0}, {Offset: 1}, {Offset: 2}, {Offset: 3}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.drain()
		synctest.Wait() // the first batch has done 0 and given 1 back
		close(second)
		synctest.Wait() // the second has done 2 and given 3 back
		<-p.drained
		s, ok := p.snapshot()
		p.mu.Lock()
		high := p.track.high
		p.mu.Unlock()
		if !ok || s.offset != high {
			t.Errorf("%d would be committed, though %d is done", s.offset, high-1)
		}
		p.fence(errShutdown)
	})
}
