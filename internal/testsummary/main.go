// Command testsummary runs `go test -json …` and prints what go test would:
// a line for each package, failures in full. At the end it counts tests and
// names those that did not run, so that a test that was skipped is never taken for one that passed.
//
//	go run ./internal/testsummary go test -json -race ./...
//
// Its exit status is that of the command; with KSIM_REQUIRE_CONTAINERS=1 a
// skipped test is a failure too.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: testsummary go test -json [flags] [packages]")
		os.Exit(2)
	}
	os.Exit(run(os.Args[1:], os.Getenv("KSIM_REQUIRE_CONTAINERS") == "1", os.Stdout, os.Stderr))
}

// run starts command, summarises its output on out and returns the exit status.
func run(command []string, strict bool, out, errOut io.Writer) int {
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
	s := newSummary(out)
	readErr := s.read(stream)
	waitErr := cmd.Wait()
	stop()
	s.print(strict)
	if readErr != nil {
		fmt.Fprintln(errOut, "testsummary: read the output of go test:", readErr)
	}
	status := exitStatus(waitErr)
	if status == 0 && (readErr != nil || s.failed > 0 || (strict && len(s.skipped) > 0)) {
		status = 1
	}
	return status
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
