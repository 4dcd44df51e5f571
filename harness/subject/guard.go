package subject

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/ksim-dev/ksim/harness/reexec"
)

// The parent-death signal ends the leader of every instance with the harness,
// kill -9 included, but not what the leader started (the JVM below a start
// script). The guard does: one child process, which the harness tells of every
// life that begins and ends through a pipe. When the harness dies the pipe
// ends, and the guard kills what is left of the lives still open.

// guardMode names the guard to package reexec.
const guardMode = "subject/guard"

// GuardMode is the mode of the guard. A program that starts subjects should
// give it to reexec.Main; one that does not still takes the leaders with it.
func GuardMode() reexec.Mode { return reexec.Mode{Name: guardMode, Run: watchOver} }

// watchOver is the guard: lines "+ pid life" and "- pid life" until the end of input.
func watchOver(context.Context) int {
	lives := map[string]int{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 3 {
			continue
		}
		pid, err := strconv.Atoi(f[1])
		switch {
		case err != nil || pid <= 1:
		case f[0] == "+":
			lives[f[2]] = pid
		default:
			delete(lives, f[2])
		}
	}
	status := 0
	for life, pid := range lives {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // the leader has its parent-death signal
		if _, err := sweep(pid, life, nil); err != nil {
			status = 1
		}
	}
	return status
}

// theGuard is that of this process; there is one, for it ends when the process
// does. It is started with the first instance.
var theGuard guard

type guard struct {
	mu    sync.Mutex
	cmd   *exec.Cmd
	pipe  *os.File // nil while there is no guard
	lives map[string]int
}

// add tells the guard of a life, and starts it first if need be.
func (g *guard) add(pid int, life string) error {
	if !reexec.Has(guardMode) {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lives == nil {
		g.lives = map[string]int{}
	}
	g.lives[life] = pid
	if g.pipe != nil {
		if _, err := fmt.Fprintf(g.pipe, "+ %d %s\n", pid, life); err == nil {
			return nil
		}
		// Somebody killed it. The next one hears of all lives.
		_ = g.pipe.Close()
		g.pipe = nil
		_ = g.cmd.Wait() // its end of the pipe is closed: it has ended
	}
	return g.start()
}

func (g *guard) start() error {
	cmd, err := reexec.Command(guardMode)
	if err != nil {
		return fmt.Errorf("subject: start the guard: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("subject: start the guard: %w", err)
	}
	cmd.Stdin = read
	// A session of its own: Ctrl-C on the terminal is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = read.Close()
	if err != nil {
		_ = write.Close()
		return fmt.Errorf("subject: start the guard: %w", err)
	}
	for life, pid := range g.lives {
		if _, err := fmt.Fprintf(write, "+ %d %s\n", pid, life); err != nil {
			_ = write.Close()
			return fmt.Errorf("subject: tell the guard: %w", err)
		}
	}
	g.cmd, g.pipe = cmd, write
	return nil
}

// remove tells the guard that a life is over, before its ids can be another's.
func (g *guard) remove(life string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	pid, known := g.lives[life]
	delete(g.lives, life)
	if known && g.pipe != nil {
		_, _ = fmt.Fprintf(g.pipe, "- %d %s\n", pid, life) // add sees to a dead guard
	}
}
