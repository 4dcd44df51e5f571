package consumer_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/consumer"
)

// A handler call on partition 0 never returns. The consumer says so and leaves:
// what is in flight elsewhere ends and is committed, partition 0 up to the batch
// that stalled, and another member goes on with all of it, long before the
// shutdown timeout, which is for handlers that do return.
func TestStallGivesPartitionsToOthers(t *testing.T) {
	for _, protocol := range []consumer.Protocol{consumer.ProtocolCooperative, consumer.ProtocolEager, consumer.ProtocolConsumer} {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			k := startKafka(t)
			k.produce(0, 200) // 50 in each partition
			cfg := k.config()
			cfg.Protocol, cfg.CommitInterval = protocol, time.Hour
			cfg.HandlerTimeout, cfg.StallTimeout, cfg.ShutdownTimeout = time.Second, 2*time.Second, 2*patience
			stalled := make(chan consumer.StallInfo, 1)
			var once sync.Once
			told := make(chan struct{})
			cfg.Hooks.OnStall = func(info consumer.StallInfo) {
				once.Do(func() { stalled <- info; close(told) })
			}
			release := make(chan struct{})
			defer close(release)
			reached, inFlight := make(chan struct{}), make(chan struct{})
			sick, err := consumer.New(cfg, func(_ context.Context, b consumer.Batch) error {
				switch first := b.Records[0]; {
				case first.Partition == 0 && first.Offset == 20:
					close(reached)
					<-release
				case first.Partition == 1 && first.Offset == 20:
					<-reached
					time.Sleep(cfg.StallTimeout / 2) // the next one must not stall as well
				case first.Partition == 1 && first.Offset == 30:
					close(inFlight)
					<-told // ends only after the stall, deaf to its timeout
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- sick.Run(context.Background()) }()
			var info consumer.StallInfo
			select {
			case info = <-stalled:
				<-inFlight
			case <-time.After(patience):
				t.Fatal("no stall")
			}
			if info.Topic != topic || info.Partition != 0 || info.FirstOffset != 20 || info.Records != 10 || info.Running < cfg.StallTimeout {
				t.Errorf("%+v", info)
			}
			if h := sick.Health(); h.Live || h.Ready {
				t.Errorf("healthy, though a handler has stalled: %+v", h)
			}
			// The other member. What it begins with is what was committed.
			var mu sync.Mutex
			begins := map[int32]int64{}
			other := k.config()
			other.Protocol = protocol
			well := k.start(other, func(_ context.Context, b consumer.Batch) error {
				mu.Lock()
				defer mu.Unlock()
				if _, ok := begins[b.Partition]; !ok {
					begins[b.Partition] = b.Records[0].Offset
				}
				return nil
			})
			k.until("the others' work", func() bool { return k.committed() == 200 })
			well.finish()
			select {
			case err = <-done:
			case <-time.After(patience):
				t.Fatal("Run does not return")
			}
			if !errors.Is(err, consumer.ErrStalled) || !strings.Contains(err.Error(), "orders/0@20, 10 records") {
				t.Errorf("Run: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if begins[0] != 20 {
				t.Errorf("partition 0 goes on at %d, want 20", begins[0])
			}
			if at, ok := begins[1]; ok && at < 40 {
				t.Errorf("partition 1 goes on at %d: what was in flight was not committed", at)
			}
			s := sick.Status()
			if s.State != consumer.StateFailed || !errors.Is(s.Err, consumer.ErrStalled) || len(s.Partitions) != 0 || s.Calls.Running != 1 || s.Calls.Stalled != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The partition of a call that stalls was lost meanwhile and has come back: its
// next epoch waits for the call, so the session of today has to end.
func TestStallOfAnEarlierSession(t *testing.T) {
	t.Parallel()
	k := startKafka(t)
	k.produce(0, 200)
	cfg := k.config()
	cfg.HandlerTimeout, cfg.StallTimeout = 500*time.Millisecond, 3*time.Second
	release, stuck := make(chan struct{}), make(chan struct{})
	defer close(release)
	var losses atomic.Int32
	cfg.Hooks.OnLost = func(string, []int32, error) { losses.Add(1) }
	var once sync.Once
	c, err := consumer.New(cfg, func(_ context.Context, b consumer.Batch) error {
		if b.Partition == 0 {
			once.Do(func() { close(stuck) })
			<-release
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(context.Background()) }()
	<-stuck
	k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.IllegalGeneration, Count: 1})
	k.produce(200, 200) // something to commit
	k.until("its return", func() bool {
		s := c.Status()
		return losses.Load() > 0 && s.State == consumer.StateRunning && len(s.Partitions) == partitions && s.Partitions[0].Waiting && s.Calls.Running == 1
	})
	select {
	case err := <-done:
		if !errors.Is(err, consumer.ErrStalled) {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it waits for ever")
	}
	if losses.Load() != 1 {
		t.Errorf("%d losses told, want 1", losses.Load())
	}
	if got := k.cluster.GroupInfo(group).Commits[topic][0].Offset; got > 0 {
		t.Errorf("partition 0 was committed to %d", got)
	}
}

// A consumer's life as its probes tell it: it is ready from its first generation
// on, stays so while members come and go, with nothing to do as well, and is not
// while commits fail or brokers are away.
func TestHealthOfARealLife(t *testing.T) {
	t.Parallel()
	k := startKafka(t)
	cfg := k.config()
	cfg.HealthTimeout, cfg.LagInterval, cfg.ShutdownTimeout = 2*time.Second, 20*time.Millisecond, 2*time.Second
	cfg.ClientOpts = append(cfg.ClientOpts, kgo.FetchMaxWait(100*time.Millisecond))
	c, err := consumer.New(cfg, func(context.Context, consumer.Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	probe := func(path string) int {
		w := httptest.NewRecorder()
		c.HealthHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code
	}
	ready := func() bool { return probe("/livez") == 200 && probe("/readyz") == 200 }
	if probe("/livez") != 200 || probe("/readyz") != 503 {
		t.Error("before Run")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	k.until("readiness", ready)

	stopped, watched := make(chan struct{}), make(chan string, 1)
	go func() { // it must not flap
		defer close(watched)
		for {
			select {
			case <-stopped:
				return
			case <-time.After(2 * time.Millisecond):
				if h := c.Health(); !h.Ready {
					watched <- strings.Join(h.Reasons(true), "; ")
					return
				}
			}
		}
	}()
	var others []*running
	for range partitions { // one more than there is work for
		others = append(others, k.start(k.config(), func(context.Context, consumer.Batch) error { return nil }))
	}
	k.until("all members", func() bool { return k.members() == partitions+1 && k.cluster.GroupInfo(group).State == "Stable" })
	for _, r := range others {
		r.finish()
	}
	k.until("all partitions", func() bool { return len(c.Status().Partitions) == partitions })
	close(stopped)
	if reason, flapped := <-watched; flapped {
		t.Errorf("not ready in a rebalance: %s", reason)
	}

	fault := k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownServerError, Count: -1})
	k.produce(0, 40)
	k.until("trouble with commits", func() bool { return probe("/livez") == 200 && probe("/readyz") == 503 })
	if r := c.Health().Reasons(true); len(r) != 1 || !strings.HasPrefix(r[0], "commits: they have failed for") {
		t.Errorf("%q", r)
	}
	fault.Remove()
	k.until("recovery", ready)

	k.cluster.Close()
	k.until("brokers to be missed", func() bool {
		return probe("/livez") == 200 && probe("/readyz") == 503 && strings.Contains(strings.Join(c.Health().Reasons(true), "\n"), "brokers: none has answered for")
	})
	for _, p := range c.Status().Partitions {
		if p.EndErr == nil || time.Since(p.EndAt) < cfg.LagInterval {
			t.Errorf("the end of the log is told as if it were known: %+v", p)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run does not return")
	}
	if probe("/livez") != 200 || probe("/readyz") != 503 || c.Status().State != consumer.StateStopped {
		t.Error("after Run")
	}
}

// A hook that blocks stops the poll loop, though heartbeats go on.
func TestHealthSeesABlockedPollLoop(t *testing.T) {
	t.Parallel()
	k := startKafka(t)
	cfg := k.config()
	cfg.HealthTimeout, cfg.DrainTimeout, cfg.ShutdownTimeout = 300*time.Millisecond, 200*time.Millisecond, time.Second
	blocked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	cfg.Hooks.OnAssign = func(string, []int32) { once.Do(func() { close(blocked); <-release }) }
	c, err := consumer.New(cfg, func(context.Context, consumer.Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-blocked
	k.until("the poll loop to be missed", func() bool {
		h := c.Health()
		return !h.Live && strings.Contains(strings.Join(h.Reasons(false), "\n"), "poll-loop: a rebalance callback has run for")
	})
	close(release)
	k.until("health", func() bool { h := c.Health(); return h.Live && h.Ready })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}
