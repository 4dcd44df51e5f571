package consumer_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// runAsMember turns this test binary into a consumer of its own, if the
// environment says so, and reports what it does to a URL.
func runAsMember() (exit int, ok bool) {
	brokers, sink := os.Getenv("CONSUMER_TEST_BROKERS"), os.Getenv("CONSUMER_TEST_SINK")
	if brokers == "" {
		return 0, false
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.ClientID = strings.Split(brokers, ","), []string{topic}, group, "zombie"
	cfg.SessionTimeout, cfg.HeartbeatInterval = time.Second, 100*time.Millisecond
	cfg.RebalanceTimeout, cfg.DrainTimeout = time.Second, 900*time.Millisecond
	cfg.CommitInterval, cfg.BatchSize = 20*time.Millisecond, 10
	tell := func(ctx context.Context, what string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, sink+what, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	cfg.Hooks.OnLost = func(string, []int32, error) { _ = tell(context.Background(), "/lost") }
	c, err := consumer.New(cfg, consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		return tell(ctx, fmt.Sprintf("/effect/%s", r.Value))
	}))
	if err == nil {
		err = c.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// A member is frozen for longer than its session, others do its work, and it
// thaws: the broker takes no commit of its old life, it drops what it had, joins
// again, and goes on. Then it is killed, and nothing is lost.
func TestZombieAndCrash(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 400)
	e, lost := newEffects(), make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/lost" {
			once.Do(func() { close(lost) })
			return
		}
		time.Sleep(2 * time.Millisecond)
		e.add(&kgo.Record{Value: []byte(strings.TrimPrefix(r.URL.Path, "/effect/"))}, "")
	}))
	defer server.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CONSUMER_TEST_BROKERS="+strings.Join(k.cluster.ListenAddrs(), ","), "CONSUMER_TEST_SINK="+server.URL)
	cmd.Stderr = os.Stderr
	if !testing.Verbose() {
		cmd.Stderr = nil
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()

	k.until("some work", func() bool { return e.distinct() > 20 })
	frozen := k.cluster.GroupInfo(group).Members[0].MemberID
	send := func(s os.Signal) {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	send(syscall.SIGSTOP)
	k.until("the end of its session", func() bool { return k.members() == 0 })
	other := k.start(k.config(), e.handler(time.Millisecond, false))
	k.until("the others' work", func() bool { return k.committed() == 400 })
	k.produce(400, 400)
	k.until("the others' commit", func() bool { return k.committed() == 800 })
	send(syscall.SIGCONT)
	select {
	case <-lost:
	case <-time.After(patience):
		t.Fatal("it did not learn that it had lost everything")
	}
	k.until("its return", func() bool { return k.members() == 2 })
	for _, m := range k.cluster.GroupInfo(group).Members {
		if m.MemberID == frozen {
			t.Error("it is still the member it was")
		}
	}
	if got := k.committed(); got != 800 {
		t.Errorf("the commits went back to %d", got)
	}
	other.finish()
	k.produce(800, 400)
	k.until("its work", func() bool { return e.distinct() > 850 })
	send(syscall.SIGKILL)
	<-ended
	last := k.start(k.config(), e.handler(time.Millisecond, false))
	k.until("all work", func() bool { return k.committed() == 1200 })
	last.finish()
	if e.distinct() != 1200 {
		t.Errorf("%d of 1200 effects", e.distinct())
	}
}
