package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/tap"
)

// ShortFreeze freezes a member for less than its session timeout, several times.
type ShortFreeze struct {
	Target string
	Times  int     // how often; 0 is once
	Share  float64 // of the session timeout; 0 is a half
}

// Name implements Fault.
func (ShortFreeze) Name() string { return "short-freeze" }

// Doc implements Fault.
func (ShortFreeze) Doc() string {
	return "A member is stopped (SIGSTOP) in the middle of a batch for a part of its session timeout and continued (SIGCONT), several times, as by a busy machine or a long collection of garbage: " +
		"it need not lose its place, and nothing may be lost."
}

// Member implements Fault.
func (f ShortFreeze) Member() string { return f.Target }

// Inject implements Fault.
func (f ShortFreeze) Inject(ctx context.Context, env *Env) (string, error) {
	share := f.Share
	if share <= 0 {
		share = 0.5
	}
	length := time.Duration(share * float64(env.SessionTimeout))
	since := env.Log.Last()
	times := max(f.Times, 1)
	for range times {
		armed, held, err := holdMidBatch(ctx, env, f.Target, midBatch(env.BatchSize))
		if err != nil {
			return "", err
		}
		thaw, err := frozen(ctx, env, held)
		armed.Remove()
		if err != nil {
			return "", err
		}
		err = pause(ctx, length)
		if e := thaw(); e != nil {
			return "", e
		}
		if err != nil {
			return "", Missed("%s was not frozen for %s: %v", f.Target, length, err)
		}
		// The answer that waited for it is read, and another effect comes: it goes on.
		next := func(e history.Event) bool { return e.Kind == history.EffectStarted && e.Member == f.Target }
		if _, err := env.Log.Await(ctx, env.Log.Last(), next); err != nil {
			return "", Missed("%s did nothing any more after it was continued: %v", f.Target, err)
		}
	}
	kept := "it kept its place"
	for _, e := range env.Log.Events(since) {
		if e.Member == f.Target && (e.Kind == history.Lost || e.Kind == history.Told) {
			kept = "it lost its place in the group"
		}
	}
	return fmt.Sprintf("%s was frozen %d times for %s of its session of %s; %s", f.Target, times, length, env.SessionTimeout, kept) + settle(ctx, env), nil
}

// frozen freezes the life of a member that made held. thaw lets it go on, once; whoever freezes defers
// it, since the run must go on with members that run.
func frozen(ctx context.Context, env *Env, held history.Event) (thaw func() error, err error) {
	if err := env.Members.Freeze(ctx, held.Member, held.Incarnation); err != nil {
		return nil, err
	}
	return sync.OnceValue(func() error {
		return env.Members.Thaw(context.WithoutCancel(ctx), held.Member, held.Incarnation)
	}), nil
}

// Zombies freezes several members at once until others have taken their partitions over.
type Zombies struct {
	Targets []string // at least one member must be left
}

// Name implements Fault.
func (Zombies) Name() string { return "zombies" }

// Doc implements Fault.
func (Zombies) Doc() string {
	return "Several members are stopped (SIGSTOP) at once, each in the middle of a batch, until their sessions have expired and another member works on their partitions, then continued (SIGCONT) at once."
}

// Member implements Fault.
func (f Zombies) Member() string { return strings.Join(f.Targets, ",") }

// Inject implements Fault.
func (f Zombies) Inject(ctx context.Context, env *Env) (string, error) {
	var stopped []history.Event // the effect at which each was frozen
	var thaws []func() error
	thaw := func() error {
		errs := make([]error, len(thaws))
		for i, one := range thaws {
			errs[i] = one()
		}
		return errors.Join(errs...)
	}
	defer func() { _ = thaw() }()
	since := env.Log.Last()
	for _, member := range f.Targets {
		armed, held, err := holdMidBatch(ctx, env, member, midBatch(env.BatchSize))
		if err != nil {
			return "", err
		}
		one, err := frozen(ctx, env, held)
		armed.Remove()
		if err != nil {
			return "", err
		}
		stopped, thaws = append(stopped, held), append(thaws, one)
	}
	var notes []string
	for _, held := range stopped {
		how, err := awaitTakeover(ctx, env, since, held, f.Targets...)
		if err != nil {
			return "", err
		}
		notes = append(notes, fmt.Sprintf("%s stopped at %s; %s", held.Member, held.Where(), how))
	}
	thawing := env.Log.Last()
	if err := thaw(); err != nil {
		return "", err
	}
	for _, held := range stopped {
		if _, err := env.Log.Await(ctx, thawing, learns(held)); err != nil {
			return "", Missed("%s was continued and never heard that it is out of the group: %v", held.Member, err)
		}
	}
	return strings.Join(notes, "; ") + "; all were continued, and learned of it" + settle(ctx, env), nil
}

