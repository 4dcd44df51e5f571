package fault

import (
	"context"
	"fmt"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/sink"
)

// SlowHandler makes one effect of a member take longer than its session timeout.
type SlowHandler struct {
	Target string
}

// Name implements Fault.
func (SlowHandler) Name() string { return "slow-handler" }

// Doc implements Fault.
func (SlowHandler) Doc() string {
	return "The downstream system takes one and a half session timeouts to answer one effect: a client that heartbeats apart from its handler stays in the group, another is evicted; neither may lose or reorder."
}

// Member implements Fault.
func (f SlowHandler) Member() string { return f.Target }

// Inject implements Fault.
func (f SlowHandler) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	since := env.Log.Last()
	slow := env.SessionTimeout + env.SessionTimeout/2
	armed := env.Sink.Add(sink.Rule{Member: f.Target, After: midBatch(env.BatchSize), Times: 1, Action: sink.Delay{For: slow}})
	defer armed.Remove()
	if err := awaitHit(ctx, env, armed, tooFew, f.Target); err != nil {
		return "", err
	}
	// Proof: the effect that was slowed started, and ended no sooner than that.
	var began history.Event
	end, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		if e.Member != f.Target || e.Ref == 0 || (e.Kind != history.EffectDone && e.Kind != history.EffectDropped) {
			return false
		}
		began = env.Log.Events(e.Ref - 1)[0]
		return e.At-began.At >= slow-slow/10
	})
	if err != nil {
		return "", Missed("no effect of %s took %s: %v", f.Target, slow, err)
	}
	told := "it stayed in the group"
	for _, e := range env.Log.Events(began.Seq) {
		if e.Member == f.Target && (e.Kind == history.Lost || e.Kind == history.Told) {
			told = "it lost its place in the group"
		}
	}
	return fmt.Sprintf("the effect %s of %s took %s; %s", end.Where(), f.Target, (end.At-began.At).Round(1e6), told) + settle(ctx, env), nil
}

// Refusals waits until the downstream system has refused effects, as the
// poison and transient messages of the workload make it do, and counts them.
type Refusals struct {
	Label string `yaml:"-"` // transient-failures or poison
	// Kinds of poison that must each have been met: refused by the sink, or, for what a
	// consumer may find out by itself, dead-lettered or passed over.
	Kinds []string
}

// Name implements Fault.
func (f Refusals) Name() string { return f.Label }

// Doc implements Fault.
func (f Refusals) Doc() string {
	if f.Label == "tombstones" {
		return "Some records have no value: ordinary deletes, and often mistaken for poison."
	}
	if f.Label == "transient-failures" {
		return "The downstream system refuses some records a few times (503) and then takes them."
	}
	return "Some records cannot be processed: undecodable, refused for good (422), oversized; tombstones and passing failures stand between them."
}

// Member implements Fault.
func (Refusals) Member() string { return "" }

// Inject implements Fault.
func (f Refusals) Inject(ctx context.Context, env *Env) (string, error) {
	if err := blind(env); err != nil {
		return "", err
	}
	missing := map[string]bool{}
	for _, k := range f.Kinds {
		missing[k] = true
	}
	poison := map[string]string{} // by message
	_, err := env.Log.Await(ctx, 0, func(e history.Event) bool {
		switch e.Kind {
		case history.EffectRefused:
			delete(missing, e.Poison)
		case history.DeadLettered: // found out by the consumer itself
			delete(missing, poison[e.Message])
		case history.Produced:
			poison[e.Message] = e.Poison
			// A record that a consumer judges by itself never reaches the
			// sink: that it was in the topic is what can be shown.
			if e.Outcome == history.Acked && (e.Poison == "undecodable" || e.Poison == "tombstone") {
				delete(missing, e.Poison)
			}
		}
		return len(missing) == 0
	})
	if err != nil {
		return "", Missed("the downstream system refused nothing of kind %v", keys(missing))
	}
	n := 0
	for _, e := range env.Log.Events(0) {
		if e.Kind == history.EffectRefused {
			n++
		}
	}
	return fmt.Sprintf("met %v; %d attempts were refused so far", f.Kinds, n), nil
}

func keys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
