package fault

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/sink"
	"github.com/ksim-dev/ksim/harness/workload"
)

// RebalanceDuringRetry makes the group rebalance while a member waits for its next
// attempt at a record.
type RebalanceDuringRetry struct {
	Target string
	// Leaver is the member that is stopped; "" lets one more join.
	Leaver string
}

// Name implements Fault.
func (RebalanceDuringRetry) Name() string { return "rebalance-during-retry" }

// Doc implements Fault.
func (RebalanceDuringRetry) Doc() string {
	return fmt.Sprintf("One record is refused %d times (503), the first time with Retry-After: %d, and while the member waits for its next attempt at it the group rebalances. "+
		"Whoever has the partition then goes on, in order; the attempts of one member add up.", refusals, int(retryAfter.Seconds()))
}

// Member implements Fault.
func (f RebalanceDuringRetry) Member() string { return f.Target }

const (
	// refusals of the one record in all.
	refusals = 3
	// retryAfter keeps a member that obeys from trying again before the group has
	// rebalanced. One that does not is met by a refusal all the same.
	retryAfter = 2 * time.Second
)

// Inject implements Fault.
func (f RebalanceDuringRetry) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	since := env.Log.Last()
	healthy := func(e workload.Entry) bool { return e.Poison == workload.Healthy }
	first := env.Sink.Add(sink.Rule{
		Member: f.Target, Match: healthy, After: midBatch(env.BatchSize), Times: 1,
		Action: sink.Refuse{Status: http.StatusServiceUnavailable, RetryAfter: retryAfter},
	})
	defer first.Remove()
	if err := awaitHit(ctx, env, first, tooFew, f.Target); err != nil {
		return "", err
	}
	refused, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		return e.Kind == history.EffectRefused && e.Member == f.Target && e.Poison == string(workload.Healthy)
	})
	if err != nil {
		return "", Missed("the refusal never showed in the history: %v", err)
	}
	more := env.Sink.Add(sink.Rule{
		Match: func(e workload.Entry) bool { return e.ID == refused.Message }, Times: refusals - 1,
		Action: sink.Refuse{Status: http.StatusServiceUnavailable},
	})
	defer more.Remove()
	note, wait, err := rebalance(ctx, env, f.Target, f.Leaver)
	if err != nil {
		return "", err
	}
	told := env.Log.Last()
	if err := wait(); err != nil {
		return "", err
	}
	settled := settle(ctx, env)
	// Proof: the record was tried again after its member had joined anew, or had been told at least. What becomes of it
	// then is for the consumer to decide: done, or put aside.
	again, err := env.Log.Await(ctx, refused.Seq, func(e history.Event) bool {
		return e.Kind == history.EffectStarted && e.Message == refused.Message
	})
	switch {
	case err != nil:
		return "", Missed("nobody tried %s again: %v", refused.Where(), err)
	case again.Seq <= told && !joined(env.Log, refused, again):
		return "", Missed("%s tried %s again before it heard of the rebalance, though it was asked to wait %s", again.Who(), refused.Where(), retryAfter)
	}
	_, err = env.Log.Await(ctx, again.Seq, func(e history.Event) bool {
		return e.Message == refused.Message && (e.Kind == history.EffectDone || e.Kind == history.DeadLettered)
	})
	if err != nil {
		return "", Missed("%s came to no end: %v", refused.Where(), err)
	}
	return fmt.Sprintf("%s while %s waited for its next attempt at %s (%s), which %s made", note, f.Target, refused.Where(), refused.Message, again.Who()) + settled, nil
}

// joined tells whether the member of an effect has joined anew between it and another one.
func joined(log *history.Log, from, to history.Event) bool {
	for _, e := range log.Events(from.Seq) {
		if e.Kind == history.Joining && e.Member == from.Member && e.Seq < to.Seq {
			return true
		}
	}
	return false
}