// learns matches what shows that a life knows that it is out of the group.
func learns(held history.Event) func(history.Event) bool {
	return func(e history.Event) bool {
		return sameLife(e, held) && (e.Kind == history.Told || e.Kind == history.Joining || e.Kind == history.MemberEnded)
	}
}

// FrozenAtCommit freezes a member with its commit on the way to the broker, which it reaches
// only after another member has taken over.
type FrozenAtCommit struct {
	Target string
}

// Name implements Fault.
func (FrozenAtCommit) Name() string { return "zombie-at-commit" }

// Doc implements Fault.
func (FrozenAtCommit) Doc() string {
	return "A member is stopped (SIGSTOP) while its commit is on the way. The commit reaches the broker after its session has expired and another member works on its partitions; then it is continued (SIGCONT). " +
		"The broker must refuse the commit, and the member must find its way back."
}

// Member implements Fault.
func (f FrozenAtCommit) Member() string { return f.Target }

// Inject implements Fault.
func (f FrozenAtCommit) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	armed := env.Tap.Add(tap.Rule{
		Name: f.Name(), Member: f.Target, Key: tap.AnyKey, Times: 1, Action: tap.Hold{}, Direction: tap.Request,
		// In a transaction it is the offsets that the group refuses, not its end: which, once they were
		// taken along, would keep others from the partition until it comes (KIP-447).
		Match: func(c tap.Call) bool {
			return (c.Key == kmsg.OffsetCommit.Int16() || c.Key == kmsg.TxnOffsetCommit.Int16()) && advances(env.Log, c, env.Blind)
		},
	})
	defer armed.Remove()
	call, ok := awaitCall(ctx, armed)
	if !ok {
		return "", Missed("%s sent no commit for its work", f.Target)
	}
	since := env.Log.Last()
	held := history.Event{Member: f.Target, Incarnation: call.Incarnation, Topic: call.Commits[0].Topic, Partition: call.Commits[0].Partition, Offset: call.Commits[0].Offset}
	thaw, err := frozen(ctx, env, held)
	if err != nil {
		return "", err
	}
	defer func() { _ = thaw() }()
	how, err := awaitTakeover(ctx, env, since, held, f.Target)
	if err != nil {
		return "", err
	}
	late := env.Log.Last()
	armed.Release()
	answer, err := env.Log.Await(ctx, late, func(e history.Event) bool {
		return e.Kind == history.Committed && sameLife(e, held) && e.Partition == held.Partition
	})
	if err != nil {
		return "", Missed("the late commit of %s was not answered: %v", f.Target, err)
	}
	thawing := env.Log.Last()
	if err := thaw(); err != nil {
		return "", err
	}
	if _, err := env.Log.Await(ctx, thawing, learns(held)); err != nil {
		return "", Missed("%s was continued and never heard that it is out of the group: %v", f.Target, err)
	}
	return fmt.Sprintf("%s stopped with its commit of %s on the way; %s; the commit then reached the broker and was %s %s",
		f.Target, held.Where(), how, answer.Outcome, answer.Error) + settle(ctx, env), nil
}

// awaitCall waits for the first call that a rule acts on.
func awaitCall(ctx context.Context, armed *tap.Armed) (tap.Call, bool) {
	select {
	case call := <-armed.Hit():
		return call, true
	case <-ctx.Done():
		return tap.Call{}, false
	}
}
