package fault

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// Zombie freezes a member in the middle of a batch until its session has
// expired and others have taken its partitions over, then thaws it.
type Zombie struct {
	Target string
}

// Name implements Fault.
func (Zombie) Name() string { return "zombie" }

// Doc implements Fault.
func (Zombie) Doc() string {
	return "A member is stopped (SIGSTOP) in the middle of a batch until its session has expired and another member works on its partitions, then continued (SIGCONT). " +
		"It does not know that it is dead: none of its commits may be accepted, and it must find its way back."
}

// Member implements Fault.
func (f Zombie) Member() string { return f.Target }

// Inject implements Fault.
func (f Zombie) Inject(ctx context.Context, env *Env) (string, error) {
	armed, held, err := holdMidBatch(ctx, env, f.Target, midBatch(env.BatchSize))
	if err != nil {
		return "", err
	}
	defer armed.Remove()
	thaw, err := frozen(ctx, env, held)
	if err != nil {
		return "", err
	}
	defer func() { _ = thaw() }()
	since := env.Log.Last()
	armed.Release() // the held effect is applied; its answer waits in the frozen member's socket
	how, err := awaitTakeover(ctx, env, since, held, f.Target)
	if err != nil {
		return "", err
	}
	thawing := env.Log.Last()
	if err := thaw(); err != nil {
		return "", err
	}
	note := fmt.Sprintf("%s stopped at %s; %s; then continued", f.Target, held.Where(), how)
	learned, err := env.Log.Await(ctx, thawing, learns(held))
	if err != nil {
		return "", Missed("%s was continued and never heard that it is out of the group: %v", f.Target, err)
	}
	note += fmt.Sprintf("; it learned of it %s later", (learned.At - env.lastAt(history.MemberThawed, f.Target)).Round(1e6))
	return note + settle(ctx, env), nil
}

// awaitTakeover waits until a member that is none of zombies owns the partition at which the one that
// made held is frozen, and works on it. The session expires on its own; if the broker does not notice
// in three sessions, the member is evicted in its name.
func awaitTakeover(ctx context.Context, env *Env, since int64, held history.Event, zombies ...string) (string, error) {
	taken := func(e history.Event) bool {
		return e.Kind == history.Assigned && !slices.Contains(zombies, e.Member) && e.Partition == held.Partition
	}
	how := "its session expired"
	bounded, cancel := context.WithTimeout(ctx, 3*env.SessionTimeout)
	defer cancel()
	owner, err := env.Log.Await(bounded, since, taken)
	if err != nil {
		how = "its session did not expire, so it was evicted"
		if err := env.Members.Evict(ctx, held.Member); err != nil {
			return "", err
		}
		if owner, err = env.Log.Await(ctx, since, taken); err != nil {
			return "", Missed("nobody took the partitions of %s over: %v", held.Member, err)
		}
	}
	// Past the zombie's own place: only then does a late commit of it take something back.
	err = awaitEffects(ctx, env, owner.Seq, 1, func(e history.Event) bool {
		return !slices.Contains(zombies, e.Member) && e.Partition == held.Partition && e.Offset > held.Offset
	})
	if err != nil {
		return "", Missed("%s took partition %d over and did nothing with it: %v", owner.Member, held.Partition, err)
	}
	return fmt.Sprintf("%s and %s worked on partition %d", how, owner.Who(), held.Partition), nil
}

func (env *Env) lastAt(kind history.Kind, member string) (at time.Duration) {
	for _, e := range env.Log.Events(0) {
		if e.Kind == kind && e.Member == member {
			at = e.At
		}
	}
	return at
}
