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

// Pace calls send for n messages when they are due, counted from start and never before; with n
// below 0 it goes on until ctx ends. It waits for send, and then catches up. A
// nil due makes a message due when it is handed over. It returns the longest time
// that a message was handed over after it was due, and an error if ctx ended before the last message.
func Pace(ctx context.Context, due func(i int) time.Duration, n int, start time.Time, send func(i int, due time.Duration)) (late time.Duration, err error) {
	c := newPaceClock(ctx, due, start)
	defer c.timer.Stop()
	for i := 0; n < 0 || i < n; i++ {
		at, err := c.next()
		if err != nil {
			return c.late, err
		}
		send(i, at)
	}
	return c.late, nil
}

// pace is Pace for messages that are there already.
func pace(ctx context.Context, msgs iter.Seq[Message], p Pacer, start time.Time, send func(Message, time.Duration)) (late time.Duration, err error) {
	due := p.Due
	if p.Rate <= 0 {
		due = nil
	}
	c := newPaceClock(ctx, due, start)
	defer c.timer.Stop()
	for m := range msgs {
		at, err := c.next()
		if err != nil {
			return c.late, err
		}
		send(m, at)
	}
	return c.late, nil
}

// paceClock waits for one message after the other.
type paceClock struct {
	ctx   context.Context
	due   func(i int) time.Duration // nil for no schedule
	start time.Time
	timer *time.Timer

	i    int           // the message that is next
	woke time.Duration // end of the last sleep
	late time.Duration // the worst so far
}

func newPaceClock(ctx context.Context, due func(i int) time.Duration, start time.Time) *paceClock {
	timer := time.NewTimer(0)
	<-timer.C
	return &paceClock{ctx: ctx, due: due, start: start, timer: timer}
}

// next returns when the next message is due, as soon as it is.
func (c *paceClock) next() (due time.Duration, err error) {
	now := time.Since(c.start)
	due = now
	if c.due != nil {
		due = c.due(c.i)
	}
	if due > now {
		c.timer.Reset(max(due, c.woke+slice) - now)
		select {
		case <-c.timer.C:
		case <-c.ctx.Done():
		}
		now = time.Since(c.start)
		c.woke = now
	}
	if err := c.ctx.Err(); err != nil {
		return 0, fmt.Errorf("the workload was stopped after %d messages: %w", c.i, err)
	}
	c.late = max(c.late, now-due)
	c.i++
	return due, nil
}
