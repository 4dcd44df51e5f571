package services

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// child is the process of a service. It is to die with us, which the kernel tells by
// the thread that started it: so one goroutine keeps its thread to the end.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; read after done
}

// startChild starts cmd. follow, if not nil, reads what it says to the end.
func startChild(cmd *exec.Cmd, follow func()) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(c.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		if follow != nil {
			follow()
		}
		c.err = cmd.Wait()
	}()
	if err := <-started; err != nil {
		<-c.done
		return nil, err
	}
	return c, nil
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.done
}

// lacking ends a test for the lack of what it needs; internal/testsummary looks for
// the reason.
func lacking(t testing.TB, needs string, err error) {
	t.Helper()
	if os.Getenv("KSIM_REQUIRE_CONTAINERS") == "1" {
		t.Fatalf("%s, and KSIM_REQUIRE_CONTAINERS=1 forbids to skip: %v", needs, err)
	}
	t.Skipf("%s: %v", needs, err)
}
