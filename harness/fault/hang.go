package fault

import (
	"context"
	"fmt"

	"github.com/ksim-dev/ksim/harness/sink"
)

// HungEffect never answers one effect of a member.
type HungEffect struct {
	Target string
}

// Name implements Fault.
func (HungEffect) Name() string { return "hung-effect" }

// Doc implements Fault.
func (HungEffect) Doc() string {
	return "The downstream system takes one effect of a member and never answers it, nor ends the connection. Whoever has no limit of its own waits for ever, heartbeats and all."
}

// Member implements Fault.
func (f HungEffect) Member() string { return f.Target }

// Inject implements Fault.
func (f HungEffect) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	since := env.Log.Last()
	// The rule stays in force: to take it out would let the effect go on.
	armed := env.Sink.Add(sink.Rule{Member: f.Target, After: midBatch(env.BatchSize), Times: 1, Action: sink.Hang{}})
	if err := awaitHit(ctx, env, armed, tooFew, f.Target); err != nil {
		armed.Remove()
		return "", err
	}
	hung, err := openEffect(ctx, env, since, f.Target)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the effect %s (%s) of %s is not answered", hung.Where(), hung.Message, hung.Who()), nil
}
