package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/ksim-dev/ksim/harness/reexec"
)

// What all consumers are set to.
const (
	batchSize         = 500
	commitEvery       = time.Second
	fetchMaxPartition = 1 << 20
	fetchMaxWait      = 500 * time.Millisecond
	trialTimeout      = 2 * time.Minute
)

// setup is what a trial is told: it runs in a process of its own, so that no subject
// inherits the heap, the caches or the goroutines of another.
type setup struct {
	Subject string
	Brokers []string
	Group   string
	Records int           // to consume
	Window  time.Duration // of a key order trial
	// FetchMax is how many bytes a fetch may bring, where a client can be told.
	FetchMax int
	Profile  string // file to write a CPU profile to
}

// result is what a trial tells.
type result struct {
	Records int
	Took    time.Duration // first record handed over, to the last one handled and committed
	CPU     time.Duration // of the process, over the same time
	Mallocs uint64        // of the Go heap, over the same time
	RSS     int64         // peak of the process, in bytes
}

func (r result) rate() float64 { return float64(r.Records) / r.Took.Seconds() }

const modeName = "consumer-bench-trial"

func trialMode() reexec.Mode {
	return reexec.Mode{Name: modeName, Run: func(ctx context.Context) int {
		var s setup
		err := json.Unmarshal([]byte(os.Args[1]), &s)
		var r result
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, trialTimeout)
			defer cancel()
			r, err = runTrial(ctx, s)
		}
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", s.Subject, err)
			return 1
		}
		return 0
	}}
}

func runTrial(ctx context.Context, s setup) (result, error) {
	for _, sub := range slices.Concat(subjects, keySubjects) {
		if sub.name == s.Subject {
			m := &meter{want: int64(s.Records), window: s.Window, profile: s.Profile, started: make(chan struct{}), full: make(chan struct{})}
			if err := sub.consume(ctx, s, m); err != nil {
				return result{}, err
			}
			return m.result()
		}
	}
	return result{}, errors.New("no such subject")
}

// spawn runs a trial in a process of its own.
func spawn(ctx context.Context, s setup, profiles string) (result, error) {
	if profiles != "" {
		s.Profile = filepath.Join(profiles, s.Group+".pprof")
	}
	arg, err := json.Marshal(s)
	if err != nil {
		return result{}, err
	}
	cmd, err := reexec.Command(modeName, string(arg))
	if err != nil {
		return result{}, err
	}
	cmd.Stderr = os.Stderr
	out, err := output(ctx, cmd)
	if err != nil {
		return result{}, fmt.Errorf("trial of %s: %w", s.Subject, err)
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		return result{}, fmt.Errorf("trial of %s: %w", s.Subject, err)
	}
	r.RSS = usage(cmd).Maxrss << 10
	return r, nil
}

// output is cmd.Output that also ends with ctx.
func output(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	runtime.LockOSThread() // Pdeathsig is for the death of the thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	err := cmd.Wait()
	return out.Bytes(), errors.Join(err, ctx.Err())
}

// usage is what a process that has ended used.
func usage(cmd *exec.Cmd) syscall.Rusage {
	u, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage) // on Linux it is one
	return *u
}
