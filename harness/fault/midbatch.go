package fault

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/tap"
)

// RebalanceMidBatch makes the group rebalance while a member stands in the middle of
// a batch.
type RebalanceMidBatch struct {
	Target string
	// Leaver is the member that is stopped; "" lets one more join.
	Leaver string
}

// Name implements Fault.
func (f RebalanceMidBatch) Name() string {
	if f.Leaver != "" {
		return "leave-mid-batch"
	}
	return "join-mid-batch"
}

// Doc implements Fault.
func (f RebalanceMidBatch) Doc() string {
	what := "one more member has joined"
	if f.Leaver != "" {
		what = "another member has left (SIGTERM)"
	}
	return "The answer to an effect in the middle of a batch is held until " + what +
		" and the member that waits has been told of the rebalance. What it gives up it finishes first, and commits."
}

// Member implements Fault.
func (f RebalanceMidBatch) Member() string { return f.Target }

// Inject implements Fault.
func (f RebalanceMidBatch) Inject(ctx context.Context, env *Env) (string, error) {
	armed, held, err := holdInsideBatch(ctx, env, f.Target, midBatch(env.BatchSize))
	if err != nil {
		return "", err
	}
	defer armed.Remove()
	if err := awaitMore(ctx, env, held); err != nil {
		return "", err
	}
	repeats := doneSinceCommit(env.Log, f.Target)
	note, wait, err := rebalance(ctx, env, f.Target, f.Leaver)
	if err != nil {
		return "", err
	}
	// A member that does not wait for what is in hand gives the partition up now. One that does
	// shows it by doing nothing, which only time can tell.
	gave := "it went on holding it"
	bounded, cancel := context.WithTimeout(ctx, reaction)
	defer cancel()
	_, err = env.Log.Await(bounded, held.Seq, func(e history.Event) bool {
		return sameLife(e, held) && (e.Kind == history.Revoked || e.Kind == history.Lost || e.Kind == history.MemberEnded) && e.Partition == held.Partition
	})
	if err == nil {
		gave = "it gave the partition up before that effect was done"
	}
	armed.Remove()
	if err := wait(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s while %s stood at its effect %s (%s), with %d done and not committed; %s",
		note, f.Target, held.Where(), held.Message, repeats, gave) + settle(ctx, env), nil
}

// reaction is how long a member that was told of a rebalance may take to act on it. Seen
// in runs: a few milliseconds.
const reaction = time.Second

// rebalance makes the group rebalance, by the leaver that is stopped or, without
// one, by a member that joins, and returns when target has been told. wait waits until
// what it has started is done; target must be free to answer by then.
func rebalance(ctx context.Context, env *Env, target, leaver string) (note string, wait func() error, err error) {
	since := env.Log.Last()
	done := make(chan error, 1)
	moved := func(e history.Event) bool { return e.Kind == history.Left && e.Member == leaver }
	if leaver == "" {
		joiner := env.Members.Spare()
		if err := env.Members.Start(ctx, joiner); err != nil {
			return "", nil, err
		}
		done <- nil
		note = joiner + " joined"
		moved = func(e history.Event) bool { return e.Kind == history.Joining && e.Member == joiner }
	} else {
		if err := present(env, leaver); err != nil {
			return "", nil, err
		}
		go func() { done <- stopForGood(ctx, env, leaver, since) }()
		note = leaver + " left"
	}
	if _, err := env.Log.Await(ctx, since, moved); err != nil {
		return "", nil, Missed("the group did not begin to rebalance: %v", err)
	}
	if err := awaitHeartbeats(ctx, env, target); err != nil {
		return "", nil, Missed("%s was not told of the rebalance: %v", target, err)
	}
	return note, func() error { return <-done }, nil
}

// stopForGood stops a member and, if it ended without leaving its group, as a static member
// does, has it evicted, so that nobody waits for its session to end.
func stopForGood(ctx context.Context, env *Env, member string, since int64) error {
	if err := env.Members.Stop(ctx, member); err != nil {
		return err
	}
	for _, e := range env.Log.Events(since) {
		if e.Kind == history.Left && e.Member == member {
			return nil
		}
	}
	return env.Members.Evict(ctx, member)
}

// awaitMore waits until more than a batch stands in the log behind an effect that is
// held. A member that fetches ahead has it in memory two heartbeats later: its fetch was waiting for that.
func awaitMore(ctx context.Context, env *Env, held history.Event) error {
	_, err := env.Log.Await(ctx, 0, func(e history.Event) bool {
		return e.Kind == history.Produced && e.Outcome == history.Acked && e.Partition == held.Partition && e.Offset > held.Offset+int64(env.BatchSize)
	})
	if err == nil {
		err = awaitHeartbeats(ctx, env, held.Member)
	}
	if err != nil {
		return Missed("no more came for %s while its effect was held: %v", held.Who(), err)
	}
	return nil
}

// awaitHeartbeats waits until a member has the answers to two heartbeats. The second
// was asked after the first was answered, and so tells of all that had happened by now.
func awaitHeartbeats(ctx context.Context, env *Env, member string) error {
	armed := env.Tap.Add(tap.Rule{
		Name: "heartbeats", Member: member, Key: tap.AnyKey, Direction: tap.Response, After: 1, Times: 1,
		Match: func(c tap.Call) bool {
			return c.Key == kmsg.Heartbeat.Int16() || c.Key == kmsg.ConsumerGroupHeartbeat.Int16()
		},
	})
	defer armed.Remove()
	if _, ok := awaitCall(ctx, armed); !ok {
		return ctx.Err()
	}
	return nil
}

// StopMidBatch asks a member to stop in the middle of a batch.
type StopMidBatch struct {
	Target string
}

// Name implements Fault.
func (StopMidBatch) Name() string { return "stop-mid-batch" }

// Doc implements Fault.
func (StopMidBatch) Doc() string {
	return "The answer to an effect in the middle of a batch is held while the member is asked to stop (SIGTERM), then given. The member commits what it has done, and leaves; nothing of it comes again."
}

// Member implements Fault.
func (f StopMidBatch) Member() string { return f.Target }

// Inject implements Fault.
func (f StopMidBatch) Inject(ctx context.Context, env *Env) (string, error) {
	armed, held, err := holdInsideBatch(ctx, env, f.Target, midBatch(env.BatchSize))
	if err != nil {
		return "", err
	}
	defer armed.Remove()
	repeats := doneSinceCommit(env.Log, f.Target)
	done := make(chan error, 1)
	go func() { done <- env.Members.Stop(ctx, f.Target) }()
	stopping := func(e history.Event) bool { return sameLife(e, held) && e.Kind == history.MemberStopping }
	if _, err := env.Log.Await(ctx, held.Seq, stopping); err != nil {
		return "", Missed("%s was not asked to stop: %v", f.Target, err)
	}
	// The process sees the signal when it is scheduled: after a heartbeat that was asked later it has.
	bounded, cancel := context.WithTimeout(ctx, reaction)
	defer cancel()
	_ = awaitHeartbeats(bounded, env, f.Target) // none come from one that has begun to leave, which is as good
	armed.Remove()
	if err := <-done; err != nil {
		return "", err
	}
	return fmt.Sprintf("%s was asked to stop while it stood at its effect %s (%s), with %d done and not committed", f.Target, held.Where(), held.Message, repeats) + settle(ctx, env), nil
}
