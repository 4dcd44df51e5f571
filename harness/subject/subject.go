// Package subject runs what is tested: a consumer in any language as an
// operating system process ([Process]), or a Go function ([Func]), which runs
// in a process of its own too, so that kill -9 is real.
//
// A [Subject] is started once for each life of each member of the group; what
// it must know it reads from its environment ([Env]). An [Instance] is one such
// life. Its process group, and every process it started, ends with it: with its
// leader, with [Instance.Kill], and, on Linux, with the harness itself, even if
// that is killed with SIGKILL (see [GuardMode]).
//
// The package needs a Unix. Where it is not Linux there is no /proc and no
// parent-death signal: children that leave their process group are not found.
package subject

import (
	"context"
	"errors"
)

// Subject is a consumer that can be started as often as the group has members.
type Subject interface {
	// Name says what runs, for people: the command or the label.
	Name() string
	// Start starts one life of one member and returns once it runs, or with
	// the reason why it cannot. Its output goes to logPath, whose folder is
	// made; the file is bounded (see [LogHead]). When ctx ends the instance
	// is killed.
	Start(ctx context.Context, env Env, logPath string) (Instance, error)
}

// Instance is one life of one member. Its methods may be called by several
// goroutines.
type Instance interface {
	// PID is the process id of the leader, 0 if it runs inside the harness.
	PID() int
	// Terminate asks for an orderly end: SIGTERM to the leader alone, as
	// Kubernetes does. It does not wait. It is nil after the end.
	Terminate() error
	// Kill ends the whole process group, and every descendant that can be
	// found, with SIGKILL, and waits until they are gone (10 s at most). It is
	// nil after the end.
	Kill() error
	// Stop freezes all processes of the instance with SIGSTOP. It returns
	// once the kernel reports all of them as stopped, or with an error.
	Stop() error
	// Continue thaws them, and returns once they are no longer stopped.
	Continue() error
	// Done is closed when the leader and everything that it left behind has
	// ended and the log is complete.
	Done() <-chan struct{}
	// Exit tells how it ended. It is the zero value before Done.
	Exit() Exit
}

// Exit tells how an instance ended.
type Exit struct {
	// Code is the exit status of the leader, -1 if a signal ended it.
	Code int
	// Signal that ended the leader, in the words of the system ("killed",
	// "terminated"), or "".
	Signal string
	// Err is set where Code and Signal do not tell the truth: a function in
	// process was only asked to end, or processes could not be killed.
	Err error
	// Tail holds the last lines that it wrote (20 at most).
	Tail string
	// Leftovers counts the processes that outlived the leader of an instance
	// which ended without Kill. They have been killed.
	Leftovers int
}

// ErrKilled is the cause (context.Cause) of the context of a function in
// process after Kill. Such a function should return at once, and commit nothing.
var ErrKilled = errors.New("killed by the harness")

// ErrEnded is the error of signals for an instance that ended before.
var ErrEnded = errors.New("subject: it has ended")
