package observe

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// lag starts a sampler; an interval of an hour leaves sampling to Once.
func (b *bench) lag(interval time.Duration) *Lag {
	b.t.Helper()
	l, err := StartLag(LagConfig{Opts: b.opts, Log: b.log, Group: group, Topic: mainTopic, Interval: interval})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(l.Close)
	return l
}

func (b *bench) once(l *Lag) map[int32]Position {
	b.t.Helper()
	got, err := l.Once(b.ctx())
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func TestLagLogsChangesOnly(t *testing.T) {
	b := newBench(t)
	l := b.lag(time.Hour)
	if got := b.once(l); got[0] != (Position{Committed: -1, End: 0}) || got[1] != (Position{Committed: -1, End: 0}) || len(got) != 2 {
		t.Fatalf("a group that does not exist: %v", got)
	}
	for range 3 {
		b.send(mainTopic, 1, nil, []byte("v"))
	}
	b.once(l)
	b.commit(1, 2)
	for range 5 {
		if got := b.once(l); got[1] != (Position{Committed: 2, End: 3}) || got[1].Behind() != 1 || got[0].Behind() != 0 {
			t.Fatalf("position %v", got)
		}
	}
	var of1 []Position
	events := b.events(history.Lag)
	for _, e := range events {
		if e.Partition == 1 {
			of1 = append(of1, Position{Committed: e.Offset, End: e.End})
		}
	}
	if len(events) != 4 || len(of1) != 3 || of1[1] != (Position{Committed: -1, End: 3}) || of1[2] != (Position{Committed: 2, End: 3}) {
		t.Errorf("events %+v", events)
	}
}

func TestLagSamplesInTheBackground(t *testing.T) {
	b := newBench(t)
	b.lag(5 * time.Millisecond)
	b.send(mainTopic, 0, nil, []byte("v"))
	b.commit(0, 1)
	_, err := b.log.Await(b.ctx(), 0, func(e history.Event) bool {
		return e.Kind == history.Lag && e.Partition == 0 && e.Offset == 1 && e.End == 1
	})
	if err != nil {
		t.Error(err)
	}
}

var groupProtocols = map[string][]kgo.Opt{
	"classic": {},
	"KIP-848": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.CooperativeStickyBalancer(), kgo.RangeBalancer())},
}

// memberCommits joins a group, reads n records and commits them.
func (b *bench) memberCommits(t *testing.T, group string, n int, opts []kgo.Opt) {
	t.Helper()
	member, err := kgo.NewClient(append(append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(mainTopic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}, b.opts...), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	var recs []*kgo.Record
	for ctx := b.ctx(); len(recs) < n && ctx.Err() == nil; {
		recs = append(recs, member.PollFetches(ctx).Records()...)
	}
	if len(recs) != n {
		t.Fatalf("%d records", len(recs))
	}
	if err := member.CommitRecords(b.ctx(), recs...); err != nil {
		t.Fatal(err)
	}
}

// A real member of each kind of group commits; the sampler sees it.
func TestLagOfBothGroupProtocols(t *testing.T) {
	for name, opts := range groupProtocols {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			l := b.lag(time.Hour)
			b.send(mainTopic, 0, nil, []byte("v"))
			b.memberCommits(t, group, 1, opts)
			if got := b.once(l)[0]; got != (Position{Committed: 1, End: 1}) {
				t.Errorf("position %v", got)
			}
		})
	}
}

func TestLagErrors(t *testing.T) {
	if _, err := StartLag(LagConfig{}); err == nil {
		t.Error("an empty config is accepted")
	}
	b := newBench(t)
	refused := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	l := b.lag(5 * time.Millisecond)
	if err := refused.Wait(b.ctx(), 3); err != nil { // the sampler goes on
		t.Fatal(err)
	}
	if err := l.Err(); !errors.Is(err, kerr.GroupAuthorizationFailed) {
		t.Errorf("error %v", err)
	}
	refused.Remove()
	b.once(l)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Once(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error of a cancelled sample: %v", err)
	}
	l.Close()
	l.Close()
}
