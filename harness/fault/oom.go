package fault

import (
	"context"
	"fmt"
	"strings"

	"github.com/ksim-dev/ksim/harness/history"
)

// OutOfMemory leaves a member without memory in the middle of a batch, so that the kernel kills it.
type OutOfMemory struct {
	Target string
}

// Name implements Fault.
func (OutOfMemory) Name() string { return "out-of-memory" }

// Doc implements Fault.
func (OutOfMemory) Doc() string {
	return "In the middle of a batch a member is put under a memory limit (cgroup) that is below what it uses: the kernel kills it at the next page it asks for (the OOM killer), " +
		"and it is started again. It needs Linux and a cgroup that ksim may write to."
}

// Member implements Fault.
func (f OutOfMemory) Member() string { return f.Target }

// Inject implements Fault.
func (f OutOfMemory) Inject(ctx context.Context, env *Env) (string, error) {
	armed, held, err := holdInsideBatch(ctx, env, f.Target, midBatch(env.BatchSize))
	if err != nil {
		return "", err
	}
	defer armed.Remove()
	since := env.Log.Last()
	// Where it stands it may need no memory. Once it goes on, it does.
	kills, err := env.Members.Starve(ctx, f.Target, held.Incarnation, armed.Remove)
	if err != nil {
		return "", err
	}
	end, err := env.Log.Await(ctx, since, func(e history.Event) bool { return e.Kind == history.MemberEnded && sameLife(e, held) })
	switch {
	case err != nil:
		return "", Missed("the end of %s is not in the history: %v", f.Target, err)
	case !strings.Contains(end.Error, "killed") || kills == 0:
		return "", Missed("%s ended by itself (%s), and the kernel killed %d of its processes", f.Target, end.Error, kills)
	}
	note := fmt.Sprintf("%s was left without memory at its effect %s; the kernel killed it (oom_kill %d)", f.Target, held.Where(), kills)
	if _, err := env.Log.Await(ctx, end.Seq, startOf(f.Target)); err != nil {
		return "", Missed("%s was not started again: %v", f.Target, err)
	}
	return note + settle(ctx, env), nil
}

// startOf matches the next life of a member.
func startOf(member string) func(history.Event) bool {
	return func(e history.Event) bool { return e.Kind == history.MemberStarted && e.Member == member }
}
