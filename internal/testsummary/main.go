// Command testsummary runs `go test -json …`, once or several times in turn, and prints what go test would:
// a line for each package, failures in full. At the end it counts the tests of all of them and
// names those that did not run, so that a test that was skipped is never taken for one that passed.
//
//	go run ./internal/testsummary go test -json -race ./a/... -- go test -json ./b
//
// Its exit status is that of the first command that failed; with KSIM_REQUIRE_CONTAINERS=1 a
// skipped test is a failure too.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	commands := split(os.Args[1:])
	if len(commands) == 0 {
		fmt.Fprintln(os.Stderr, "usage: testsummary go test -json [flags] [packages] [-- go test …]")
		os.Exit(2)
	}
	os.Exit(run(commands, os.Getenv("KSIM_REQUIRE_CONTAINERS") == "1", os.Stdout, os.Stderr))
}

// split takes the commands apart that are joined by "--".
func split(args []string) (commands [][]string) {
	for len(args) > 0 {
		end := slices.Index(args, "--")
		if end < 0 {
			end = len(args)
		}
		if end > 0 {
			commands = append(commands, args[:end])
		}
		args = args[min(end+1, len(args)):]
	}
	return commands
}

// run runs the commands in turn, summarises their output on out and returns the exit status.
func run(commands [][]string, strict bool, out, errOut io.Writer) int {
	s := newSummary(out)
	status := 0
	for _, command := range commands {
		status = cmp.Or(status, s.follow(command, errOut))
	}
	s.print(strict)
	if status == 0 && (s.failed > 0 || (strict && len(s.skipped) > 0)) {
		status = 1
	}
	return status
}

// follow runs one command and adds what it does; it returns its exit status.
func (s *summary) follow(command []string, errOut io.Writer) int {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = errOut
	stream, err := cmd.StdoutPipe()
	if err != nil {
		fmt.Fprintln(errOut, "testsummary:", err)
		return 2
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(errOut, "testsummary:", err)
		return 2
	}
	stop := forward(cmd.Process)
	readErr := s.read(stream)
	waitErr := cmd.Wait()
	stop()
	s.cutShort()
	if readErr != nil {
		fmt.Fprintln(errOut, "testsummary: read the output of go test:", readErr)
		return 1
	}
	return exitStatus(waitErr)
}

// forward hands SIGTERM on to the process. An interrupt from the terminal reaches the
// whole process group; it is caught only so that the summary is still printed.
func forward(p *os.Process) (stop func()) {
	signals := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig == syscall.SIGTERM {
					_ = p.Signal(sig) // it may have ended already
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	default:
		return 1
	}
}
