package fault

import (
	"context"
	"fmt"

	"github.com/ksim-dev/ksim/harness/history"
)

// byMember matches effects of one member.
func byMember(member string) func(history.Event) bool {
	return func(e history.Event) bool { return e.Member == member }
}

// Join starts one more member while messages flow.
type Join struct {
	Target string // "" for the first name that is free
}

// Name implements Fault.
func (Join) Name() string { return "member-joins" }

// Doc implements Fault.
func (Join) Doc() string {
	return "One more member joins the group while messages flow, and takes partitions over from those that work on them."
}

// Member implements Fault.
func (f Join) Member() string { return f.Target }

// Inject implements Fault.
func (f Join) Inject(ctx context.Context, env *Env) (string, error) {
	if f.Target == "" {
		f.Target = env.Members.Spare()
	}
	since := env.Log.Last()
	if err := env.Members.Start(ctx, f.Target); err != nil {
		return "", err
	}
	_, err := env.Log.Await(ctx, since, func(e history.Event) bool { return e.Kind == history.Assigned && e.Member == f.Target })
	if err != nil {
		return "", Missed("%s joined and was given no partition: %v", f.Target, err)
	}
	note := f.Target + " joined and was given partitions" + settle(ctx, env)
	if err := awaitEffects(ctx, env, since, 1, byMember(f.Target)); err != nil {
		return "", Missed("%s joined and made no effect: %v", f.Target, err)
	}
	return note, nil
}

// Leave stops a member (SIGTERM) while messages flow.
type Leave struct {
	Target string
}

// Name implements Fault.
func (Leave) Name() string { return "member-leaves" }

// Doc implements Fault.
func (Leave) Doc() string {
	return "A member is asked to stop (SIGTERM) while messages flow; the others take its partitions over."
}

// Member implements Fault.
func (f Leave) Member() string { return f.Target }

// Inject implements Fault.
func (f Leave) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	if err := awaitEffects(ctx, env, env.Log.Last(), midBatch(env.BatchSize), byMember(f.Target)); err != nil {
		return "", Missed("%s was idle when it was to be stopped: %v", f.Target, err)
	}
	if err := env.Members.Stop(ctx, f.Target); err != nil {
		return "", err
	}
	return f.Target + " was stopped while it worked" + settle(ctx, env), nil
}

// RollingRestart stops and starts every member in turn, as a deployment does.
type RollingRestart struct{}

// Name implements Fault.
func (RollingRestart) Name() string { return "rolling-restart" }

// Doc implements Fault.
func (RollingRestart) Doc() string {
	return "Every member in turn is stopped (SIGTERM) in the middle of its work and started again, as a deployment does."
}

// Member implements Fault.
func (RollingRestart) Member() string { return "" }

// Inject implements Fault.
func (RollingRestart) Inject(ctx context.Context, env *Env) (string, error) {
	note := ""
	members := env.Members.Live()
	for _, m := range members {
		// A member may own nothing (more members than partitions): it is
		// restarted all the same, but the group must be at work.
		if err := awaitWork(ctx, env); err != nil {
			return "", Missed("nothing was processed before the restart of %s: %v", m, err)
		}
		if err := env.Members.Stop(ctx, m); err != nil {
			return "", err
		}
		if err := env.Members.Start(ctx, m); err != nil {
			return "", err
		}
		note += settle(ctx, env)
	}
	return fmt.Sprintf("%d members were restarted one after the other%s", len(members), note), nil
}
