package fault

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/tap"
)

// CrashMidBatch kills a member between two effects of one batch, after its
// client had the time to commit by the clock, and starts it again.
type CrashMidBatch struct {
	Target string // the member
}

// Name implements Fault.
func (CrashMidBatch) Name() string { return "crash-mid-batch" }

// Doc implements Fault.
func (CrashMidBatch) Doc() string {
	return "The answer to an effect in the middle of a batch is held; once an auto-commit interval has passed, " +
		"or the member has committed past what it did, the member is killed (SIGKILL) and started again."
}

// Member implements Fault.
func (f CrashMidBatch) Member() string { return f.Target }

// Inject implements Fault.
func (f CrashMidBatch) Inject(ctx context.Context, env *Env) (string, error) {
	armed, held, err := holdInsideBatch(ctx, env, f.Target, midBatch(env.BatchSize))
	if err != nil {
		return "", err
	}
	defer armed.Remove()
	commit, ahead, err := outwaitAutoCommit(ctx, env, held)
	if err != nil {
		return "", err
	}
	repeats := doneSinceCommit(env.Log, f.Target)
	note := fmt.Sprintf("%s killed before its effect %s (%s); %d done and not committed", f.Target, held.Where(), held.Message, repeats)
	if ahead {
		note += fmt.Sprintf("; it had committed %d while that effect was not done", commit.Offset)
	}
	err = Restart(ctx, env, f.Target, held.Incarnation, &note)
	return note, err
}

// Restart kills one life of a member, makes room for the next in its group, starts
// that and waits for the group to be whole; where it is not in time, note tells so.
func Restart(ctx context.Context, env *Env, member string, incarnation int, note *string) error {
	if err := env.Members.Kill(ctx, member, incarnation); err != nil {
		return err
	}
	if err := env.Members.Release(ctx, member); err != nil {
		return err
	}
	return revive(ctx, env, member, note)
}

// revive starts the next life of a member that is dead and released.
func revive(ctx context.Context, env *Env, member string, note *string) error {
	if err := env.Members.Start(ctx, member); err != nil {
		return err
	}
	*note += settle(ctx, env)
	return nil
}

// CrashAtCommit kills a member at the moment it commits work that is done.
type CrashAtCommit struct {
	Target string
	// After: the broker has applied the commit and the member is not told.
	// Otherwise the request never reaches the broker.
	After bool `yaml:"-"`
}

// Name implements Fault.
func (f CrashAtCommit) Name() string {
	if f.After {
		return "crash-after-commit"
	}
	return "crash-before-commit"
}

// Doc implements Fault.
func (f CrashAtCommit) Doc() string {
	if f.After {
		return "The member is killed when the broker has applied its commit and before the answer reaches it: nothing of what was committed may come again."
	}
	return "The member is killed when it has done its work and before its commit reaches the broker: all of it must come again."
}

// Member implements Fault.
func (f CrashAtCommit) Member() string { return f.Target }

// Inject implements Fault.
func (f CrashAtCommit) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	// A commit that covers something done since the last one, so that the
	// crash has something to show; a repeated commit of the same offset has not.
	// In a transaction it is not the offsets that are handed in (TxnOffsetCommit), but its end.
	rule := tap.Rule{
		Name: f.Name(), Member: f.Target, Key: tap.AnyKey, Times: 1, Action: tap.Hold{},
		Direction: tap.Request,
		Match: func(c tap.Call) bool {
			return (c.Key == kmsg.OffsetCommit.Int16() || c.Key == kmsg.EndTxn.Int16()) && advances(env.Log, c, env.Blind)
		},
	}
	if f.After {
		rule.Direction = tap.Response
	}
	if err := awaitEffects(ctx, env, env.Log.Last(), midBatch(env.BatchSize), byMember(f.Target)); err != nil {
		return "", Missed("%s made too few effects: %v", f.Target, err)
	}
	armed := env.Tap.Add(rule)
	defer armed.Remove()
	call, ok := awaitCall(ctx, armed)
	if !ok {
		return "", Missed("%s sent no commit for its work", f.Target)
	}
	note := fmt.Sprintf("%s killed with its commit on the way to the broker; %d done and not committed", f.Target, doneSinceCommit(env.Log, f.Target))
	if env.Blind {
		note = fmt.Sprintf("%s killed with its commit on the way to the broker", f.Target)
	}
	if f.After {
		note = fmt.Sprintf("%s killed with its commit applied and the answer withheld", f.Target)
	}
	err := Restart(ctx, env, f.Target, call.Incarnation, &note)
	return note, err
}

// advances tells whether a commit, or the answer to it, covers an effect of the member that no
// earlier commit covered; or, of a subject without effects, any offset.
func advances(log *history.Log, c tap.Call, blind bool) bool {
	if c.ErrorCode != 0 {
		return false
	}
	before := map[int32]int64{} // committed by what came before this commit
	again := map[int32]int{}
	events := log.Events(0)
	for _, e := range events {
		for _, commit := range c.Commits {
			if e.Kind != history.Committed || e.Outcome != history.Accepted || e.Partition != commit.Partition {
				continue
			}
			if e.Offset < commit.Offset {
				before[e.Partition] = max(before[e.Partition], e.Offset)
			} else {
				again[e.Partition]++
			}
		}
	}
	own := 0 // the answer's own event may be in the history by now
	if c.Direction == tap.Response {
		own = 1
	}
	for _, commit := range c.Commits {
		if again[commit.Partition] > own {
			continue
		}
		if blind && commit.Offset > before[commit.Partition] {
			return true
		}
		for _, e := range events {
			if e.Kind == history.EffectDone && e.Member == c.Member && e.Partition == commit.Partition &&
				e.Offset >= before[e.Partition] && e.Offset < commit.Offset {
				return true
			}
		}
	}
	return false
}

// CrashUnderLoad kills a member half-way through a batch, and at once, to measure how much
// comes again.
type CrashUnderLoad struct {
	Target string
}

// Name implements Fault.
func (CrashUnderLoad) Name() string { return "crash-under-load" }

// Doc implements Fault.
func (CrashUnderLoad) Doc() string {
	return "A member is killed in the middle of a batch under full load, at once, and started again: what comes again is the blast radius of its batch size."
}

// Member implements Fault.
func (f CrashUnderLoad) Member() string { return f.Target }

// Inject implements Fault.
func (f CrashUnderLoad) Inject(ctx context.Context, env *Env) (string, error) {
	armed, held, err := holdInsideBatch(ctx, env, f.Target, max(1, env.BatchSize/2))
	if err != nil {
		return "", err
	}
	defer armed.Remove()
	note := fmt.Sprintf("%s killed before its effect %s (%s); %d done and not committed", f.Target, held.Where(), held.Message, doneSinceCommit(env.Log, f.Target))
	err = Restart(ctx, env, f.Target, held.Incarnation, &note)
	return note, err
}
