package fault

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/sink"
)

// RefusalStorm makes the downstream system refuse everything for a while.
type RefusalStorm struct {
	Status int           // 503 or 429; 0 is 503
	For    time.Duration // 0 is 5 s
	// RetryAfter is what it asks to wait, rounded up to whole seconds; 0 is 2 s. A consumer
	// that does so has few attempts in the storm, whatever its bound on them is.
	RetryAfter time.Duration
}

// Name implements Fault.
func (f RefusalStorm) Name() string {
	if f.Status == http.StatusTooManyRequests {
		return "too-many-requests"
	}
	return "refusal-storm"
}

// Doc implements Fault.
func (f RefusalStorm) Doc() string {
	why := "is out of order (503)"
	if f.Status == http.StatusTooManyRequests {
		why = "is overloaded (429)"
	}
	return "The downstream system " + why + " for a while, refuses every effect and says when to come again (Retry-After). An outage is no poison: nothing may be dead-lettered, skipped or committed."
}

// Member implements Fault.
func (RefusalStorm) Member() string { return "" }

// Inject implements Fault.
func (f RefusalStorm) Inject(ctx context.Context, env *Env) (string, error) {
	length, after, status := cmp.Or(f.For, usualOutage), cmp.Or(f.RetryAfter, 2*time.Second), cmp.Or(f.Status, http.StatusServiceUnavailable)
	since := env.Log.Last()
	if _, err := sinkOutage(ctx, env, sink.Refuse{Status: status, RetryAfter: after}, length); err != nil {
		return "", err
	}
	attempts, early := hurried(env.Log.Events(since), after)
	return fmt.Sprintf("%d attempts were refused with %d for %s; %d of them came again before the %s that Retry-After asked for were over",
		attempts, status, length, early, after) + settle(ctx, env), nil
}

// usualOutage is how long something is away where a fault does not say.
const usualOutage = 5 * time.Second

// sinkOutage has the downstream system act so on every effect for a time, from the first one on, and waits
// until one is done after that. It returns how many effects met it.
func sinkOutage(ctx context.Context, env *Env, action sink.Action, length time.Duration) (met int, err error) {
	armed := env.Sink.Add(sink.Rule{Action: action})
	defer armed.Remove()
	if err := awaitHit(ctx, env, armed, "nobody made an effect"); err != nil {
		return 0, err
	}
	// An attempt that had asked for the rules before this one was there goes on as if it were not, and may be kept
	// from a processor for a while before it begins. So the proof is about the rest of the outage.
	if err := pause(ctx, length/4); err != nil {
		return 0, Missed("the outage did not last for %s: %v", length, err)
	}
	began := env.Log.Last()
	if err := pause(ctx, length-length/4); err != nil {
		return 0, Missed("the outage did not last for %s: %v", length, err)
	}
	for _, e := range env.Log.Events(began) {
		if e.Kind == history.EffectDone && env.startedAfter(e, began) {
			return 0, Missed("the effect %s was done in the outage", e.Where())
		}
	}
	met = armed.Hits()
	over := env.Log.Last()
	armed.Remove()
	if err := awaitEffects(ctx, env, over, 1, anybody); err != nil {
		return 0, Missed("nothing was done after the outage: %v", err)
	}
	return met, nil
}

// startedAfter tells whether an effect began after Seq.
func (env *Env) startedAfter(e history.Event, seq int64) bool { return e.Ref > seq }

// hurried counts the attempts that were refused, and those that were made again by the same life in
// less than the time after.
func hurried(events []history.Event, after time.Duration) (refused, early int) {
	type attempt struct {
		message, member string
		life            int
	}
	last := map[attempt]time.Duration{}
	for _, e := range events {
		at := attempt{e.Message, e.Member, e.Incarnation}
		switch e.Kind {
		case history.EffectRefused:
			if e.Error == "unavailable" && e.Poison == "" {
				refused++
				last[at] = e.At
			}
		case history.EffectStarted:
			if was, ok := last[at]; ok && e.At-was < after*9/10 {
				early++
			}
			delete(last, at)
		}
	}
	return refused, early
}

// SinkHang makes every request of every member hang.
type SinkHang struct {
	For time.Duration // 0 is 5 s
}

// Name implements Fault.
func (SinkHang) Name() string { return "sink-hangs" }

// Doc implements Fault.
func (SinkHang) Doc() string {
	return "The downstream system takes requests and answers none for a while, then all: the members stand still, must stay in their group or find their way back, and lose nothing."
}

// Member implements Fault.
func (SinkHang) Member() string { return "" }

// Inject implements Fault.
func (f SinkHang) Inject(ctx context.Context, env *Env) (string, error) {
	length := cmp.Or(f.For, usualOutage)
	hung, err := sinkOutage(ctx, env, sink.Hang{}, length)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d requests hung, up to %s", hung, length) + settle(ctx, env), nil
}
