package containers

import (
	"bufio"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/reexec"
)

// A process that has started three brokers is killed with its whole process
// group, as a terminal or a CI runner does it.
func TestNothingIsLeftAfterKill(t *testing.T) {
	Require(t)
	cli := docker(t)
	run := "victim-" + randomID()
	cmd, err := reexec.Command(victim)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, victimRun+"="+run)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // ends the read below
	line, err := bufio.NewReader(out).ReadString('\n')
	guard.Stop()
	if err != nil || strings.TrimSpace(line) != "up" {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("victim: %q, %v", line, err)
	}
	if n := left(t, cli, labelRun+"="+run); n != 4 {
		t.Errorf("%d things with the label of the run, want 3 containers and a network", n)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = cmd.Wait() // killed is what it was
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for left(t, cli, labelRun+"="+run) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d things are left after 30 s", left(t, cli, labelRun+"="+run))
		}
		<-tick.C
	}
	t.Logf("all gone %s after SIGKILL", time.Since(killed).Round(time.Millisecond))
}
