package consumer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestStallStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		p, _, o := testPartition(&cfg, func(context.Context, Batch) error { time.Sleep(time.Hour); return nil })
		if err := p.deliver(records(0, 1, "")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(cfg.StallTimeout + time.Second)
		synctest.Wait()
		o.mu.Lock()
		if !errors.Is(o.stopped, ErrStalled) {
			t.Errorf("stopped: %v", o.stopped)
		}
		o.mu.Unlock()
		p.fence(o.stopped)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
	})
}

// A drain does not wait for a call that has stalled, nor for what waits behind it
// in its lane, but for all else, and what that has done is not lost.
func TestDrainLeavesOutWhatHasStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Order, cfg.BatchSize, cfg.HandlerTimeout, cfg.StallTimeout = OrderKey, 1, 0, time.Minute
		release := make(chan struct{})
		p, e, o := testPartition(&cfg, func(_ context.Context, b Batch) error {
			switch string(b.Records[0].Key) {
			case "stuck":
				<-release
			case "slow":
				time.Sleep(50 * time.Second)
			}
			return nil
		})
		for _, recs := range [][]*kgo.Record{records(0, 1, "fine"), records(1, 2, "stuck"), records(3, 2, "slow")} {
			if err := p.deliver(recs); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(61 * time.Second) // the second slow one runs
		synctest.Wait()
		if o.mu.Lock(); !errors.Is(o.stopped, ErrStalled) {
			t.Errorf("stopped: %v", o.stopped)
		}
		o.mu.Unlock()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if !drainAll(ctx, ctx, []*partition{p}, errShutdown) {
			t.Error("it waits for the stalled call")
		}
		if took := time.Since(start); took != 39*time.Second {
			t.Errorf("the drain took %v, the slow call had 39 s to go", took)
		}
		if snap, ok := p.snapshot(); !ok || snap.offset != 1 {
			t.Errorf("to commit is %d, want 1, up to the stalled batch", snap.offset)
		}
		if s := e.vitals.calls.status(time.Now()); s.Running != 1 || s.Stalled != 1 || s.StalledAt.Offset != 1 {
			t.Errorf("%+v", s)
		}
		close(release) // too late to matter, early enough to be counted right
		synctest.Wait()
		if p.mu.Lock(); p.stuck != 0 || p.running != 0 {
			t.Errorf("%d stuck, %d running", p.stuck, p.running)
		}
		p.mu.Unlock()
		p.fence(errShutdown)
	})
}
