package subject

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExitOfAProcess(t *testing.T) {
	for _, c := range []struct {
		name, script, signal string
		code                 int
	}{
		{"success", "exit 0", "", 0},
		{"exits at once with an error", "echo no brokers >&2; exit 4", "", 4},
		{"dies by a signal", "kill -USR1 $$", syscall.SIGUSR1.String(), -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, _ := start(t, sh(c.script))
			exit := ended(t, in)
			if exit.Code != c.code || exit.Signal != c.signal || exit.Err != nil || exit.Leftovers != 0 {
				t.Fatalf("exit is %+v", exit)
			}
			if c.code == 4 && exit.Tail != "no brokers" {
				t.Fatalf("tail is %q", exit.Tail)
			}
			for what, call := range map[string]func() error{"Terminate": in.Terminate, "Kill": in.Kill} {
				if err := call(); err != nil {
					t.Errorf("%s after the end: %v", what, err)
				}
			}
			if in.Stop() == nil || in.Continue() == nil {
				t.Error("a process that has ended was frozen or thawed")
			}
		})
	}
}

func TestEnvironmentAndPlaceholders(t *testing.T) {
	t.Setenv("KSIM_SECRET_OF_THE_HARNESS", "x")
	p := Process{
		Command: []string{"sh", "-c", `echo "$KSIM_MEMBER|$KSIM_TOPIC|$PAYMENTS|$COLOUR|$1|$2|${KSIM_SECRET_OF_THE_HARNESS-unset}"; pwd; cat`, "sh", "--brokers={bootstrap_servers}", "{{.Topic}}-{{.Incarnation}}"},
		Env:     map[string]string{"PAYMENTS": "{{.SinkURL}}/pay", "COLOUR": "red", "KSIM_TOPIC": "other"},
		Dir:     t.TempDir(),
	}
	in, logPath := start(t, p)
	if exit := ended(t, in); exit.Code != 0 { // cat ends at once: stdin is /dev/null
		t.Fatalf("exit is %+v", exit)
	}
	text, err := os.ReadFile(logPath)
	if err != nil {
		t.Fatal(err)
	}
	want := "m1|other|http://127.0.0.1:1/effects/m1/2/pay|red|--brokers=127.0.0.1:9092|orders-2|unset\n" + p.Dir + "\n"
	if string(text) != want {
		t.Fatalf("the subject saw\n%s\nwant\n%s", text, want)
	}
}

