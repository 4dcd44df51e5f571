package services

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Bounds of waits. They are reached only where something is wrong.
const (
	postgresReady = 60 * time.Second // from the start to the first connection
	postgresStop  = 15 * time.Second
	postgresTries = 5 // a port that was free may be taken
)

// Postgres starts a PostgreSQL server of its own for a test or benchmark, and
// returns a postgres:// URL of an empty database in it, whose user may do
// everything. It listens on 127.0.0.1 only, keeps its data in a temporary folder
// without caring for crashes of the machine (fsync is off), and ends with the test;
// if the test process is killed, the kernel ends the server.
//
// Where PostgreSQL is not installed the test is skipped, and fails with
// KSIM_REQUIRE_CONTAINERS=1. `make postgres` installs it on Debian.
func Postgres(t testing.TB) (url string) {
	t.Helper()
	bin, err := postgresBinaries()
	if err != nil {
		const needs = "needs PostgreSQL, which is not installed. On Debian, as root: make postgres"
		lacking(t, needs, err)
	}
	p, err := newPostgres(bin)
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Errorf("PostgreSQL: %v", err)
		}
	})
	if err := p.start(); err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	return fmt.Sprintf("postgres://ksim:%s@127.0.0.1:%d/postgres?sslmode=disable", p.password, p.port)
}

// postgresBinaries finds the folder of initdb and postgres: the newest version
// of Debian's packages, which are not in PATH, else what is in PATH.
func postgresBinaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	version := func(path string) float64 {
		v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(path))), 64) // 0 for what is no version
		return v
	}
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })
		return filepath.Dir(newest), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

// postgres is a server and its folder.
type postgres struct {
	bin, dir string
	password string
	port     int
	attr     *syscall.SysProcAttr
	child    *child // nil before the first start
	ready    chan struct{}
	log      []string // read after the child is done
}

func newPostgres(bin string) (*postgres, error) {
	p := &postgres{bin: bin, password: rand.Text()}
	sweepPostgres()
	var err error
	// Not t.TempDir: it lies in a folder that only its owner may enter. The name tells
	// whose it is.
	if p.dir, err = os.MkdirTemp("", fmt.Sprintf("ksim-postgres-%d-", os.Getpid())); err != nil {
		return nil, err
	}
	if p.attr, err = p.unprivileged(); err == nil {
		err = p.initdb()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	return p, nil
}

// sweepPostgres removes the folders of test processes that were killed.
func sweepPostgres() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "ksim-postgres-*")) // the pattern is good
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.Split(filepath.Base(dir), "-")[2])
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // it may be another user's
		}
	}
}

// unprivileged makes the server run as another user if we are root, which it
// refuses; the folder becomes that user's. Debian's package makes the user.
func (p *postgres) unprivileged() (*syscall.SysProcAttr, error) {
	attr := childAttributes(syscall.SIGQUIT) // it shuts down at once
	if os.Geteuid() != 0 {
		return attr, nil
	}
	var who *user.User
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		if who, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("it does not run as root, and there is no user for it: %w", err)
	}
	uid, uidErr := strconv.Atoi(who.Uid)
	gid, gidErr := strconv.Atoi(who.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(p.dir, uid, gid)
}

func (p *postgres) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}
	attr := *p.attr
	cmd.SysProcAttr = &attr
	return cmd
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *postgres) initdb() error {
	secret := filepath.Join(p.dir, "password")
	if err := os.WriteFile(secret, []byte(p.password), 0o600); err != nil {
		return err
	}
	if c := p.attr.Credential; c != nil {
		if err := os.Chown(secret, int(c.Uid), int(c.Gid)); err != nil {
			return err
		}
	}
	runtime.LockOSThread() // the parent-death signal belongs to the thread
	defer runtime.UnlockOSThread()
	out, err := p.command("initdb", "--no-sync", "--pgdata", p.data(), "--username", "ksim", "--pwfile", secret,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// start starts the server on a port that is free, and returns when it takes connections.
func (p *postgres) start() error {
	for try := 1; ; try++ {
		var err error
		if p.port, err = freePort(); err != nil {
			return err
		}
		err = p.startOnce()
		if err == nil || try == postgresTries || !strings.Contains(err.Error(), "Address already in use") {
			return err
		}
	}
}

func (p *postgres) startOnce() error {
	cmd := p.command("postgres", "-D", p.data(), "-p", strconv.Itoa(p.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB", "-c", "max_connections=60",
		"-c", "logging_collector=off", "-c", "log_destination=stderr", "-c", "lc_messages=C")
	p.ready, p.log = make(chan struct{}), nil
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if p.child, err = startChild(cmd, func() { p.follow(out) }); err != nil {
		return err
	}
	timer := time.NewTimer(postgresReady)
	defer timer.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.child.done:
		return fmt.Errorf("the server ended at once: %w\n%s", p.child.err, strings.Join(p.log, "\n"))
	case <-timer.C:
		err := p.stop()
		return errors.Join(fmt.Errorf("the server was not ready within %v\n%s", postgresReady, strings.Join(p.log, "\n")), err)
	}
}

// follow keeps the end of the server's log, and notes when it is ready.
func (p *postgres) follow(out io.Reader) {
	ready := false
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if p.log = append(p.log, strings.TrimSuffix(line, "\n")); len(p.log) > 50 {
			p.log = p.log[1:]
		}
		if !ready && strings.Contains(line, "database system is ready to accept connections") {
			ready = true
			close(p.ready)
		}
	}
}

// stop ends the server, at once: its data is not needed any more.
func (p *postgres) stop() error {
	if p.child == nil {
		return nil
	}
	// An immediate shutdown: the server ends its children and removes its shared memory.
	_ = p.child.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
	timer := time.NewTimer(postgresStop)
	defer timer.Stop()
	select {
	case <-p.child.done:
		return nil
	case <-timer.C:
	}
	p.child.kill() // its children notice
	return fmt.Errorf("the server did not end within %v of SIGQUIT, and was killed\n%s", postgresStop, strings.Join(p.log, "\n"))
}

func (p *postgres) close() error { return errors.Join(p.stop(), os.RemoveAll(p.dir)) }
