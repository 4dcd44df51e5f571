// Package fault is what goes wrong in a scenario: one fault a file, each a
// value with its settings, none with a clock or a dice of its own. A fault proves that it
// happened; one that cannot says so with [Missed], and the scenario is unknown.
package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/schemas"
	"github.com/ksim-dev/ksim/harness/sink"
	"github.com/ksim-dev/ksim/harness/tap"
)

// Fault is one thing that goes wrong. Inject does it, waits until it is done and
// returns one line that tells what happened: who, where, when. Its error
// is from Missed if the fault could not be made to happen (the scenario is then
// unknown); any other is a failure of the harness.
type Fault interface {
	Name() string   // as in the docs: crash-mid-batch
	Doc() string    // one or two sentences
	Member() string // its target; "" if it has none
	Inject(ctx context.Context, env *Env) (string, error)
}

// Members is what a fault can do to the members of the group. Every method
// waits until the thing is done.
type Members interface {
	// Live names the members that run, in order of their names.
	Live() []string
	// Start starts the next incarnation of a member, or a new member.
	Start(ctx context.Context, member string) error
	// Stop sends SIGTERM and waits; past the deadline of a graceful stop it kills.
	Stop(ctx context.Context, member string) error
	// Interrupt sends SIGTERM to one life of a member and, as soon as kill is closed, SIGKILL; the
	// broker is not told of that. ErrNotRunning if it ended by itself before.
	Interrupt(ctx context.Context, member string, incarnation int, kill <-chan struct{}) error
	// Spare names a member that has never run.
	Spare() string
	// Kill sends SIGKILL to the whole process group of one life of a member. The broker is not told.
	Kill(ctx context.Context, member string, incarnation int) error
	// Evict removes a dead or frozen member from its group in its name, so
	// that nobody has to wait for its session to expire.
	Evict(ctx context.Context, member string) error
	// Release makes room for the next life of a dead member: it is evicted, but
	// for a static member, which keeps its place for that.
	Release(ctx context.Context, member string) error
	Freeze(ctx context.Context, member string, incarnation int) error // SIGSTOP
	Thaw(ctx context.Context, member string, incarnation int) error   // SIGCONT
	// Starve leaves one life of a member without memory, calls starving, waits until the kernel has
	// killed it, and returns how many of its processes the kernel says it has killed for that. A
	// member that ends so is started again like any that ends by itself.
	Starve(ctx context.Context, member string, incarnation int, starving func()) (kills int, err error)
	// AwaitStable waits until the live members own all partitions and are
	// all in the newest generation.
	AwaitStable(ctx context.Context) error
}

// Env is what a fault works with.
type Env struct {
	Log     *history.Log
	Members Members
	Sink    *sink.Sink
	Tap     *tap.Tap
	Brokers Brokers
	Topics  Topics

	// Blind: the subject makes no effects at the sink, and is judged by other evidence.
	// What works by effects then goes by commits, or is missed at once.
	Blind bool

	DeadLetters DeadLetterTopic
	Registry    *schemas.Proxy   // nil where the scenario has no schemas
	Schemas     *schemas.Encoder // likewise

	BatchSize      int
	SessionTimeout time.Duration
	// AutoCommit is the longest auto-commit interval to outwait: a client that
	// commits by the clock is caught only if its clock ticks while a batch is
	// half done. 5 s is the default of librdkafka and of the Java client.
	AutoCommit time.Duration
	// Bound limits one fault, and each wait in it.
	Bound time.Duration
}

var errMissed = errors.New("the fault did not happen")

// ErrNotRunning is what Members answers for a member that has ended by itself.
// The subject is to blame for that, not the harness: the fault is missed.
var ErrNotRunning = errors.New("it does not run")

// Missed makes the error of a fault that could not be made to happen.
func Missed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMissed, fmt.Sprintf(format, args...))
}

// Run injects f and writes its begin and its end to the history. An error is a
// failure of the harness; a missed fault is in the history, where the check
// faults-happened finds it.
func Run(ctx context.Context, env *Env, f Fault) error {
	if t, ok := f.(Together); ok {
		return t.run(func(each Fault) error { return Run(ctx, env, each) })
	}
	var late error
	if d, ok := f.(delayed); ok {
		bounded, cancel := context.WithTimeout(ctx, env.Bound)
		late = d.Await(bounded, env)
		cancel()
	}
	began := env.Log.Append(history.Event{Kind: history.FaultBegan, Fault: f.Name(), Member: f.Member()})
	bounded, cancel := context.WithTimeout(ctx, env.Bound)
	defer cancel()
	note, err := "", late
	if late == nil {
		note, err = f.Inject(bounded, env)
	}
	end := history.Event{Kind: history.FaultEnded, Fault: f.Name(), Member: f.Member(), Ref: began.Seq, Outcome: history.Happened, Note: note}
	switch {
	case err == nil:
	case errors.Is(err, errMissed), errors.Is(err, ErrNotRunning), errors.Is(err, ErrCannot):
		end.Outcome, end.Note = history.Missed, err.Error()
		err = nil
	case ctx.Err() == nil && bounded.Err() != nil:
		end.Outcome, end.Note = history.Missed, fmt.Sprintf("not done within %s: %v", env.Bound, err)
		err = nil
	default:
		end.Outcome, end.Note = history.Missed, err.Error()
	}
	env.Log.Append(end)
	if err != nil {
		return fmt.Errorf("fault %s: %w", f.Name(), err)
	}
	return nil
}

// settle waits until the group is whole again. That it is not is no failure
// of the fault: the history tells, and the drain that follows judges.
func settle(ctx context.Context, env *Env) string {
	bounded, cancel := context.WithTimeout(ctx, env.Bound/2)
	defer cancel()
	if err := env.Members.AwaitStable(bounded); err != nil {
		return "; the group was not whole again: " + err.Error()
	}
	return ""
}

// sameLife tells whether e is of the life of a member that made x.
func sameLife(e, x history.Event) bool { return e.Member == x.Member && e.Incarnation == x.Incarnation }

// blind is why a fault that works at the sink cannot happen to a subject that does not call it; nil if it does.
func blind(env *Env) error {
	if env.Blind {
		return Missed("it works at the sink, and this subject makes no effects there: it is judged by other evidence")
	}
	return nil
}

// present is an error from Missed for a member that does not run: nothing it is waited for will come.
func present(env *Env, member string) error {
	if !slices.Contains(env.Members.Live(), member) {
		return Missed("member %s does not run", member)
	}
	return nil
}