func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name string
		p    Process
		want string
	}{
		{"no command", Process{}, "no command is given"},
		{"not in PATH", Process{Command: []string{"pyhton3"}}, `cannot start "pyhton3": not found in PATH`},
		{"no such file", Process{Command: []string{"./nothing"}, Dir: dir}, "no such file: " + dir},
		{"a directory", Process{Command: []string{dir}}, "is a directory"},
		{"not executable", Process{Command: []string{write("plain.py", "print(1)", 0o600)}}, "is not executable; chmod +x"},
		{"no #! line", Process{Command: []string{write("noshebang", "print(1)", 0o700)}}, "name its interpreter"},
		{"interpreter missing", Process{Command: []string{write("lost", "#!/no/such/interpreter\n", 0o700)}}, "#! line"},
		{"no such working directory", Process{Command: []string{"sh"}, Dir: filepath.Join(dir, "none")}, "working directory"},
		{"wrong field", Process{Command: []string{"echo", "{{.Brokers}}"}}, "{{.BootstrapServers}} or {bootstrap_servers}"},
		{"wrong field in env", Process{Command: []string{"echo"}, Env: map[string]string{"A": "{{.Nope}}"}}, "in the variable A"},
		{"misspelt placeholder", Process{Command: []string{"echo", "{bootstrap_server}"}}, "did you mean {bootstrap_servers}?"},
		{"open braces", Process{Command: []string{"echo", "{{.Topic"}}, "the placeholders are"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := c.p.Start(t.Context(), testEnv(), filepath.Join(dir, "log"))
			if err == nil {
				t.Fatalf("it started: %+v", ended(t, in))
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %q does not say %q", err, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sh("exit").Start(ctx, testEnv(), filepath.Join(dir, "log")); err == nil {
		t.Fatal("it started although its context had ended")
	}
}

func TestTerminateThenKill(t *testing.T) {
	t.Run("a handler ends in order", func(t *testing.T) {
		in, logPath := start(t, sh(`trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done`))
		awaitLog(t, logPath, "ready")
		if err := in.Terminate(); err != nil {
			t.Fatal(err)
		}
		if exit := ended(t, in); exit.Code != 0 || !strings.HasSuffix(exit.Tail, "bye") {
			t.Fatalf("exit is %+v", exit)
		}
	})
	t.Run("a subject that ignores SIGTERM is killed", func(t *testing.T) {
		in, logPath := start(t, sh(`trap '' TERM; echo ready; while :; do sleep 0.01; done`))
		awaitLog(t, logPath, "ready")
		if err := in.Terminate(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-in.Done():
			t.Fatal("it ended on SIGTERM")
		case <-time.After(100 * time.Millisecond):
		}
		if err := in.Kill(); err != nil {
			t.Fatal(err)
		}
		if exit := ended(t, in); exit.Signal != syscall.SIGKILL.String() || exit.Err != nil || exit.Leftovers != 0 {
			t.Fatalf("exit is %+v", exit)
		}
	})
	t.Run("the end of the context kills", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		in, err := sh("sleep 60").Start(ctx, testEnv(), filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if exit := ended(t, in); exit.Signal != syscall.SIGKILL.String() {
			t.Fatalf("exit is %+v", exit)
		}
	})
}

// forks starts a child in the group, one in a session of its own, and one
// in a session of its own with an empty environment; all hold stdout open.
const forks = `
sleep 60 & echo $! > DIR/group
setsid sh -c 'echo $$ > DIR/session; exec sleep 60' &
setsid env -i sh -c 'echo $$ > DIR/bare; exec sleep 60' &
`

func forked(t *testing.T, then string) (in Instance, children []int) {
	t.Helper()
	dir := t.TempDir()
	in, _ = start(t, sh(strings.ReplaceAll(forks, "DIR", dir)+then))
	for _, name := range []string{"group", "session", "bare"} {
		children = append(children, pidIn(t, filepath.Join(dir, name)))
	}
	return in, children
}

func TestKillTakesDescendants(t *testing.T) {
	in, children := forked(t, "wait")
	if err := in.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit := ended(t, in); exit.Signal != syscall.SIGKILL.String() || exit.Err != nil || exit.Leftovers != 0 {
		t.Fatalf("exit is %+v", exit)
	}
	for _, pid := range children {
		if alive(pid) {
			t.Errorf("process %d outlived the kill", pid)
		}
	}
}

// A subject that puts itself into the background leaves nothing running, and
// what it left does not hold up the end by the pipe it inherited.
func TestLeftoversAreKilledAndReported(t *testing.T) {
	dir := t.TempDir()
	in, logPath := start(t, sh(fmt.Sprintf("sleep 60 & echo $! > %s/group; setsid sleep 60 & echo $! > %s/session; echo done; exit 3", dir, dir)))
	exit := ended(t, in)
	if exit.Code != 3 || exit.Leftovers != 2 || exit.Err != nil {
		t.Fatalf("exit is %+v", exit)
	}
	for _, name := range []string{"group", "session"} {
		if pid := pidIn(t, filepath.Join(dir, name)); alive(pid) {
			t.Errorf("%s: process %d is still there", name, pid)
		}
	}
	awaitLog(t, logPath, "left 2 processes behind; they were killed")
}

// A process that hides altogether (own session, no environment, no parent)
// holds the pipe open: the end must not wait for it.
func TestAHiddenDaemonDoesNotHoldUpTheEnd(t *testing.T) {
	dir := t.TempDir()
	in, _ := start(t, sh(`setsid env -i sh -c 'sleep 60 & echo $! > `+dir+`/hidden'; echo done`))
	begin := time.Now()
	exit := ended(t, in)
	if took := time.Since(begin); took > 5*time.Second {
		t.Fatalf("the end took %s", took)
	}
	hidden := pidIn(t, filepath.Join(dir, "hidden"))
	defer func() { _ = syscall.Kill(hidden, syscall.SIGKILL) }()
	if exit.Code != 0 || exit.Tail != "done" {
		t.Fatalf("exit is %+v", exit)
	}
}

func TestStopFreezesEverything(t *testing.T) {
	in, children := forked(t, "wait")
	pids := append(children, in.PID())
	for range 3 {
		if err := in.Stop(); err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			if all, _ := stopped(pid); !all || !alive(pid) {
				t.Fatalf("process %d is not stopped", pid)
			}
		}
		if err := in.Continue(); err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			if _, any := stopped(pid); any {
				t.Fatalf("process %d is still stopped", pid)
			}
		}
	}
	if err := in.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := in.Kill(); err != nil { // SIGKILL reaches the frozen
		t.Fatal(err)
	}
	if exit := ended(t, in); exit.Signal != syscall.SIGKILL.String() {
		t.Fatalf("exit is %+v", exit)
	}
}

// The parent-death signal belongs to a thread: a runtime that ends threads must
// not take subjects with it.
func TestSubjectsOutliveTheGoroutineThatStartedThem(t *testing.T) {
	var all []Instance
	for range 4 {
		started := make(chan Instance)
		go func() {
			in, err := sh("sleep 60").Start(t.Context(), testEnv(), filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Error(err)
			}
			started <- in
		}()
		all = append(all, <-started)
	}
	endThreads()
	for _, in := range all {
		select {
		case <-in.Done():
			t.Fatalf("a subject died with a thread: %+v", in.Exit())
		default:
		}
		if err := in.Kill(); err != nil {
			t.Fatal(err)
		}
	}
}
