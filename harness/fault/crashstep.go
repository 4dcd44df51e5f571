package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/tap"
)

// Step is a moment in the life of a member: a call that is under way.
type Step string

// The steps, in the order in which a member goes through them.
const (
	StepJoin         Step = "join"          // the group has answered its JoinGroup (KIP-848: its first heartbeat)
	StepSync         Step = "sync"          // its SyncGroup has not reached the group (KIP-848: the heartbeat after the first)
	StepSyncAnswer   Step = "sync-answer"   // the group has answered that
	StepFetched      Step = "fetched"       // the broker has answered its Fetch
	StepEffect       Step = "effect"        // the K-th effect of a batch has not reached the downstream system
	StepBeforeCommit Step = "before-commit" // its commit has not reached the broker
	StepAfterCommit  Step = "after-commit"  // the broker has applied its commit
	StepLeave        Step = "leave"         // asked to stop (SIGTERM), it leaves, which the group has not heard
)

// CrashAt kills a member exactly while the call of a step is held, and starts it again.
type CrashAt struct {
	Step Step
	// Target is the member; "" for join and sync is a new one. A member that runs already
	// joins and syncs in a rebalance that a new member causes.
	Target string
	// K is which effect of a batch, from 1; Middle and Last are counted by the batch size. For a commit
	// it is which commit that covers new work; 0 is the first.
	K int
}

// Values of CrashAt.K beside numbers from 1.
const (
	Middle = 0
	Last   = -1
)

// Name implements Fault.
func (f CrashAt) Name() string {
	name := "crash-at-" + string(f.Step)
	switch {
	case f.Step == StepEffect && f.K == Middle:
		return name + "-middle"
	case f.Step == StepEffect && f.K < 0:
		return name + "-last"
	case f.K > 0 && (f.Step == StepEffect || f.K > 1):
		return fmt.Sprintf("%s-%d", name, f.K)
	case f.Target == "":
		return name + "-new"
	}
	return name
}

// Doc implements Fault.
func (f CrashAt) Doc() string {
	return "The member is killed (SIGKILL) exactly " + map[Step]string{
		StepJoin:         "when the group has answered its JoinGroup and before it hears of that: the group waits for a member that is dead.",
		StepSync:         "when its SyncGroup is on the way to the group: it knows the generation and has no partitions.",
		StepSyncAnswer:   "when the group has given it partitions and before it hears of that: they are with nobody.",
		StepFetched:      "when the broker has sent it records and before they arrive: nothing of them was begun, all of it goes to another.",
		StepEffect:       "when the K-th effect of a batch is on its way: what came before is done and not committed, and comes again.",
		StepBeforeCommit: "when its work is done and its commit is on the way to the broker: all of it comes again.",
		StepAfterCommit:  "when the broker has applied its commit and before it hears of that: nothing of what was committed may come again.",
		StepLeave:        "when it was asked to stop and its LeaveGroup is on the way: it has committed, and the group does not know that it is gone.",
	}[f.Step] + " It is started again."
}

// Member implements Fault.
func (f CrashAt) Member() string { return f.Target }

// Inject implements Fault.
func (f CrashAt) Inject(ctx context.Context, env *Env) (string, error) {
	switch f.Step {
	case StepEffect:
		return f.atEffect(ctx, env)
	case StepJoin, StepSync, StepSyncAnswer:
		return f.inRebalance(ctx, env)
	case StepFetched, StepBeforeCommit, StepAfterCommit:
		return f.atCall(ctx, env)
	case StepLeave:
		return f.atLeave(ctx, env)
	}
	return "", fmt.Errorf("there is no step %q; the steps are %s", f.Step, steps())
}

// rule is the call at which the member is killed.
func (f CrashAt) rule(env *Env, member string) tap.Rule {
	r := tap.Rule{Name: f.Name(), Member: member, Key: tap.AnyKey, Direction: tap.Request, Times: 1, Action: tap.Hold{}}
	is := func(c tap.Call, keys ...kmsg.Key) bool {
		return slices.Contains(keys, kmsg.Key(c.Key)) && (r.Direction == tap.Request || c.ErrorCode == 0)
	}
	switch f.Step {
	case StepJoin, StepSyncAnswer, StepFetched, StepAfterCommit:
		r.Direction = tap.Response
	}
	switch f.Step {
	case StepJoin:
		beat := f.beat(1)
		r.Match = func(c tap.Call) bool { return is(c, kmsg.JoinGroup) || is(c, kmsg.ConsumerGroupHeartbeat) && beat(c) }
	case StepSync, StepSyncAnswer:
		beat := f.beat(2)
		r.Match = func(c tap.Call) bool { return is(c, kmsg.SyncGroup) || is(c, kmsg.ConsumerGroupHeartbeat) && beat(c) }
	case StepFetched:
		r.Match = func(c tap.Call) bool { return is(c, kmsg.Fetch) && waiting(env.Log, member) > 0 }
	case StepLeave:
		r.Match = func(c tap.Call) bool {
			return is(c, kmsg.LeaveGroup) || is(c, kmsg.ConsumerGroupHeartbeat) && c.Generation < 0
		}
	default:
		r.After = max(f.K, 1) - 1
		r.Match = func(c tap.Call) bool { return is(c, kmsg.OffsetCommit, kmsg.EndTxn) && advances(env.Log, c, env.Blind) }
	}
	return r
}

