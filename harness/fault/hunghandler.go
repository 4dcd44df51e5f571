package fault

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/sink"
	"github.com/ksim-dev/ksim/harness/workload"
)

// HungHandler gives a member no answer to one effect for longer than the max poll interval.
type HungHandler struct {
	Target string
	Share  float64 // of the max poll interval; 0 is one and a half
}

// Name implements Fault.
func (HungHandler) Name() string { return "hung-handler" }

// Doc implements Fault.
func (HungHandler) Doc() string {
	return "The downstream system answers no attempt of a member at one effect for one and a half max poll intervals; all its other effects go on. " +
		"A client that polls apart from its handler stays in the group, another is thrown out: neither may lose, skip or dead-letter the record."
}

// Member implements Fault.
func (f HungHandler) Member() string { return f.Target }

// Inject implements Fault.
func (f HungHandler) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	share := f.Share
	if share <= 0 {
		share = 1.5
	}
	length := time.Duration(share * float64(env.Log.Header().MaxPollInterval))
	since := env.Log.Last()
	one := &firstRecord{after: midBatch(env.BatchSize)}
	armed := env.Sink.Add(sink.Rule{Member: f.Target, Match: one.match, Action: sink.Hang{}})
	defer armed.Remove()
	if err := awaitHit(ctx, env, armed, tooFew, f.Target); err != nil {
		return "", err
	}
	mine := func(e history.Event) bool { return e.Member == f.Target && e.Message == one.chosen() }
	began, err := env.Log.Await(ctx, since, func(e history.Event) bool { return e.Kind == history.EffectStarted && mine(e) })
	if err == nil {
		err = pause(ctx, length)
	}
	if err != nil {
		return "", Missed("no effect of %s hung for %s: %v", f.Target, length, err)
	}
	attempts, place := 0, "it stayed in the group"
	for _, e := range env.Log.Events(began.Seq - 1) {
		switch {
		case e.Kind == history.EffectStarted && mine(e):
			attempts++
		case e.Kind == history.EffectDone && mine(e):
			return "", Missed("the effect %s of %s was done while it should hang", e.Where(), f.Target)
		case e.Member == f.Target && (e.Kind == history.Lost || e.Kind == history.Told || e.Kind == history.Left):
			place = "it lost its place in the group"
		}
	}
	armed.Remove()
	end, err := env.Log.Await(ctx, began.Seq, func(e history.Event) bool { return e.Kind == history.EffectDone && e.Message == began.Message })
	if err != nil {
		return "", Missed("the effect %s was never done, though nothing hangs any more: %v", began.Where(), err)
	}
	return fmt.Sprintf("%d attempts of %s at its effect %s hung for %s; %s; %s did it after %s",
		attempts, f.Target, began.Where(), length, place, end.Who(), (end.At-began.At).Round(time.Millisecond)) + settle(ctx, env), nil
}

// firstRecord chooses a record, and then matches all attempts at that one.
type firstRecord struct {
	after int // so many attempts pass first

	mu sync.Mutex
	id string
}

func (r *firstRecord) match(e workload.Entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id == "" {
		if r.after > 0 {
			r.after--
			return false
		}
		r.id = e.ID
	}
	return e.ID == r.id
}

func (r *firstRecord) chosen() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}
