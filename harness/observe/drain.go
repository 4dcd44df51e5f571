package observe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// drainInterval is how often the broker is asked whether a group has drained: it has no
// event for that.
const drainInterval = 50 * time.Millisecond

// Drained is how waiting for a drain ended.
type Drained string

// The ways it ends.
const (
	// DrainedAll: every partition is committed to its last record.
	DrainedAll Drained = "drained"
	// DrainStalled: nothing has happened for the stall bound.
	DrainStalled Drained = "stalled"
	// DrainOverran: things still happened, but the whole bound is used up: a
	// slow consumer, or one that goes round in circles.
	DrainOverran Drained = "overran"
)

// Drain is the answer of AwaitDrained.
type Drain struct {
	Outcome Drained
	Waited  time.Duration
	// Idle is how long ago the last progress was seen.
	Idle time.Duration
	// Behind holds the partitions that are not committed to their end.
	Behind map[int32]Position
}

// AwaitDrained waits until the group has committed every partition to its last record,
// until nothing has happened for the time stall, or until the deadline of ctx,
// whichever comes first. None of these is an error; ctx being cancelled is,
// and so is a deadline at which the broker has not answered for over
// 5 seconds, because then nobody can tell.
//
// Progress is a change of a committed offset, or an event of the log by which a
// member gets on: its start, an assignment, an attempt at an effect and its end, a commit that
// was accepted, a dead letter.
func AwaitDrained(ctx context.Context, lag *Lag, stall time.Duration) (Drain, error) {
	began := time.Now()
	w := drainWatch{lag: lag, seen: lag.cfg.Log.Last(), answered: began, progress: began, looked: map[int32]look{}}
	return w.await(ctx, began, stall)
}

func (w *drainWatch) await(ctx context.Context, began time.Time, stall time.Duration) (Drain, error) {
	for {
		err := w.look(ctx)
		if err == nil && time.Since(w.progress) >= settled {
			w.leftovers(ctx)
		}
		now := time.Now()
		d := Drain{Waited: now.Sub(began), Idle: now.Sub(w.progress), Behind: w.behind()}
		switch {
		case err == nil && len(d.Behind) == 0:
			d.Outcome = DrainedAll
			return d, nil
		case errors.Is(ctx.Err(), context.Canceled):
			return d, fmt.Errorf("wait for the group to drain: %w", ctx.Err())
		case err == nil && d.Idle >= stall:
			d.Outcome = DrainStalled
			return d, nil
		case ctx.Err() != nil && now.Sub(w.answered) > sampleTimeout+drainInterval:
			return d, fmt.Errorf("wait for the group to drain: the broker has not answered for %s: %w",
				now.Sub(w.answered).Round(time.Millisecond), errors.Join(ctx.Err(), w.err))
		case ctx.Err() != nil:
			d.Outcome = DrainOverran
			return d, nil
		}
		pause(ctx, drainInterval)
	}
}

// drainWatch is what AwaitDrained remembers from one look to the next.
type drainWatch struct {
	lag      *Lag
	seen     int64 // Seq of the last event looked at
	last     map[int32]Position
	answered time.Time // when the broker last answered
	err      error     // why it did not since, before ctx ended
	progress time.Time // when progress was last seen

	looked map[int32]look // into the logs of partitions that are not committed to their end
}

// look is what was found in a log between a position and its end.
type look struct {
	at    Position
	empty bool // no record is left to read, though offsets are
}

// settled is for how long commits must stand still before the log itself is asked what is left.
const settled = 500 * time.Millisecond

// leftovers looks into the partitions that are not committed to their end: their last offsets may
// be of control records, or of transactions that were aborted, which no client commits past that does not
// see them.
func (w *drainWatch) leftovers(ctx context.Context) {
	for partition, p := range w.behind() {
		if w.looked[partition].at == p {
			continue
		}
		once, cancel := context.WithTimeout(ctx, sampleTimeout)
		records, err := w.lag.anything(once, partition, p)
		cancel()
		if err != nil {
			return // it is asked again
		}
		w.looked[partition] = look{p, !records}
	}
}

// look makes a sample and notes whether there was progress.
func (w *drainWatch) look(ctx context.Context) error {
	once, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	now, err := w.lag.Once(once)
	for _, e := range w.lag.cfg.Log.Events(w.seen) {
		w.seen = e.Seq
		if getsOn(e) {
			w.progress = time.Now()
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			w.err = err
		}
		return err
	}
	for partition, p := range now {
		if before, ok := w.last[partition]; ok && before.Committed != p.Committed {
			w.progress = time.Now()
		}
	}
	w.last, w.answered, w.err = now, time.Now(), nil
	return nil
}

// behind returns the partitions not yet committed to their end by the newest sample.
func (w *drainWatch) behind() map[int32]Position {
	behind := make(map[int32]Position)
	for partition, p := range w.last {
		if p.Behind() > 0 && w.looked[partition] != (look{p, true}) {
			behind[partition] = p
		}
	}
	return behind
}

// getsOn tells whether an event shows a member at work.
func getsOn(e history.Event) bool {
	switch e.Kind {
	case history.EffectStarted, history.EffectDone, history.EffectRefused, history.DeadLettered,
		history.MemberStarted, history.MemberReady, history.Assigned:
		return true
	case history.Committed:
		return e.Outcome == history.Accepted
	default:
		return false
	}
}
