package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/consumer"
)

const (
	asService = "CONSUMER_EXAMPLE_HANGS" // makes the test binary a service whose handler hangs
	patience  = 60 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, func(string) consumer.Handler {
			return func(context.Context, consumer.Batch) error {
				fmt.Fprintln(os.Stderr, "hangs")
				select {} // whatever its context says
			}
		}))
	}
	goleak.VerifyTestMain(m)
}

// kafka is a broker with orders in it.
type kafka struct {
	*testing.T
	*kfake.Cluster
}

func startKafka(t *testing.T, orders int) kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "orders"), kfake.SeedTopics(1, "dlq.billing.orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	records := make([]*kgo.Record, orders)
	for i := range records {
		records[i] = &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, "c%d", i%10), Value: fmt.Appendf(nil, `{"customer": "c%d", "cents": %d}`, i%10, i+1)}
	}
	records[orders/2].Value = []byte("no order")
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return kafka{t, cluster}
}

// committed is how many records the group has behind it.
func (k kafka) committed() int {
	sum := 0
	if info := k.GroupInfo("billing"); info != nil {
		for _, c := range info.Commits["orders"] {
			sum += int(c.Offset)
		}
	}
	return sum
}

// service is a process of the example.
type service struct {
	*testing.T
	cmd    *exec.Cmd
	mu     sync.Mutex
	stderr bytes.Buffer
	grown  chan struct{}
	exited chan error
}

func (k kafka) start(program string, env []string, args ...string) *service {
	k.Helper()
	s := &service{T: k.T, cmd: exec.Command(program, append([]string{"-config", "consumer.yaml"}, args...)...), grown: make(chan struct{}), exited: make(chan error, 1)}
	s.cmd.Env = append(os.Environ(), append(env, "KAFKA_BROKERS="+strings.Join(k.ListenAddrs(), ","))...)
	s.cmd.Stderr = s
	if err := s.cmd.Start(); err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { _ = s.cmd.Process.Kill() })
	go func() { s.exited <- s.cmd.Wait() }()
	return s
}

func (s *service) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.grown)
	s.grown = make(chan struct{})
	return s.stderr.Write(b)
}

func (s *service) log() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String(), s.grown
}

// says waits until the service has written text.
func (s *service) says(text string) {
	s.Helper()
	timeout := time.After(patience)
	for {
		log, grown := s.log()
		if strings.Contains(log, text) {
			return
		}
		select {
		case <-grown:
		case <-timeout:
			s.Fatalf("it does not say %q:\n%s", text, log)
		}
	}
}

// exit waits for the end of the process and returns its status.
func (s *service) exit() int {
	s.Helper()
	select {
	case err := <-s.exited:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			s.Fatal(err)
		}
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		log, _ := s.log()
		s.Fatalf("it does not end:\n%s", log)
		return -1
	}
}

func (s *service) terminate() time.Time {
	s.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
	return time.Now()
}

// billing is the downstream system; it holds the request that comes as number
// `hold` until it is let go.
type billing struct {
	hold int
	held chan struct{} // closed when it is held
	free chan struct{}
	mu   sync.Mutex
	seen int
	done map[string]int
}

func (b *billing) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.seen++
	hold := b.seen == b.hold
	b.mu.Unlock()
	if hold {
		close(b.held)
		<-b.free
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[r.Header.Get("Idempotency-Key")]++
}

// The service as it is built and run: told to stop in the middle of its work, it
// ends what it has begun, commits all that is done, leaves the group and exits
// with 0.
func TestGracefulStop(t *testing.T) {
	program := filepath.Join(t.TempDir(), "consumer")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const orders = 2000
	k := startKafka(t, orders)
	b := &billing{hold: 100, held: make(chan struct{}), free: make(chan struct{}), done: make(map[string]int)}
	server := httptest.NewServer(b)
	defer server.Close()
	s := k.start(program, nil, "-billing", server.URL)
	select {
	case <-b.held:
	case <-time.After(patience):
		log, _ := s.log()
		t.Fatalf("no work was done:\n%s", log)
	}
	began := s.terminate()
	s.says(`"msg":"stopping"`)
	close(b.free)
	if status := s.exit(); status != exitStopped {
		t.Errorf("exit status %d", status)
	}
	took := time.Since(began)
	log, _ := s.log()
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, n := range b.done {
		if n != 1 {
			t.Errorf("%s was billed %d times", id, n)
		}
	}
	// What was put aside is behind it too.
	aside := strings.Count(log, `"msg":"poison"`)
	if done := len(b.done) + aside; done < b.hold || done >= orders || k.committed() != done {
		t.Errorf("%d of %d done, %d put aside, %d committed", done, orders, aside, k.committed())
	}
	if info := k.GroupInfo("billing"); info != nil && len(info.Members) > 0 {
		t.Errorf("%d members are left in the group", len(info.Members))
	}
	if took > 25*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, line := range []string{`"msg":"configuration"`, `"msg":"joining"`, `"msg":"assigned"`, `"msg":"revoked"`, `"committed":true`, `"msg":"stopped"`} {
		if !strings.Contains(log, line) {
			t.Errorf("the log lacks %s:\n%s", line, log)
		}
	}
}

// A handler that hangs cannot keep the process: it exits in time, and says by its
// status that something is wrong. Nothing that is not done was committed.
func TestHandlerHangs(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := startKafka(t, 10)
	s := k.start(program, []string{asService + "=1", "SHUTDOWN_TIMEOUT=2s"}, "-billing", "unused")
	s.says("hangs")
	began := s.terminate()
	if status := s.exit(); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
	// The timeout, a tenth for what was cancelled, and a slow machine.
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	s.says("the shutdown timeout has passed")
	if k.committed() != 0 {
		t.Errorf("%d committed", k.committed())
	}
}

func TestUsage(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("topic: orders\nretry: {attempts: none}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   []string
	}{
		"check":        {[]string{"-check"}, exitStopped, []string{"brokers: ['127.0.0.1:9092']", "group: billing", "attempts: 8", "batch-size: 100"}},
		"help":         {[]string{"-h"}, exitStopped, []string{"-billing URL"}},
		"unknown flag": {[]string{"-x"}, exitUsage, []string{"-x"}},
		"no URL":       {nil, exitUsage, []string{"-billing: give the URL"}},
		"bad file":     {[]string{"-config", bad}, exitUsage, []string{bad + ":1: topic: there is no such field; topics is meant?", bad + ":2: retry.attempts: a whole number is wanted", "group: give the name"}},
	} {
		var out bytes.Buffer
		if status := run(c.args, &out, &out, bills); status != c.status {
			t.Errorf("%s: exit status %d: %s", name, status, &out)
		}
		for _, text := range c.says {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s: %q is not said in\n%s", name, text, &out)
			}
		}
	}
}
