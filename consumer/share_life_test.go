package consumer_test

import (
	"context"
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

func (r *sharing) probe(path string) int {
	w := httptest.NewRecorder()
	r.c.HealthHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code
}

func (r *sharing) ready() bool { return r.probe("/livez") == 200 && r.probe("/readyz") == 200 }

// unready tells whether it is live, and not ready because of one thing.
func (r *sharing) unready(why string) bool {
	reasons := r.c.Health().Reasons(true)
	return r.probe("/livez") == 200 && r.probe("/readyz") == 503 && len(reasons) == 1 && strings.HasPrefix(reasons[0], why)
}

// acksOnly is true for requests that acknowledge and do not renew.
func acksOnly(req kmsg.Request) bool {
	switch req := req.(type) {
	case *kmsg.ShareAcknowledgeRequest:
		return len(req.Topics) > 0 && !req.IsRenewAck
	case *kmsg.ShareFetchRequest:
		return len(req.Topics) > 0 && len(req.Topics[0].Partitions) > 0 && len(req.Topics[0].Partitions[0].AcknowledgementBatches) > 0
	}
	return false
}

// A share consumer's life as its probes tell it: it is ready once it is in the
// group, stays so while it is full, and is not while acknowledgements or heartbeats
// fail.
func TestShareHealthOfARealLife(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	cfg := k.config()
	cfg.HealthTimeout, cfg.ShutdownTimeout, cfg.HandlerTimeout = 1500*time.Millisecond, 2*time.Second, 0
	cfg.BatchSize, cfg.Concurrency, cfg.MaxInFlight = 1, 1, 1
	gate := make(chan struct{})
	r := k.start(cfg, func(ctx context.Context, _ consumer.Batch) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	r.until("readiness", r.ready)
	s := r.c.Status()
	if s.State != consumer.StateRunning || s.Member == "" || s.Epoch < 1 || s.Err != nil || s.Since.IsZero() {
		t.Fatalf("franz-go's log does not tell any more where the member stands: %+v", s)
	}

	stopped, watched := make(chan struct{}), make(chan string, 1)
	go func() { // it must not flap
		defer close(watched)
		for {
			select {
			case <-stopped:
				return
			case <-time.After(2 * time.Millisecond):
				if h := r.c.Health(); !h.Ready {
					watched <- strings.Join(h.Reasons(true), "; ")
					return
				}
			}
		}
	}()
	k.produce(0, 40)
	r.until("a full consumer for longer than the bound", func() bool {
		s := r.c.Status()
		return s.Stats.InFlight == 1 && s.Calls.Running == 1 && s.OldestHeld > 2*cfg.HealthTimeout && !s.OldestRecord.IsZero()
	})
	fault := k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ShareAcknowledge, kmsg.ShareFetch}, Err: kerr.InvalidRecordState, Count: -1, When: acksOnly})
	close(stopped)
	if reason, flapped := <-watched; flapped {
		t.Errorf("not ready though it is only full: %s", reason)
	}
	close(gate)
	r.until("trouble with acknowledgements", func() bool { return r.unready("acknowledgements: all of orders/") })
	fault.Remove()
	r.until("recovery", r.ready)

	fault = k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ShareGroupHeartbeat}, Err: kerr.UnknownServerError, Count: -1})
	r.until("trouble with heartbeats", func() bool { return r.unready("group: heartbeats have failed for") })
	fault.Remove()
	r.until("recovery", r.ready)

	r.finish()
}

// Brokers that are away make a share consumer unready, not dead.
func TestShareHealthWithoutBrokers(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	cfg := k.config()
	cfg.HealthTimeout, cfg.ShutdownTimeout = time.Second, 2*time.Second
	r := k.start(cfg, func(context.Context, consumer.Batch) error { return nil })
	r.until("readiness", r.ready)
	k.cluster.Close()
	r.until("brokers to be missed", func() bool {
		return r.probe("/livez") == 200 && strings.Contains(strings.Join(r.c.Health().Reasons(true), "\n"), "brokers: none has answered for")
	})
	r.stop()
	if err := r.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A member that the group has thrown out is not ready until it has joined again.
func TestShareHealthWhenThrownOut(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	r := k.start(k.config(), func(context.Context, consumer.Batch) error { return nil })
	r.until("readiness", r.ready)
	var out atomic.Bool
	out.Store(true)
	k.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.ShareGroupHeartbeat}, Err: kerr.UnknownMemberID, Count: -1,
		When: func(req kmsg.Request) bool {
			return out.Load() && req.(*kmsg.ShareGroupHeartbeatRequest).MemberEpoch > 0
		},
	})
	refused := k.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.ShareGroupHeartbeat}, Err: kerr.GroupMaxSizeReached, Count: -1,
		When: func(req kmsg.Request) bool { return req.(*kmsg.ShareGroupHeartbeatRequest).MemberEpoch == 0 },
	})
	r.until("it to be out", func() bool { return r.unready("group: joining again for") })
	r.until("the reason", func() bool { return r.unready("group: joining again for ") && r.c.Status().Err != nil })
	out.Store(false)
	refused.Remove()
	r.until("readiness", r.ready)
	r.finish()
	if s := r.c.Status(); s.State != consumer.StateStopped || r.probe("/livez") != 200 || r.probe("/readyz") != 503 {
		t.Errorf("%+v", s)
	}
}

