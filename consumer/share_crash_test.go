package consumer_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/harness/reexec"
)

// shareMember is a member that is a process of its own, to be killed and frozen.
// It asks a URL to do the work of each record.
var shareMember = reexec.Mode{Name: "share-member", Run: func(ctx context.Context) int {
	brokers, topic, group, sink := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	cfg := consumer.DefaultShareConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.ClientID, cfg.Start = strings.Split(brokers, ","), []string{topic}, group, "child", consumer.Earliest
	cfg.HandlerTimeout = 0
	ask := func(ctx context.Context, path string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, sink+path, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	tell := func() { _ = ask(context.Background(), "/lost") }
	cfg.Hooks.OnTaken = func(string, int32, int64, error) { go tell() }
	cfg.Hooks.OnAckFailed = func(consumer.ShareAckInfo) { go tell() }
	c, err := consumer.NewShare(cfg, consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		return ask(ctx, "/effect/"+string(r.Value))
	}))
	if err == nil {
		err = c.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}}

// child starts a member as a process; its end is closed when it has ended.
func (k *shareKafka) child(sink string) (cmd *exec.Cmd, end <-chan struct{}) {
	k.Helper()
	cmd, err := reexec.Command(shareMember.Name, strings.Join(k.brokers, ","), k.topic, k.group, sink)
	if err != nil {
		k.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	k.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	return cmd, ended
}

func (k *shareKafka) signal(cmd *exec.Cmd, s os.Signal) {
	k.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		k.Fatal(err)
	}
}

// A member is killed while it has one record in hand and has taken and finished
// many after it. What it finished does not come again but for the last few; what
// it did not finish, the next member gets.
func shareCrash(k *shareKafka) {
	const n = 200
	k.produce(0, 1)
	d := newDeliveries()
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		value := strings.TrimPrefix(r.URL.Path, "/effect/")
		d.add("child", &kgo.Record{Value: []byte(value)})
		if value == "0" {
			<-hang
		}
	}))
	defer server.Close()
	defer sync.OnceFunc(func() { close(hang) })()
	cmd, ended := k.child(server.URL)
	k.until("the record that takes long", func() bool { return d.distinct() == 1 })
	for from := 1; from < n; from += 40 { // in several polls
		k.produce(from, min(40, n-from))
		k.until("those after it", func() bool { return d.distinct() == min(from+40, n) })
	}
	k.signal(cmd, syscall.SIGKILL)
	<-ended
	r := k.start(k.config(), d.handler("other"))
	r.until("what it did not finish", func() bool { return len(d.of("0")) == 2 })
	if got := d.of("0"); got[1] != 2 {
		k.Errorf("it came in delivery %d", got[1])
	}
	before := int64(-1) // what the child had done and not yet told comes too
	for r.c.Stats().Accepted != before {
		before = r.c.Stats().Accepted
		select {
		case <-time.After(k.lock + time.Second):
		case err := <-r.done:
			k.Fatal(err)
		}
	}
	r.finish()
	if before > n/2 {
		k.Errorf("%d of %d records came again", before, n)
	}
	k.nothingLeft()
}

// A member is frozen for longer than the lock of its record, and others get it.
// When it thaws it learns of that.
func shareFrozen(k *shareKafka) {
	k.produce(0, 1)
	d := newDeliveries()
	release := make(chan struct{})
	var lost atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/lost" {
			lost.Add(1)
			return
		}
		d.add("child", &kgo.Record{Value: []byte(strings.TrimPrefix(r.URL.Path, "/effect/"))})
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	goOn := sync.OnceFunc(func() { close(release) })
	defer goOn()
	cmd, ended := k.child(server.URL)
	k.until("its work", func() bool { return d.distinct() == 1 })
	k.signal(cmd, syscall.SIGSTOP)
	other := k.start(k.config(), d.handler("other"))
	other.until("the record", func() bool { return other.c.Stats().Accepted == 1 })
	if got := d.of("0"); len(got) != 2 || got[1] != 2 {
		k.Errorf("deliveries %v", got)
	}
	k.signal(cmd, syscall.SIGCONT)
	goOn()
	other.until("its coming to know", func() bool { return lost.Load() > 0 })
	k.signal(cmd, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(patience):
		k.Error("it does not end")
	}
	other.finish()
}
