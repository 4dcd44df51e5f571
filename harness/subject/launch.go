package subject

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds of waits for the kernel. They are reached only where something is
// wrong (a process in an uninterruptible wait, a machine that stands still).
const (
	killBound  = 10 * time.Second // from SIGKILL to the end of everything
	sweepBound = 5 * time.Second  // for what a leader left behind
	stateBound = 5 * time.Second  // from SIGSTOP or SIGCONT to the new state
	// drainBound is how long the output is read on after the end. It is over at
	// once unless a process that could not be found holds the pipe open.
	drainBound = 500 * time.Millisecond
)

// envLife marks every process of one life of one member: it is unique on the
// machine, and inherited by whatever the subject starts.
const envLife = "KSIM_LIFE"

func newLife() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// inherited is the environment of the harness without its own variables: they
// are addressed to ksim (secrets of a cluster among them), not to the subject.
func inherited() []string {
	var out []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "KSIM_") {
			out = append(out, entry)
		}
	}
	return out
}

// running is one life as processes.
type running struct {
	cmd  *exec.Cmd
	life string
	done chan struct{}

	mu     sync.Mutex
	ended  bool    // the leader is about to be reaped: its ids are no longer its own
	killed bool    // by Kill
	doomed victims // of Kill
	exit   Exit    // set before done is closed
}

// launch starts cmd, whose path, arguments, environment and folder are set.
func launch(ctx context.Context, cmd *exec.Cmd, logPath string) (Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("subject: not started: %w", context.Cause(ctx))
	}
	log, err := createLog(logPath)
	if err != nil {
		return nil, err
	}
	// A pipe of our own, for with cmd.Stdout set to a writer Wait would wait
	// for every process that inherited it.
	read, write, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("subject: make a pipe for the output: %w", err), log.Close())
	}
	r := &running{cmd: cmd, life: newLife(), done: make(chan struct{})}
	cmd.Env = append(cmd.Env, envLife+"="+r.life)
	cmd.Stdout, cmd.Stderr = write, write // and stdin nil is /dev/null
	cmd.SysProcAttr = ownAttributes()
	started := make(chan error, 1)
	go r.live(ctx, log, read, started)
	err = <-started
	// From now on the write end belongs to the subject alone.
	if closeErr := write.Close(); err == nil && closeErr != nil {
		err = errors.Join(closeErr, r.Kill())
	}
	if err != nil {
		<-r.done
		return nil, err
	}
	return r, nil
}

// live is the life of an instance from start to end.
//
// The parent-death signal is sent when the thread that forked ends, not when
// the process does. So one goroutine locks its thread, starts the leader, and
// keeps the thread until the leader has ended.
func (r *running) live(ctx context.Context, log *logFile, read *os.File, started chan<- error) {
	defer close(r.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := r.cmd.Start(); err != nil {
		started <- errors.Join(err, read.Close(), log.Close())
		return
	}
	pid := r.cmd.Process.Pid
	guardErr := theGuard.add(pid, r.life)
	if guardErr != nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // not started, then
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		buffer := make([]byte, 64<<10)
		for {
			n, err := read.Read(buffer)
			_, _ = log.Write(buffer[:n])
			if err != nil {
				return // the end, or the deadline set below
			}
		}
	}()
	unbind := context.AfterFunc(ctx, func() { _ = r.Kill() })
	defer unbind()
	started <- guardErr
	awaitEnd(pid)
	r.mu.Lock()
	killed, doomed := r.killed, r.doomed
	r.mu.Unlock()
	left, sweepErr := sweep(pid, r.life, doomed)
	theGuard.remove(r.life)
	r.mu.Lock()
	r.ended = true
	killed = killed || r.killed
	r.mu.Unlock()
	waitErr := r.cmd.Wait()
	_ = read.SetReadDeadline(time.Now().Add(drainBound)) // pipes have deadlines
	<-copied
	exit := exitOf(r.cmd.ProcessState, waitErr)
	if left > 0 && !killed {
		exit.Leftovers = left
		_, _ = fmt.Fprintf(log, "\n[ksim: the leader (pid %d) ended and left %d processes behind; they were killed]\n", pid, left)
	}
	exit.Tail = log.Tail()
	exit.Err = errors.Join(exit.Err, sweepErr, logError(log.Close()), read.Close())
	r.exit = exit
}

func logError(err error) error {
	if err != nil {
		return fmt.Errorf("the log is not complete: %w", err)
	}
	return nil
}

func exitOf(state *os.ProcessState, err error) Exit {
	if state == nil {
		return Exit{Code: -1, Err: fmt.Errorf("how it ended is not known: %w", err)}
	}
	exit := Exit{Code: state.ExitCode()}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Signal = status.Signal().String()
	}
	return exit
}

// PID implements Instance.
func (r *running) PID() int { return r.cmd.Process.Pid }

// Done implements Instance.
func (r *running) Done() <-chan struct{} { return r.done }

// Exit implements Instance.
func (r *running) Exit() Exit {
	select {
	case <-r.done:
		return r.exit
	default:
		return Exit{}
	}
}

// Terminate implements Instance.
func (r *running) Terminate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("subject: send SIGTERM to process %d: %w", r.PID(), err)
	}
	return nil
}

// Kill implements Instance.
func (r *running) Kill() error {
	r.mu.Lock()
	if !r.ended {
		r.killed = true
		// Descendants first: once their parent is dead nothing but the mark in
		// their environment tells whose they are. live sweeps up the rest.
		relatives := relatives(r.PID(), r.life)
		doomed := victims{}
		for _, pid := range relatives {
			doomed.kill(pid)
		}
		_ = syscall.Kill(-r.PID(), syscall.SIGKILL) // and those that were forked meanwhile
		r.doomed = doomed
	}
	r.mu.Unlock()
	bound := time.NewTimer(killBound)
	defer bound.Stop()
	select {
	case <-r.done:
		return nil
	case <-bound.C:
		return fmt.Errorf("subject: process %d has not ended %s after SIGKILL (it may hang in the kernel)", r.PID(), killBound)
	}
}

// Stop implements Instance.
func (r *running) Stop() error { return r.freeze(syscall.SIGSTOP, true) }

// Continue implements Instance.
func (r *running) Continue() error { return r.freeze(syscall.SIGCONT, false) }

func (r *running) freeze(sig syscall.Signal, frozen bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return ErrEnded
	}
	if err := syscall.Kill(-r.PID(), sig); err != nil {
		return fmt.Errorf("subject: send %s to the process group %d: %w", sig, r.PID(), err)
	}
	for _, pid := range relatives(r.PID(), r.life) {
		_ = syscall.Kill(pid, sig) // awaitState tells of those that did not get it
	}
	if err := awaitState(r.PID(), r.life, frozen); err != nil {
		return fmt.Errorf("subject: %s: %w", sig, err)
	}
	if len(relatives(r.PID(), r.life)) == 0 {
		return ErrEnded
	}
	return nil
}
