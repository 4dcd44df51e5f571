package consumer

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// wait is the back-off after the nth failure in a row (n ≥ 1), at least floor.
// random is in [0, 1).
func (r Retry) wait(n int, floor time.Duration, random float64) time.Duration {
	d := float64(r.Initial) * math.Pow(r.Multiplier, float64(max(n, 1)-1))
	d = min(d, float64(r.Max))
	d += d * r.Jitter * (2*random - 1)
	return max(time.Duration(d), floor)
}

func (r Retry) after(n int, floor time.Duration) time.Duration {
	return r.wait(n, floor, rand.Float64())
}

// pause waits for d; false means that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// signal wakes whoever waits for ch, now or next.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// attemptLog keeps the attempts of records that a partition took away with it,
// so that they are not counted anew if it comes back. What it holds is bounded
// by the records in flight of each partition at its last loss.
type attemptLog struct {
	mu    sync.Mutex
	parts map[topicPartition]map[int64]trial
}

// outstanding is what is known of attempts at records that are not done: those in t,
// and what was known before of records not delivered since. In a transaction those
// before it count as not delivered: it was aborted, or there are none.
func outstanding(t *tracker, before map[int64]trial, transaction bool) map[int64]trial {
	known := make(map[int64]trial)
	for offset, tr := range before {
		if transaction || t.newer(offset) {
			known[offset] = tr
		}
	}
	t.pending(func(e *entry) {
		if e.attempts() > known[e.rec.Offset].attempts {
			known[e.rec.Offset] = e.tried()
		}
	})
	return known
}

// save replaces what is known of a partition by what is outstanding.
func (a *attemptLog) save(tp topicPartition, t *tracker, before map[int64]trial, transaction bool) {
	known := outstanding(t, before, transaction)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(known) == 0 {
		delete(a.parts, tp)
		return
	}
	if a.parts == nil {
		a.parts = make(map[topicPartition]map[int64]trial)
	}
	a.parts[tp] = known
}

// take hands out what is known of a partition and forgets it.
func (a *attemptLog) take(tp topicPartition) map[int64]trial {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.parts[tp]
	delete(a.parts, tp)
	return known
}