// beat chooses a heartbeat of KIP-848, which has no calls to join and sync: of a new member the n-th, of
// one that runs the first in a newer epoch, by which it learns of the rebalance. A member has one under way at a time.
func (f CrashAt) beat(n int) func(tap.Call) bool {
	seen, epoch := 0, int32(0)
	return func(c tap.Call) bool {
		if seen++; seen == 1 {
			epoch = c.Generation
		}
		if f.Target == "" {
			return seen == n
		}
		return c.Generation > epoch
	}
}

// atCall kills a member at a call of its daily work.
func (f CrashAt) atCall(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	armed := env.Tap.Add(f.rule(env, f.Target))
	defer armed.Remove()
	call, ok := awaitCall(ctx, armed)
	if !ok {
		return "", Missed("%s made no such call", f.Target)
	}
	note := fmt.Sprintf("%s killed with %s held; %d done and not committed, %d of its records not begun", f.Target, tell(call),
		doneSinceCommit(env.Log, f.Target), waiting(env.Log, f.Target))
	err := Restart(ctx, env, f.Target, call.Incarnation, &note)
	return note, err
}

// tell names a call: "the answer to Fetch".
func tell(c tap.Call) string {
	name := "its " + kmsg.NameForKey(c.Key)
	if c.Direction == tap.Response {
		name = "the answer to " + name
	}
	return name
}

// waiting counts the records that are in a member's partitions and that nobody has begun.
func waiting(log *history.Log, member string) int {
	owner := map[int32]string{}
	open := map[string]int32{}
	for _, e := range log.Events(0) {
		switch e.Kind {
		case history.Assigned:
			owner[e.Partition] = e.Member
		case history.Produced:
			if e.Outcome == history.Acked && e.Poison == "" {
				open[e.Message] = e.Partition
			}
		case history.EffectStarted:
			delete(open, e.Message)
		}
	}
	n := 0
	for _, p := range open {
		if owner[p] == member {
			n++
		}
	}
	return n
}

// inRebalance kills a member while it joins: a new one, or one that runs and is made to by a new one.
func (f CrashAt) inRebalance(ctx context.Context, env *Env) (string, error) {
	joiner := env.Members.Spare()
	victim := f.Target
	if victim == "" {
		victim = joiner
	} else if err := present(env, victim); err != nil {
		return "", err
	}
	armed := env.Tap.Add(f.rule(env, victim))
	defer armed.Remove()
	if err := env.Members.Start(ctx, joiner); err != nil {
		return "", err
	}
	call, ok := awaitCall(ctx, armed)
	if !ok {
		return "", Missed("%s made no such call", victim)
	}
	note := fmt.Sprintf("%s joined; %s killed with %s held (generation %d)", joiner, victim, tell(call), call.Generation)
	err := Restart(ctx, env, victim, call.Incarnation, &note)
	return note, err
}

// atLeave kills a member that leaves.
func (f CrashAt) atLeave(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	if err := awaitEffects(ctx, env, env.Log.Last(), midBatch(env.BatchSize), byMember(f.Target)); err != nil {
		return "", Missed("%s was idle when it was to be stopped: %v", f.Target, err)
	}
	life := env.Life(f.Target)
	armed := env.Tap.Add(f.rule(env, f.Target))
	defer armed.Remove()
	kill, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- env.Members.Interrupt(ctx, f.Target, life, kill) }()
	var call tap.Call
	var err error
	select {
	case call = <-armed.Hit():
		close(kill)
		err = <-ended
	case err = <-ended:
		if err == nil {
			err = Missed("%s overran its deadline, and did not leave", f.Target)
		}
	}
	if err != nil { // the run goes on with all members
		armed.Remove()
		return "", errors.Join(err, env.Members.Start(context.WithoutCancel(ctx), f.Target))
	}
	note := fmt.Sprintf("%s was asked to stop and killed with %s held; %d done and not committed", f.Target, tell(call), doneSinceCommit(env.Log, f.Target))
	if err := env.Members.Start(ctx, f.Target); err != nil {
		return "", err
	}
	return note + settle(ctx, env), nil
}

// steps names the steps, for an error.
func steps() string {
	var names []string
	for _, s := range []Step{StepJoin, StepSync, StepSyncAnswer, StepFetched, StepEffect, StepBeforeCommit, StepAfterCommit, StepLeave} {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}
