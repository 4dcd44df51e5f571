package reexec

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main(
		Mode{Name: "echo", Run: echo},
		Mode{Name: "await", Run: await},
		Mode{Name: "stubborn", Run: stubborn},
		Mode{Name: "deleted", Run: deleted},
	)
	os.Exit(m.Run())
}

// echo tells what a mode sees.
func echo(context.Context) int {
	_, leaked := os.LookupEnv(EnvMode)
	fmt.Printf("args=%s leaked=%v extra=%s\n", strings.Join(os.Args[1:], ","), leaked, os.Getenv("EXTRA"))
	return 7
}

// await ends when its context is cancelled.
func await(ctx context.Context) int {
	fmt.Println("ready")
	select {
	case <-ctx.Done():
		return 5
	case <-time.After(20 * time.Second):
		return 6
	}
}

// stubborn never looks at its context, but tells when it was cancelled.
func stubborn(ctx context.Context) int {
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("cancelled")
	time.Sleep(20 * time.Second)
	return 6
}

// deleted removes the binary it runs from and then starts it again.
func deleted(context.Context) int {
	path, err := os.Executable()
	if err != nil {
		return 90
	}
	if err := os.Remove(path); err != nil {
		return 91
	}
	cmd, err := Command("echo", "again")
	if err != nil {
		return 92
	}
	cmd.Stdout = os.Stdout
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		return 93
	}
	return exit.ExitCode()
}

func start(t *testing.T, mode string, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd, err := Command(mode, args...)
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
	t.Cleanup(func() { _ = cmd.Process.Kill(); _, _ = cmd.Process.Wait() })
	return cmd, bufio.NewReader(out)
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("read a line from the child: %v (got %q)", err, s)
	}
	return strings.TrimSpace(s)
}

func wantExit(t *testing.T, err error, code int) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Fatalf("the child ended with %v, want exit status %d", err, code)
	}
}

func TestModeRunsInAChildWithItsArguments(t *testing.T) {
	cmd, err := Command("echo", "a", "-test.run=x")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "EXTRA=yes")
	out, err := cmd.Output()
	wantExit(t, err, 7)
	if got, want := string(out), "args=a,-test.run=x leaked=false extra=yes\n"; got != want {
		t.Fatalf("the mode printed %q, want %q", got, want)
	}
}

func TestUnknownModeNamesTheModes(t *testing.T) {
	cmd, err := Command("nonsense")
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	wantExit(t, cmd.Run(), ExitUnknownMode)
	for _, want := range []string{`"nonsense"`, "echo, await", EnvMode} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("stderr %q does not mention %q", stderr.String(), want)
		}
	}
}

func TestSignalsCancelThenEnd(t *testing.T) {
	t.Run("the first SIGTERM cancels the context", func(t *testing.T) {
		cmd, out := start(t, "await")
		line(t, out)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		wantExit(t, cmd.Wait(), 5)
	})
	t.Run("the second one ends a mode that does not listen", func(t *testing.T) {
		cmd, out := start(t, "stubborn")
		line(t, out)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if got := line(t, out); got != "cancelled" {
			t.Fatalf("got %q", got)
		}
		// The handler is removed right after the cancellation, by another
		// goroutine: repeat the signal until it is seen.
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		for {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			select {
			case err := <-done:
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
					t.Fatalf("ended with %v, want death by SIGTERM", err)
				}
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// `go run` removes its binary when it ends, a rebuild replaces it: neither may
// keep a running program from starting its members.
func TestRemovedBinaryStillStarts(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "copy")
	copySelf(t, copied)
	cmd := exec.Command(copied)
	cmd.Env = append(os.Environ(), EnvMode+"=deleted")
	out, err := cmd.Output()
	wantExit(t, err, 7)
	if !strings.HasPrefix(string(out), "args=again ") {
		t.Fatalf("the child printed %q", out)
	}
	if _, err := os.Stat(copied); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the binary is still there: %v", err)
	}
}

func copySelf(t *testing.T, to string) {
	t.Helper()
	from, err := os.Open(procSelf)
	if err != nil {
		t.Skipf("no %s: %v", procSelf, err)
	}
	defer func() { _ = from.Close() }()
	file, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(file, from); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCommandWithoutMainIsRefused(t *testing.T) {
	modes := known.Swap(nil)
	defer known.Store(modes)
	if Has("echo") {
		t.Fatal("it knows a mode before Main")
	}
	if _, err := Command("echo"); !errors.Is(err, ErrNoMain) {
		t.Fatalf("got %v, want %v", err, ErrNoMain)
	}
	known.Store(modes)
	if !Has("echo") || Has("nonsense") {
		t.Fatal("Has does not tell the modes of Main")
	}
	if _, err := Command(""); err == nil {
		t.Fatal("an empty mode was accepted")
	}
}