// With a logger of its own in ClientOpts, a member is known to be in the group all
// the same.
func TestShareHealthWithAnotherLogger(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	cfg := k.config()
	cfg.ClientOpts = append(cfg.ClientOpts, kgo.WithLogger(kgo.BasicLogger(new(keptLog), kgo.LogLevelError, nil)))
	r := k.start(cfg, func(context.Context, consumer.Batch) error { return nil })
	r.until("readiness", r.ready)
	if s := r.c.Status(); s.Member != "" || s.Epoch != -1 {
		t.Errorf("%+v", s)
	}
	r.finish()
}

// A hook that blocks stops the loops, though heartbeats go on.
func TestShareHealthSeesABlockedHook(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	k.produce(0, 1)
	cfg := k.config()
	cfg.HealthTimeout = 300 * time.Millisecond
	release := make(chan struct{})
	var once sync.Once
	cfg.Hooks.OnReceive = func(*kgo.Record) { once.Do(func() { <-release }) }
	r := k.start(cfg, func(context.Context, consumer.Batch) error { return nil })
	r.until("the poll loop to be missed", func() bool {
		return strings.HasPrefix(strings.Join(r.c.Health().Reasons(false), "\n"), "poll-loop: it has not turned for")
	})
	close(release)
	r.until("health, and its end", func() bool { return r.ready() && r.c.Stats().Accepted == 1 })
	r.finish()
}

// A stall is told before Run returns, and by the hook.
func TestShareHealthOfAStall(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	k.produce(0, 1)
	cfg := k.config()
	cfg.HandlerTimeout, cfg.StallTimeout = 0, 500*time.Millisecond
	release := make(chan struct{})
	told := make(chan consumer.StallInfo, 1)
	cfg.Hooks.OnStall = func(i consumer.StallInfo) { told <- i }
	r := k.start(cfg, func(context.Context, consumer.Batch) error { <-release; return nil })
	select {
	case i := <-told:
		if i.Topic != topic || i.FirstOffset != 0 || i.Records != 1 || i.Running < cfg.StallTimeout {
			t.Errorf("%+v", i)
		}
	case <-time.After(patience):
		t.Fatal("nobody told")
	}
	if reasons := strings.Join(r.c.Health().Reasons(false), "\n"); !strings.Contains(reasons, "handlers: 1 handler calls have run for more than StallTimeout") {
		t.Errorf("%q", reasons)
	}
	if err := r.end(); err == nil {
		t.Error("Run: no error")
	}
	if s := r.c.Status(); s.State != consumer.StateFailed || s.Calls.Stalled != 1 || s.Stats.InFlight != 0 {
		t.Errorf("%+v", s)
	}
	close(release)
	k.until("its return", func() bool { return r.c.Status().Calls.Running == 0 })
}

// What a file says of a Consumer counts for a ShareConsumer too.
func TestShareFrom(t *testing.T) {
	cfg, err := consumer.ParseConfig([]byte("brokers: 127.0.0.1:9092\ntopics: [t]\ngroup: g\nhealth-timeout: 7s\nstall-timeout: 1m\nbatch-size: 77\n"))
	if err != nil {
		t.Fatal(err)
	}
	share, d := consumer.ShareFrom(cfg), consumer.DefaultShareConfig()
	if share.HealthTimeout != 7*time.Second || share.StallTimeout != time.Minute || share.Group != "g" || share.BatchSize != d.BatchSize || share.Start != "" {
		t.Errorf("%+v", share)
	}
	if err := share.Validate(); err != nil {
		t.Error(err)
	}
}
