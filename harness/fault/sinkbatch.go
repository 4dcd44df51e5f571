package fault

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/sink"
	"github.com/ksim-dev/ksim/harness/workload"
)

// SlowStart makes the downstream system slow for the first effects of a member that has just started.
type SlowStart struct {
	Target  string
	Effects int           // how many; 0 is a quarter of a batch
	Delay   time.Duration // of each; 0 is 200 ms
}

// Name implements Fault.
func (SlowStart) Name() string { return "slow-start" }

// Doc implements Fault.
func (SlowStart) Doc() string {
	return "A member is stopped (SIGTERM) and started again, and the downstream system answers its first effects slowly, as one with cold caches does: the member must neither lose its place nor skip them."
}

// Member implements Fault.
func (f SlowStart) Member() string { return f.Target }

// Inject implements Fault.
func (f SlowStart) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	delay, effects := cmp.Or(f.Delay, 200*time.Millisecond), cmp.Or(f.Effects, max(env.BatchSize/4, 1))
	if err := env.Members.Stop(ctx, f.Target); err != nil {
		return "", err
	}
	since := env.Log.Last()
	armed := env.Sink.Add(sink.Rule{Member: f.Target, Times: effects, Action: sink.Delay{For: delay}})
	defer armed.Remove()
	if err := env.Members.Start(ctx, f.Target); err != nil {
		return "", err
	}
	began, slow := map[int64]time.Duration{}, 0
	_, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		switch {
		case e.Member != f.Target:
		case e.Kind == history.EffectStarted:
			began[e.Seq] = e.At
		case e.Kind == history.EffectDone && e.At-began[e.Ref] >= delay*9/10:
			slow++
		}
		return slow >= effects
	})
	if err != nil {
		return "", Missed("%d of the first effects of %s were slow, not %d: %v", slow, f.Target, effects, err)
	}
	return fmt.Sprintf("the first %d effects of %s after its start took %s each", effects, f.Target, delay) + settle(ctx, env), nil
}

// PartialBatch lets a batch of effects that a member posts at once go through in part.
type PartialBatch struct {
	Target string
	// Reset: the effects before the one in the middle are applied, and the connection is reset
	// instead of an answer. Otherwise one in the middle is refused, once, and the answer tells the fate of each.
	Reset bool
}

// Name implements Fault.
func (f PartialBatch) Name() string {
	if f.Reset {
		return "batch-cut-short"
	}
	return "partial-batch"
}

// Doc implements Fault.
func (f PartialBatch) Doc() string {
	if f.Reset {
		return "The downstream system applies the first effects of a batch and then resets the connection: the member cannot know how far it came. All that is not known to be done must be done again."
	}
	return "The downstream system refuses one effect of a batch (207 with a fate for each): that one must be tried again, alone or with those after it, and no other may be lost or dead-lettered."
}

// Member implements Fault.
func (f PartialBatch) Member() string { return f.Target }

// Inject implements Fault.
func (f PartialBatch) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	since := env.Log.Last()
	rule := sink.Rule{Member: f.Target, Batch: true, Times: 1, Action: sink.Refuse{Status: http.StatusServiceUnavailable}}
	if f.Reset {
		rule.Action = sink.ResetBefore{}
	}
	// Not the first of a batch: something of it has been applied and is not committed.
	place := &openWork{log: env.Log, member: f.Target, seen: since}
	rule.Match = func(e workload.Entry) bool { open, _ := place.now(e.Partition); return open > 0 }
	armed := env.Sink.Add(rule)
	defer armed.Remove()
	// One that posts none needs not be waited for until the bound.
	work, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_ = awaitEffects(work, env, since, 10*env.BatchSize, byMember(f.Target)) // or it was hit, or the time is over
		stop()
	}()
	if err := awaitHit(work, env, armed, "%s posts no batches of more than one effect", f.Target); err != nil {
		return "", err
	}
	refused, err := env.Log.Await(ctx, since, func(e history.Event) bool { return e.Kind == history.EffectRefused && e.Member == f.Target })
	if err != nil {
		return "", Missed("no effect in a batch of %s was refused: %v", f.Target, err)
	}
	if err := awaitNext(ctx, env, refused, "was refused"); err != nil {
		return "", err
	}
	done, err := env.Log.Await(ctx, refused.Seq, func(e history.Event) bool { return e.Kind == history.EffectDone && e.Message == refused.Message })
	if err != nil {
		return "", Missed("the effect %s, which was refused once, was never done: %v", refused.Where(), err)
	}
	what := "was refused"
	if f.Reset {
		what = "met a reset connection"
	}
	return fmt.Sprintf("the effect %s in a batch of %s %s; it was done %s later", refused.Where(), f.Target, what, (done.At-refused.At).Round(time.Millisecond)) + settle(ctx, env), nil
}
