package dlq_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/consumer/dlq"
	"github.com/ksim-dev/ksim/harness/reexec"
)

// replayMode is a replay as a process of its own: brokers, topic. It prints a line
// for each letter.
var replayMode = reexec.Mode{Name: "dlq-replay", Run: func(ctx context.Context) int {
	cfg := dlq.Config{
		ClientOpts: []kgo.Opt{kgo.SeedBrokers(strings.Split(os.Args[1], ",")...), kgo.DisableClientMetrics()},
		Topic:      os.Args[2], Timeout: 20 * time.Second, Logger: slog.New(slog.DiscardHandler),
	}
	opts := dlq.DefaultReplay()
	opts.Batch = 4
	opts.OnLetter = func(l *dlq.Letter, _ *kgo.Record) { fmt.Println(l.Place()) }
	if _, err := dlq.Replay(ctx, cfg, opts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}}

// child starts a replay. Its lines go to line; kill ends it and waits.
func (k *kafka) child(line func(n int)) (kill func(), ended chan error) {
	k.Helper()
	cmd, err := reexec.Command(replayMode.Name, strings.Join(k.brokers, ","), k.dead)
	if err != nil {
		k.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		k.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	ended = make(chan error, 1)
	dead := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for n := 1; lines.Scan(); n++ {
			line(n)
		}
		ended <- cmd.Wait()
		close(dead)
	}()
	kill = sync.OnceFunc(func() { _ = cmd.Process.Kill() })
	k.Cleanup(func() { kill(); <-dead })
	return kill, ended
}

// A replay is killed again and again, at seeded points. In the end each letter has
// been sent exactly once, in order.
func testKill(t *testing.T, k *kafka) {
	const kills, n = 20, 260
	k.letters(n)
	rnd := rand.New(rand.NewPCG(7, uint64(len(k.origin))))
	killed := 0
	for killed < kills {
		kill, ended := k.killAt(rnd)
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if err == nil {
				t.Fatalf("the replay was done after %d kills", killed)
			}
			if !errors.As(err, &exit) || exit.ExitCode() != -1 {
				t.Fatalf("the replay ended by itself: %v", err)
			}
			killed++
		case <-time.After(patience):
			kill()
			t.Fatal("the replay hangs")
		}
	}
	s := k.replay(dlq.DefaultReplay())
	t.Logf("%d letters were left after %d kills", s.Letters, killed)
	if s.Letters == 0 || s.Letters == n {
		t.Error("the kills hit nothing")
	}
	k.exactly(upTo(n))
}

// killAt starts a replay that will be killed: on kfake when the broker gets a
// certain request of a transaction, which it then takes or never sees; on real Kafka
// a moment after a certain letter.
func (k *kafka) killAt(rnd *rand.Rand) (kill func(), ended chan error) {
	if k.cluster == nil {
		at, after := 1+rnd.IntN(3)*4, time.Duration(rnd.IntN(30))*time.Millisecond
		var end func()
		ready := make(chan struct{})
		end, ended = k.child(func(n int) {
			<-ready
			if n == at {
				time.AfterFunc(after, end)
			}
		})
		close(ready)
		return end, ended
	}
	keys := []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn}
	at, lost := 1+rnd.IntN(15), rnd.IntN(2) == 0
	var mu sync.Mutex
	seen := 0
	mu.Lock()
	for _, key := range keys {
		k.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			mu.Lock()
			defer mu.Unlock()
			k.cluster.KeepControl()
			if seen++; seen != at {
				return nil, nil, false
			}
			kill()
			if lost {
				return nil, errors.New("it never came"), true
			}
			return nil, nil, false
		})
	}
	kill, ended = k.child(func(int) {})
	mu.Unlock()
	return kill, ended
}
