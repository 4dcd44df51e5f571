package workload

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Pacer is the schedule of an open loop: what is due when does not depend on
// how fast anything before it went. That is what makes a stall visible in the
// latency of all messages that it delays.
type Pacer struct {
	Rate float64 // messages/s; 0 makes everything due at once
}

// Due is when message i (from 0) is to be sent, from the start of the schedule.
func (p Pacer) Due(i int) time.Duration {
	if p.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(i) / p.Rate * float64(time.Second))
}

// slice is the shortest sleep of the pacer. At high rates it sends what has
// become due in a slice at once, instead of waking for each message.
const slice = 250 * time.Microsecond

// pace calls send for each message when it is due, counted from start, never
// before. With a rate of 0 a message is due when it is handed over. It returns the
// longest time a message was handed over after it was due.
func pace(ctx context.Context, msgs iter.Seq[Message], p Pacer, start time.Time, send func(Message, time.Duration)) (late time.Duration, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	i, woke := 0, time.Duration(0)
	for m := range msgs {
		now := time.Since(start)
		due := now
		if p.Rate > 0 {
			due = p.Due(i)
		}
		if due > now {
			timer.Reset(max(due, woke+slice) - now)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			now = time.Since(start)
			woke = now
		}
		if ctx.Err() != nil {
			return late, fmt.Errorf("the workload was stopped after %d messages: %w", i, ctx.Err())
		}
		late = max(late, now-due)
		send(m, due)
		i++
	}
	return late, nil
}
