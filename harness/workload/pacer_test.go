package workload

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestDue(t *testing.T) {
	for _, c := range []struct {
		rate float64
		i    int
		want time.Duration
	}{
		{1000, 0, 0}, {1000, 1, time.Millisecond}, {0.5, 3, 6 * time.Second}, {0, 99, 0}, {-1, 99, 0},
		{100_000, 360_000_000, time.Hour}, // no drift by adding up
	} {
		if got := (Pacer{Rate: c.rate}).Due(c.i); got != c.want {
			t.Errorf("message %d at %v/s: due %s, want %s", c.i, c.rate, got, c.want)
		}
	}
}

// In virtual time the schedule can be checked to the nanosecond.
func TestPaceKeepsTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		late, err := pace(t.Context(), slices.Values(make([]Message, 100)), Pacer{Rate: 100}, start, sent(func(i int, due time.Duration) {
			if at := time.Since(start); at != due || due != time.Duration(i)*10*time.Millisecond {
				t.Errorf("message %d, due %s, handed over after %s", i, due, at)
			}
		}))
		if late != 0 || err != nil {
			t.Errorf("late by %s, error %v", late, err)
		}
	})
}

func TestPaceSendsInSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, wakes, last := time.Now(), 0, time.Duration(-1)
		late, err := pace(t.Context(), slices.Values(make([]Message, 10_000)), Pacer{Rate: 1e6}, start, sent(func(i int, due time.Duration) {
			at := time.Since(start)
			if at < due {
				t.Errorf("message %d came %s too early", i, due-at)
			}
			if at != last {
				wakes, last = wakes+1, at
			}
		}))
		if late > slice || err != nil || wakes > 50 {
			t.Errorf("late by %s with %d wake-ups for 10 ms of messages, error %v", late, wakes, err)
		}
	})
}

// An open loop does not shift its schedule when it is held up: it catches up,
// and tells how late it was.
func TestPaceCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		late, err := pace(t.Context(), slices.Values(make([]Message, 20)), Pacer{Rate: 1000}, start, sent(func(i int, due time.Duration) {
			if due != time.Duration(i)*time.Millisecond {
				t.Errorf("message %d due %s: the schedule moved", i, due)
			}
			if i == 5 {
				time.Sleep(8 * time.Millisecond)
			}
		}))
		if late != 7*time.Millisecond || err != nil {
			t.Errorf("late by %s, want 7ms; error %v", late, err)
		}
		if total := time.Since(start); total != 19*time.Millisecond {
			t.Errorf("took %s", total)
		}
	})
}

func TestPaceStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		n := 0
		_, err := pace(ctx, slices.Values(make([]Message, 100)), Pacer{Rate: 1}, time.Now(), sent(func(int, time.Duration) { n++ }))
		if n != 3 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d messages, error %v", n, err)
		}
		_, err = pace(ctx, slices.Values(make([]Message, 100)), Pacer{}, time.Now(), sent(func(int, time.Duration) { n++ }))
		if n != 3 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a rate: %d messages, error %v", n, err)
		}
	})
}

func sent(f func(i int, due time.Duration)) func(Message, time.Duration) {
	i := -1
	return func(_ Message, due time.Duration) { i++; f(i, due) }
}
