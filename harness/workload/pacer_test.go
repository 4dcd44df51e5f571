package workload

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ksim-dev/ksim/harness/workload/rate"
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

// A load generator hands over by any profile, to the nanosecond. A slice is shorter than the gaps here.
func TestPaceKeepsAProfile(t *testing.T) {
	for _, text := range []string{"200/s", "ramp:0/s..1000/s@1s", "steps:100/s@500ms,0/s@5s,1000/s@1s", "spike:10/s,900/s@100ms+100ms every 300ms", "warmup:1s,sine:50/s..500/s@2s"} {
		profile, err := rate.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			const messages = 500
			start, n := time.Now(), 0
			late, err := Pace(t.Context(), profile.Due, messages, start, func(i int, due time.Duration) {
				if at := time.Since(start); i != n || at != due || due != profile.Due(i) {
					t.Errorf("%s: message %d, due %s, handed over after %s as number %d", text, i, due, at, n)
				}
				n++
			})
			if late != 0 || err != nil || n != messages {
				t.Errorf("%s: %d messages, late by %s, error %v", text, n, late, err)
			}
		})
	}
}

// A send that blocks moves no due time: what is behind it is late by what is left of the block.
func TestPaceTellsWhatABlockedSendDelays(t *testing.T) {
	profile, err := rate.Parse("steps:1000/s@20ms,500/s@1s")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		const blocker, blocked = 10, 15 * time.Millisecond
		start := time.Now()
		free := profile.Due(blocker) + blocked
		late, err := Pace(t.Context(), profile.Due, 50, start, func(i int, due time.Duration) {
			want := time.Duration(0)
			if i > blocker {
				want = max(0, free-due)
			}
			if got := time.Since(start) - due; got != want || due != profile.Due(i) {
				t.Errorf("message %d, due %s, is late by %s, want %s", i, due, got, want)
			}
			if i == blocker {
				time.Sleep(blocked)
			}
		})
		if want := free - profile.Due(blocker+1); late != want || err != nil {
			t.Errorf("late by %s, want %s; error %v", late, want, err)
		}
	})
}

func TestPaceGoesOnUntilItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends, err := rate.Parse("steps:10/s@1s,0/s@1s")
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			due  func(int) time.Duration
			want int
		}{"a rate": {Pacer{Rate: 20}.Due, 101}, "a profile that ends in silence": {ends.Due, 10}} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second+time.Millisecond)
			start, n := time.Now(), 0
			late, err := Pace(ctx, c.due, -1, start, func(int, time.Duration) { n++ })
			if n != c.want || late != 0 || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second+time.Millisecond {
				t.Errorf("%s: %d messages in %s, late by %s, error %v", name, n, time.Since(start), late, err)
			}
			cancel()
		}
		n := 0
		late, err := Pace(t.Context(), nil, 1000, time.Now(), func(_ int, due time.Duration) { n++ })
		if n != 1000 || late != 0 || err != nil {
			t.Errorf("without a schedule: %d messages, late by %s, error %v", n, late, err)
		}
	})
}

func sent(f func(i int, due time.Duration)) func(Message, time.Duration) {
	i := -1
	return func(_ Message, due time.Duration) { i++; f(i, due) }
}
