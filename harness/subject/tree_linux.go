package subject

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollEvery is how often the state of processes in /proc is looked at. The
// kernel offers no event for the state of a process that is not one's child.
const pollEvery = 2 * time.Millisecond

// ownAttributes puts the leader into a process group of its own, and ends it
// with the thread that started it (which launch keeps for as long as the leader lives).
func ownAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitEnd waits until the leader has ended, and leaves it to be reaped: as
// long as it is a zombie nobody else gets its process id or its group's.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return // an error too: Wait, which follows, reports it
		}
	}
}

// process is one line of the process table.
type process struct {
	pid, ppid, pgid int
	state           byte
	started         string // ticks since boot: with pid, it names a process for ever
	cpu             time.Duration
}

func (p process) dead() bool { return p.state == 'Z' || p.state == 'X' }

// readStat reads /proc/PID/stat or that of a thread. The name in parentheses
// may hold anything, so fields count from the last parenthesis.
func readStat(path string) (process, bool) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return process{}, false
	}
	pid, _, _ := strings.Cut(string(raw), " ")
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const cpu, started = 11, 19 // fields 14 and 22 of proc(5), counted from the state
	if len(f) <= started {
		return process{}, false
	}
	p := process{state: f[0][0], started: f[started]}
	for _, ticks := range f[cpu : cpu+4] { // of its own in user and system mode, and of the children that it has waited for
		n, _ := strconv.ParseInt(ticks, 10, 64)
		p.cpu += time.Duration(n) * ClockTick
	}
	var errs [3]error
	p.pid, errs[0] = strconv.Atoi(pid)
	p.ppid, errs[1] = strconv.Atoi(f[1])
	p.pgid, errs[2] = strconv.Atoi(f[2])
	return p, errors.Join(errs[:]...) == nil
}

func stat(pid int) (process, bool) {
	return readStat(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
}

func cpuOf(pids []int) (total time.Duration) {
	for _, pid := range pids {
		p, _ := stat(pid) // one that has ended has none
		total += p.cpu
	}
	return total
}

func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []process
	for _, e := range entries {
		if name := e.Name(); name[0] >= '1' && name[0] <= '9' {
			if p, ok := readStat(filepath.Join("/proc", name, "stat")); ok {
				all = append(all, p)
			}
		}
	}
	return all
}

// relatives lists the live processes that belong to a life: those of the
// leader's group, those that carry the mark of the life in their environment
// (it survives setsid and the death of the parent), and all descendants of both.
func relatives(leader int, life string) []int {
	all := processes()
	mark := []byte(envLife + "=" + life)
	ours := map[int]bool{}
	for _, p := range all {
		if p.pid == leader || p.pgid == leader || carries(p.pid, mark) {
			ours[p.pid] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if ours[p.ppid] && !ours[p.pid] {
				ours[p.pid], grown = true, true
			}
		}
	}
	delete(ours, os.Getpid()) // a fork of ours that has not yet executed its program
	var pids []int
	for _, p := range all {
		if ours[p.pid] && !p.dead() {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

func carries(pid int, mark []byte) bool {
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false // ended, or of another user
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.Equal(entry, mark) {
			return true
		}
	}
	return false
}

// victims are processes that were sent SIGKILL, and when each was started.
type victims map[int]string

func (v victims) kill(pid int) {
	if p, ok := stat(pid); ok {
		v[pid] = p.started
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// alive are those that have not ended yet.
func (v victims) alive() (pids []int) {
	for pid, started := range v {
		if p, ok := stat(pid); ok && !p.dead() && p.started == started {
			pids = append(pids, pid)
		}
	}
	return pids
}

// sweep kills what is left of a life but for its leader, until nothing is
// found any more. It returns how many it killed, and an error that names those
// which do not die. doomed were sent SIGKILL already.
//
// A process that is dying has given its memory back, and its environment with it, before it is
// a zombie: for a moment it runs and bears no mark. So those that were killed are awaited by name.
func sweep(leader int, life string, doomed victims) (int, error) {
	killed := victims{}
	deadline := time.Now().Add(sweepBound)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		left := slices.DeleteFunc(relatives(leader, life), func(pid int) bool { return pid == leader })
		for _, pid := range slices.Concat(killed.alive(), doomed.alive()) {
			if !slices.Contains(left, pid) {
				left = append(left, pid)
			}
		}
		if len(left) == 0 {
			return len(killed), nil
		}
		if time.Now().After(deadline) {
			return len(killed), fmt.Errorf("processes %v of the subject do not die of SIGKILL", left)
		}
		for _, pid := range left {
			killed.kill(pid) // it may have ended by now: the next look tells
		}
		<-ticker.C
	}
}

// stopped tells whether all threads of pid are stopped, and whether any is.
func stopped(pid int) (all, any bool) {
	all = true
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	for _, task := range tasks {
		t, ok := readStat(task)
		switch {
		case !ok || t.dead(): // a thread that has ended is neither
		case t.state == 'T' || t.state == 't':
			any = true
		default:
			all = false
		}
	}
	return all, any
}

// awaitState waits until all processes of a life are stopped, or none is.
func awaitState(leader int, life string, frozen bool) error {
	deadline := time.Now().Add(stateBound)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		var wrong []int
		for _, pid := range relatives(leader, life) {
			if all, any := stopped(pid); frozen && !all || !frozen && any {
				wrong = append(wrong, pid)
			}
		}
		if len(wrong) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v did not change their state within %s (want stopped: %t)", wrong, stateBound, frozen)
		}
		<-ticker.C
	}
}
