package subject

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/reexec"
)

// The subjects that are functions, and the harness that is killed.
var (
	reporter = Func{Label: "reporter", Run: report}
	failing  = Func{Label: "failing", Run: func(context.Context, Env) error { return errors.New("out of luck") }}
	waiting  = Func{Label: "waiting", Run: wait}
	deaf     = Func{Label: "deaf", Run: deafRun}
	flood    = Func{Label: "flood", Run: floodRun}
)

func TestMain(m *testing.M) {
	reexec.Main(reporter.Mode(), failing.Mode(), waiting.Mode(), deaf.Mode(), flood.Mode(), GuardMode(),
		reexec.Mode{Name: "harness", Run: parentHarness})
	goleak.VerifyTestMain(m)
}

// report prints what it was told, and ends.
func report(_ context.Context, env Env) error {
	fmt.Printf("topic=%s member=%s.%d extra=%s session=%s os=%s\n", env.Topic, env.Member, env.Incarnation, env.Extra["COLOUR"], env.SessionTimeout, os.Getenv("COLOUR"))
	_, inherited := os.LookupEnv("KSIM_SECRET_OF_THE_HARNESS")
	fmt.Printf("inherited=%v\n", inherited)
	return nil
}

// wait ends when it is asked to, as context.Canceled.
func wait(ctx context.Context, _ Env) error {
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("asked to end")
	return ctx.Err()
}

// deafRun does not listen to SIGTERM, however often it is sent.
func deafRun(context.Context, Env) error {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("ready")
	time.Sleep(time.Minute)
	return nil
}

const floodBytes = 200 << 20

// floodRun prints 200 MiB of numbered lines.
func floodRun(context.Context, Env) error {
	chunk := bytes.Repeat([]byte(strings.Repeat("x", 1023)+"\n"), 1024)
	fmt.Println("first line")
	for range floodBytes / len(chunk) {
		if _, err := os.Stdout.Write(chunk); err != nil {
			return err
		}
	}
	fmt.Println("last line")
	return nil
}

// parentHarness starts a subject whose child leaves the process group, tells
// their process ids, and waits to be killed.
func parentHarness(context.Context) int {
	dir := os.Args[1]
	p := Process{Command: []string{"sh", "-c", "setsid sleep 60 & echo $! > " + dir + "/child; sleep 60"}}
	in, err := p.Start(context.Background(), testEnv(), filepath.Join(dir, "log"))
	if err != nil {
		fmt.Println(err)
		return 9
	}
	fmt.Println(in.PID())
	<-in.Done()
	return 8
}

func testEnv() Env {
	return Env{
		BootstrapServers: "127.0.0.1:9092", Topic: "orders", GroupID: "billing", Member: "m1", Incarnation: 2, RunID: "run-7",
		GroupProtocol: "classic", SessionTimeout: 6 * time.Second, BatchSize: 50, SinkURL: "http://127.0.0.1:1/effects/m1/2",
		Extra: map[string]string{"COLOUR": "blue"},
	}
}

// start starts s and kills it at the end of the test.
func start(t *testing.T, s Subject) (Instance, string) {
	t.Helper()
	logPath := filepath.Join(t.TempDir(), "logs", "m1.2.log")
	in, err := s.Start(t.Context(), testEnv(), logPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Kill(); err != nil {
			t.Error(err)
		}
	})
	return in, logPath
}

func sh(script string) Process { return Process{Command: []string{"sh", "-c", script}} }

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func awaitLog(t *testing.T, path, want string) string {
	t.Helper()
	var text []byte
	await(t, "the log has "+want, func() bool {
		text, _ = os.ReadFile(path)
		return strings.Contains(string(text), want)
	})
	return string(text)
}

func ended(t *testing.T, in Instance) Exit {
	t.Helper()
	select {
	case <-in.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the subject has not ended in 20 s")
	}
	return in.Exit()
}

// alive tells whether pid is a process that is not a zombie.
func alive(pid int) bool {
	p, ok := stat(pid)
	return ok && !p.dead()
}

func pidIn(t *testing.T, path string) int {
	t.Helper()
	var pid int
	await(t, path+" holds a process id", func() bool {
		raw, _ := os.ReadFile(path)
		if !bytes.HasSuffix(raw, []byte("\n")) {
			return false
		}
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(string(raw)))
		return err == nil
	})
	return pid
}

// A harness that is killed with SIGKILL takes its subject with it, and the
// guard takes what the subject had started, even in a session of its own.
func TestNothingOutlivesAKilledHarness(t *testing.T) {
	dir := t.TempDir()
	cmd, err := reexec.Command("harness", dir)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var leader int
	if _, err := fmt.Fscanln(out, &leader); err != nil {
		t.Fatal(err)
	}
	child := pidIn(t, filepath.Join(dir, "child"))
	if !alive(leader) || !alive(child) {
		t.Fatal("the subject does not run")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("the harness ended with %v", err)
	}
	await(t, "the leader dies with the harness", func() bool { return !alive(leader) })
	await(t, "its child dies too", func() bool { return !alive(child) })
}
