package observe

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

func TestAwaitDrainedAll(t *testing.T) {
	b := newBench(t)
	l := b.lag(time.Hour)
	b.send(mainTopic, 0, nil, []byte("v"))
	b.send(mainTopic, 0, nil, []byte("w"))
	b.commit(0, 1)
	b.once(l)
	// The rest is committed once the wait has begun and seen what is missing.
	events := b.log.Last()
	b.send(mainTopic, 1, nil, []byte("x"))
	go func() {
		_, _ = b.log.Await(b.ctx(), events, func(e history.Event) bool { return e.Kind == history.Lag })
		b.commit(0, 2)
		b.commit(1, 1)
	}()
	d, err := AwaitDrained(b.ctx(), l, 10*time.Second)
	if err != nil || d.Outcome != DrainedAll || len(d.Behind) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestAwaitDrainedStalled(t *testing.T) {
	b := newBench(t)
	l := b.lag(time.Hour)
	b.send(mainTopic, 1, nil, []byte("v"))
	const stall = 300 * time.Millisecond
	d, err := AwaitDrained(b.ctx(), l, stall)
	if err != nil || d.Outcome != DrainStalled {
		t.Fatalf("%+v, %v", d, err)
	}
	if d.Idle < stall || d.Waited < stall || d.Behind[1] != (Position{Committed: -1, End: 1}) || len(d.Behind) != 1 {
		t.Errorf("%+v", d)
	}
}

// Effects and commits keep a drain from being called stalled; the deadline
// ends it then, and that is told apart.
func TestAwaitDrainedOverran(t *testing.T) {
	for name, progress := range map[string]func(*bench, int){
		"effects": func(b *bench, _ int) { b.log.Append(history.Event{Kind: history.EffectDone}) },
		"commits": func(b *bench, i int) { b.commit(1, int64(i%2)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			l := b.lag(time.Hour)
			b.send(mainTopic, 1, nil, []byte("v"))
			b.send(mainTopic, 1, nil, []byte("w"))
			ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
			defer cancel()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := 0; pause(ctx, 100*time.Millisecond); i++ {
					progress(b, i)
				}
			}()
			d, err := AwaitDrained(ctx, l, time.Second)
			<-done
			if err != nil || d.Outcome != DrainOverran || d.Idle >= time.Second {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

// What does not show a member at work does not count: a hot loop of refused
// commits, or the observer's own samples.
func TestNoProgress(t *testing.T) {
	for _, e := range []history.Event{
		{Kind: history.Committed, Outcome: history.Refused},
		{Kind: history.CommitRequested}, {Kind: history.Lag}, {Kind: history.Phase}, {Kind: history.Joining},
	} {
		if getsOn(e) {
			t.Errorf("%s %s counts as progress", e.Kind, e.Outcome)
		}
	}
	if !getsOn(history.Event{Kind: history.Committed, Outcome: history.Accepted}) {
		t.Error("an accepted commit does not count as progress")
	}
}

func TestAwaitDrainedErrors(t *testing.T) {
	b := newBench(t)
	l := b.lag(time.Hour)
	b.send(mainTopic, 1, nil, []byte("v"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if d, err := AwaitDrained(ctx, l, time.Minute); !errors.Is(err, context.Canceled) || d.Outcome != "" {
		t.Errorf("cancelled: %+v, %v", d, err)
	}
	// A broker that answers only errors: nobody can tell, whatever the bounds.
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	w := drainWatch{lag: l, answered: time.Now().Add(-time.Hour), progress: time.Now()}
	ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if d, err := w.await(ctx, time.Now(), 10*time.Millisecond); !errors.Is(err, kerr.GroupAuthorizationFailed) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %+v, %v", d, err)
	}
}
