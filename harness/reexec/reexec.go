// Package reexec runs parts of a program as processes of their own by
// executing the same binary again.
//
// A member of a consumer group that is to be killed with SIGKILL must be a
// process. A cleaner that outlives a crash must be one too. Both are code of
// this binary: [Command] starts the binary again with the name of a [Mode] in
// its environment, and [Main], the first statement of main and of TestMain,
// sees the name, runs the mode and exits. Otherwise Main returns at once.
//
//	func main() {
//		reexec.Main(reexec.Mode{Name: "cleaner", Run: clean})
//		… // the program itself
//	}
//
// Arguments given to Command are os.Args[1:] in the child.
package reexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
)

// EnvMode is the environment variable that carries the name of the mode to the
// child. Main removes it before the mode runs, so that processes which the
// mode starts are not taken for modes.
const EnvMode = "KSIM_REEXEC_MODE"

// ExitUnknownMode is the exit status of a child that was asked for a mode which
// it does not know. It is the status of any failure of the harness.
const ExitUnknownMode = 3

// ErrNoMain is the error of Command in a program that never called Main: the
// child would run the whole program again in place of the mode.
var ErrNoMain = errors.New("reexec: this binary cannot start itself in another mode: call reexec.Main first in main(), and in TestMain of a test binary")

// Mode is one thing that this binary can be when it is executed again.
type Mode struct {
	// Name tells modes apart. It must be unique in the binary.
	Name string
	// Run is the mode; it returns the exit status. The context is cancelled by
	// the first SIGTERM or SIGINT. A second one ends the process, so that a
	// mode which does not watch its context can still be ended.
	Run func(ctx context.Context) int
}

// known holds the modes given to Main, nil before. A child has them too: a mode
// may use Command.
var known atomic.Pointer[[]Mode]

// Main runs one of modes and exits if this process was started by [Command].
// Otherwise it returns. It must come before flags are parsed and before
// anything else is started.
func Main(modes ...Mode) {
	known.Store(&modes)
	name, child := os.LookupEnv(EnvMode)
	if !child {
		return
	}
	// The environment is that of this process alone; it cannot be refused.
	_ = os.Unsetenv(EnvMode)
	os.Exit(dispatch(name, modes))
}

func dispatch(name string, modes []Mode) int {
	i := slices.IndexFunc(modes, func(m Mode) bool { return m.Name == name })
	if i < 0 {
		names := make([]string, 0, len(modes))
		for _, m := range modes {
			names = append(names, m.Name)
		}
		list := strings.Join(names, ", ")
		if list == "" {
			list = "none"
		}
		_, _ = fmt.Fprintf(os.Stderr, "reexec: %s asks for the mode %q, which this binary does not have (modes: %s); pass it to reexec.Main, or unset %s\n", EnvMode, name, list, EnvMode)
		return ExitUnknownMode
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	return modes[i].Run(ctx)
}

// Has reports whether Main was called with a mode of this name: whether a
// child would know it.
func Has(mode string) bool {
	modes := known.Load()
	return modes != nil && slices.ContainsFunc(*modes, func(m Mode) bool { return m.Name == mode })
}

// Command returns the command that runs this binary again in the given mode.
// Its environment is that of this process and the name of the mode: append to
// cmd.Env, or keep the variable [EnvMode] when replacing it. The caller sets
// everything else (output, process group) and starts it.
func Command(mode string, args ...string) (*exec.Cmd, error) {
	if known.Load() == nil {
		return nil, ErrNoMain
	}
	if mode == "" {
		return nil, errors.New("reexec: the name of the mode is empty")
	}
	path, err := self()
	if err != nil {
		return nil, fmt.Errorf("reexec: cannot find the binary of this process to start mode %q: %w", mode, err)
	}
	cmd := exec.Command(path, args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), EnvMode+"="+mode)
	return cmd, nil
}

// procSelf names the running binary even after its file was removed or
// replaced, as `go run` does. It is read by the child itself, after the fork.
const procSelf = "/proc/self/exe"

// self returns a path that executes the binary of this process. The real path
// is preferred, for it gives the process its proper name in ps.
func self() (string, error) {
	path, err := os.Executable()
	running, procErr := os.Stat(procSelf)
	if procErr != nil { // no /proc: all we have is the path
		return path, err
	}
	if err != nil {
		return procSelf, nil
	}
	if file, err := os.Stat(path); err == nil && os.SameFile(file, running) {
		return path, nil
	}
	return procSelf, nil
}
