package subject

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness/reexec"
)

// Func is a consumer written as a Go function. Each member is a process: this
// binary, executed again, so that kill -9 and SIGSTOP are real. The binary must
// call reexec.Main with [Func.Mode] as the first statement of main, and of
// TestMain in tests.
type Func struct {
	// Label names it. It must be unique in the binary.
	Label string
	// Run consumes until ctx ends (SIGTERM, or Terminate in process), then
	// finishes in order and returns nil. Any other error is a crash: it is
	// written to the log, and the exit status is 1.
	Run func(ctx context.Context, env Env) error
	// InProcess runs it as a goroutine of the harness instead: for debuggers and
	// virtual time. Kill can then only cancel the context (with cause
	// ErrKilled), and Stop and Continue are errors.
	InProcess bool
}

// Name implements Subject.
func (f Func) Name() string { return f.Label }

// Mode is what reexec.Main needs to run members of f.
func (f Func) Mode() reexec.Mode {
	return reexec.Mode{Name: "subject/" + f.Label, Run: f.child}
}

// Exit statuses of a member that is a function.
const (
	exitFine   = 0
	exitError  = 1
	exitPanic  = 2 // as Go's own
	exitBadEnv = 3 // started by hand, without its environment
)

// child is the whole life of a member inside its process.
func (f Func) child(ctx context.Context) int {
	env, err := FromEnviron()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", f.Label, err)
		return exitBadEnv
	}
	if err := f.outcome(ctx, env); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", f.Label, err)
		return exitError
	}
	return exitFine
}

// outcome runs f. That it was cancelled after it was asked to end is no error.
func (f Func) outcome(ctx context.Context, env Env) error {
	err := f.Run(ctx, env)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Start implements Subject.
func (f Func) Start(ctx context.Context, env Env, logPath string) (Instance, error) {
	if f.Run == nil || f.Label == "" {
		return nil, errors.New("subject: a Func needs a Label and a Run")
	}
	if f.InProcess {
		return f.startInProcess(ctx, env, logPath)
	}
	cmd, err := reexec.Command(f.Mode().Name)
	if err != nil {
		return nil, fmt.Errorf("subject: cannot start %s: %w", f.Label, err)
	}
	if !reexec.Has(f.Mode().Name) {
		return nil, fmt.Errorf("subject: cannot start %s: pass its Mode() to reexec.Main in main() or TestMain", f.Label)
	}
	cmd.Env = append(inherited(), env.Environ()...)
	cmd.Env = append(cmd.Env, reexec.EnvMode+"="+f.Mode().Name)
	instance, err := launch(ctx, cmd, logPath)
	if err != nil {
		return nil, fmt.Errorf("subject: cannot start %s: %w", f.Label, err)
	}
	return instance, nil
}

// inProcess is one life as a goroutine.
type inProcess struct {
	label  string
	cancel context.CancelCauseFunc
	done   chan struct{}

	mu     sync.Mutex
	killed bool
	exit   Exit
}

func (f Func) startInProcess(ctx context.Context, env Env, logPath string) (Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("subject: not started: %w", context.Cause(ctx))
	}
	log, err := createLog(logPath)
	if err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(log, "%s runs in the process of the harness: what it prints is printed there\n", f.Label)
	// The end of ctx is a kill, as it is for a process.
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	p := &inProcess{label: f.Label, cancel: cancel, done: make(chan struct{})}
	stop := context.AfterFunc(ctx, p.kill)
	go func() {
		defer close(p.done)
		defer stop()
		defer cancel(nil)
		code, err := f.guarded(inner, env)
		if err != nil {
			_, _ = fmt.Fprintf(log, "%s: %v\n", f.Label, err)
		}
		exit := Exit{Code: code, Tail: log.Tail()}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.killed {
			exit.Err = errors.New("it runs in the harness' own process: it was asked to end at once, not killed with SIGKILL")
		}
		exit.Err = errors.Join(exit.Err, logError(log.Close()))
		p.exit = exit
	}()
	return p, nil
}

// guarded keeps a panic of the subject from ending the harness.
func (f Func) guarded(ctx context.Context, env Env) (code int, err error) {
	defer func() {
		if r := recover(); r != nil {
			code, err = exitPanic, fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	if err := f.outcome(ctx, env); err != nil {
		return exitError, err
	}
	return exitFine, nil
}

// PID implements Instance: there is none.
func (p *inProcess) PID() int { return 0 }

// Terminate implements Instance: it ends the context.
func (p *inProcess) Terminate() error { p.cancel(context.Canceled); return nil }

func (p *inProcess) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
	default:
		p.killed = true
		p.cancel(ErrKilled)
	}
}

// Kill implements Instance. The function sees ErrKilled as the cause of its
// context; nothing can make it return.
func (p *inProcess) Kill() error {
	p.kill()
	bound := time.NewTimer(killBound)
	defer bound.Stop()
	select {
	case <-p.done:
		return nil
	case <-bound.C:
		return fmt.Errorf("subject: %s has not returned %s after its context ended; run it as a process (InProcess false), which can be killed", p.label, killBound)
	}
}

// Stop implements Instance: it cannot be done.
func (p *inProcess) Stop() error { return p.unsupported() }

// Continue implements Instance: it cannot be done.
func (p *inProcess) Continue() error { return p.unsupported() }

func (p *inProcess) unsupported() error {
	return fmt.Errorf("subject: %s runs in the harness' own process, which cannot be frozen; run it as a process (InProcess false)", p.label)
}

// Done implements Instance.
func (p *inProcess) Done() <-chan struct{} { return p.done }

// Exit implements Instance.
func (p *inProcess) Exit() Exit {
	select {
	case <-p.done:
		return p.exit
	default:
		return Exit{}
	}
}
