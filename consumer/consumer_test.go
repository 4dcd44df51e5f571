package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
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

// Members come and go; nothing is lost, nothing repeated, since every revoke
// drains and commits, and order is kept, by partition or by key.
func TestRebalances(t *testing.T) {
	for _, protocol := range []consumer.Protocol{consumer.ProtocolCooperative, consumer.ProtocolEager, consumer.ProtocolConsumer} {
		for _, order := range []consumer.Order{consumer.OrderPartition, consumer.OrderKey} {
			t.Run(string(protocol)+"/"+string(order), func(t *testing.T) {
				t.Parallel()
				k := startKafka(t)
				const n = 1500
				k.produce(0, n)
				cfg := k.config()
				cfg.Protocol, cfg.Order, cfg.Concurrency = protocol, order, 16
				cfg.MaxInFlight = 200
				e := newEffects()
				takes := time.Millisecond
				if order == consumer.OrderKey {
					takes = 5 * time.Millisecond
				}
				handler := e.handler(takes, order == consumer.OrderKey)
				first := k.start(cfg, handler)
				<-e.first
				second := k.start(cfg, handler)
				k.until("two members", func() bool { return k.members() == 2 })
				third := k.start(cfg, handler)
				k.until("work for all three", func() bool {
					info := k.cluster.GroupInfo(group)
					at := 0
					for _, m := range info.Members {
						at += min(1, m.NumAssigned())
					}
					return info.State == "Stable" && at == 3
				})
				first.finish()
				k.until("every effect", func() bool { return e.distinct() == n })
				second.finish()
				third.finish()
				if got := k.committed(); got != n {
					t.Errorf("committed %d, want %d", got, n)
				}
				if e.repeated() != 0 {
					t.Errorf("%d repeated", e.repeated())
				}
				if e.wrong != "" {
					t.Error(e.wrong)
				}
				if k.members() != 0 {
					t.Errorf("%d members are left", k.members())
				}
			})
		}
	}
}

// A graceful stop in the middle of a batch commits exactly what was done, and
// leaves the group.
func TestGracefulStop(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 400)
	cfg := k.config()
	cfg.CommitInterval = time.Hour // so it is the last commit that counts
	e := newEffects()
	r := k.start(cfg, e.handler(2*time.Millisecond, false))
	<-e.first
	r.finish()
	if done := int64(e.distinct()); k.committed() != done || done == 0 || done == 400 {
		t.Fatalf("committed %d, done %d", k.committed(), done)
	}
	if k.members() != 0 {
		t.Fatalf("%d members are left", k.members())
	}
}

// Poison ends in the dead-letter topic byte for byte, acknowledged before its
// offset is committed, after the promised number of attempts.
func TestDeadLetter(t *testing.T) {
	k := startKafka(t)
	cfg := k.config()
	cfg.CommitEachBatch = true
	cfg.Poison.Topic = "dlq.{group}.{topic}"
	// Whoever looks at a produce request has it before it is answered.
	early := make(chan string, 1)
	k.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.cluster.KeepControl()
		if req.(*kmsg.ProduceRequest).Topics[0].Topic == letters {
			k.cluster.SleepControl(func() { time.Sleep(50 * time.Millisecond) })
			if info := k.cluster.GroupInfo(group); info != nil && info.Commits[topic][2].Offset > 3 {
				select {
				case early <- fmt.Sprintf("offset %d was committed before the dead letter", info.Commits[topic][2].Offset):
				default:
				}
			}
		}
		return nil, nil, false
	})
	const bad = 14 // partition 2, offset 3
	k.produce(0, 100)
	var attempts atomic.Int32
	e := newEffects()
	r := k.start(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
		if string(r.Value) == strconv.Itoa(bad) {
			attempts.Add(1)
			return fmt.Errorf("cannot: %w", errors.New(strings.Repeat("é", 2000)))
		}
		e.add(r, "")
		return nil
	}))
	k.until("the commit of all", func() bool { return k.committed() == 100 })
	r.finish()
	select {
	case msg := <-early:
		t.Error(msg)
	default:
	}
	if int(attempts.Load()) != cfg.Retry.Attempts || e.distinct() != 99 || e.repeated() != 0 || e.wrong != "" {
		t.Errorf("%d attempts, %d others, %d repeated, %s", attempts.Load(), e.distinct(), e.repeated(), e.wrong)
	}
	got := k.letters(1)[0]
	if string(got.Key) != "k14" || string(got.Value) != "14" || got.Headers[0].Key != "trace" || !bytes.Equal(got.Headers[0].Value, []byte{0, 0xff, bad}) {
		t.Errorf("the dead letter is not the record: %s %s %v", got.Key, got.Value, got.Headers[0])
	}
	headers := map[string]string{}
	for _, h := range got.Headers[1:] {
		headers[h.Key] = string(h.Value)
	}
	for name, want := range map[string]string{
		consumer.HeaderTopic: topic, consumer.HeaderPartition: "2", consumer.HeaderOffset: "3", consumer.HeaderGroup: group,
		consumer.HeaderDeliveryCount: "5", consumer.HeaderAttempts: "5", consumer.HeaderErrorType: "*errors.errorString",
		consumer.HeaderCycles: "1", consumer.HeaderInstance: "c", consumer.HeaderStage: "handler",
	} {
		if headers[name] != want {
			t.Errorf("header %s is %q, want %q", name, headers[name], want)
		}
	}
	if m := headers[consumer.HeaderMessage]; len(m) > 1024 || len(m) < 1020 || !strings.HasPrefix(m, "cannot: é") {
		t.Errorf("the message has %d bytes: %.20s", len(m), m)
	}
}

// letters reads the dead letters, n of them.
func (k *kafka) letters(n int) []*kgo.Record {
	k.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.cluster.ListenAddrs()...), kgo.ConsumeTopics(letters), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		k.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			k.Fatalf("%d dead letters, want %d", len(out), n)
		}
		out = append(out, f.Records()...)
	}
	return out
}

// A dead-letter topic that does not take the record stops the consumer before it.
func TestDeadLetterTopicIsMissing(t *testing.T) {
	k := startKafka(t)
	cfg := k.config()
	cfg.Poison.Topic = "missing"
	cfg.Retry.Attempts = 2
	cfg.ClientOpts = append(cfg.ClientOpts, kgo.UnknownTopicRetries(1), kgo.MetadataMinAge(10*time.Millisecond))
	k.produce(0, 40)
	e := newEffects()
	r := k.start(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
		if r.Partition == 1 && r.Offset == 5 {
			return consumer.Permanent(errors.New("bad"))
		}
		e.add(r, "")
		return nil
	}))
	var poison *consumer.PoisonError
	if err := r.end(); !errors.As(err, &poison) || poison.Partition != 1 || poison.Offset != 5 || !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Fatalf("Run: %v", err)
	}
	if got := k.committed(); got != int64(e.distinct()) || k.cluster.GroupInfo(group).Commits[topic][1].Offset != 5 {
		t.Fatalf("committed %d, done %d", got, e.distinct())
	}
}

// Fatal stops without another commit.
func TestFatal(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 400)
	cfg := k.config()
	cfg.CommitInterval = time.Hour
	e := newEffects()
	boom := errors.New("boom")
	r := k.start(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
		if string(r.Value) == "200" {
			return consumer.Fatal(boom)
		}
		e.add(r, "")
		return nil
	}))
	if err := r.end(); !errors.Is(err, boom) {
		t.Fatalf("Run: %v", err)
	}
	if k.committed() != 0 || e.distinct() == 0 || k.members() != 0 {
		t.Fatalf("committed %d after %d effects, %d members left", k.committed(), e.distinct(), k.members())
	}
}

// With CommitEachBatch a partition's next batch starts only after the one before
// was committed.
func TestCommitEachBatch(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 400)
	cfg := k.config()
	cfg.CommitEachBatch, cfg.CommitInterval = true, time.Hour
	e := newEffects()
	var wrong atomic.Value
	r := k.start(cfg, func(_ context.Context, b consumer.Batch) error {
		if first := b.Records[0]; first.Offset > 0 {
			if got := k.cluster.GroupInfo(group).Commits[topic][first.Partition].Offset; got != first.Offset {
				wrong.Store(fmt.Sprintf("at %d the commit was %d", first.Offset, got))
			}
		}
		for _, r := range b.Records {
			e.add(r, "")
		}
		return nil
	})
	k.until("the commit of all", func() bool { return k.committed() == 400 })
	r.finish()
	if msg := wrong.Load(); msg != nil || e.repeated() != 0 {
		t.Fatalf("%v, %d repeated", msg, e.repeated())
	}
}

// The group has thrown the member out and a commit is what it learns it by:
// everything is fenced, its handlers are cancelled, and it joins again from what
// is committed.
func TestRefusedCommitFences(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.FencedMemberEpoch} {
		t.Run(refusal.Message, func(t *testing.T) {
			t.Parallel()
			k := startKafka(t)
			const n = 400
			k.produce(0, n)
			cfg := k.config()
			var revokes, assigns atomic.Int32
			cfg.Hooks.OnAssign = func(string, []int32) { assigns.Add(1) }
			cfg.Hooks.OnRevoke = func(string, []int32, bool) { revokes.Add(1) }
			e := newEffects()
			r := k.start(cfg, e.handler(time.Millisecond, false))
			<-e.first
			fault := k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: refusal, Count: 1})
			k.until("the commit of all", func() bool { return k.committed() == n })
			r.finish()
			if fault.Hits() != 1 || assigns.Load() < 2 || e.distinct() != n || e.wrong != "" {
				t.Errorf("%d refused, %d assignments, %d effects, %s", fault.Hits(), assigns.Load(), e.distinct(), e.wrong)
			}
		})
	}
}

// Coordinator errors and a rebalance in progress are no loss: the commit is
// tried again, and nothing is repeated.
func TestCommitIsTriedAgain(t *testing.T) {
	for _, trouble := range []*kerr.Error{kerr.RebalanceInProgress, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.RequestTimedOut} {
		t.Run(trouble.Message, func(t *testing.T) {
			t.Parallel()
			k := startKafka(t)
			const n = 400
			k.produce(0, n)
			e := newEffects()
			fault := k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: trouble, Count: 3})
			r := k.start(k.config(), e.handler(time.Millisecond, false))
			k.until("the commit of all", func() bool { return k.committed() == n })
			r.finish()
			if fault.Hits() != 3 || e.distinct() != n || e.repeated() != 0 {
				t.Errorf("%d refused, %d effects, %d repeated", fault.Hits(), e.distinct(), e.repeated())
			}
		})
	}
}

// The member learns by a heartbeat that it is out: handlers are cancelled,
// nothing is committed for what they did, and it joins again and goes on.
func TestLost(t *testing.T) {
	for _, protocol := range []consumer.Protocol{consumer.ProtocolCooperative, consumer.ProtocolConsumer} {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			k := startKafka(t)
			k.produce(0, 100)
			cfg := k.config()
			cfg.Protocol, cfg.BatchSize = protocol, 1
			lost := make(chan struct{})
			var once sync.Once
			cfg.Hooks.OnLost = func(string, []int32, error) { once.Do(func() { close(lost) }) }
			started := make(chan struct{}, 100)
			e := newEffects()
			r := k.start(cfg, func(ctx context.Context, b consumer.Batch) error {
				select {
				case <-lost:
				default: // the first life does its work, though it is told not to
					select {
					case started <- struct{}{}:
					default:
					}
					<-ctx.Done()
					return nil
				}
				e.add(b.Records[0], "")
				return nil
			})
			for range partitions {
				<-started
			}
			key := kmsg.Heartbeat
			if protocol == consumer.ProtocolConsumer {
				key = kmsg.ConsumerGroupHeartbeat
			}
			k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.UnknownMemberID, TopLevel: true, Count: 1})
			select {
			case <-lost:
			case <-time.After(patience):
				t.Fatal("not lost")
			}
			k.until("the commit of all", func() bool { return k.committed() == 100 })
			r.finish()
			if e.distinct() != 100 {
				t.Errorf("%d effects after the loss, want all 100: some were committed for the lost epoch", e.distinct())
			}
		})
	}
}

// Another member with the same instance id ends the consumer.
func TestFencedInstance(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 10)
	cfg := k.config()
	cfg.InstanceID = "one"
	e := newEffects()
	first := k.start(cfg, e.handler(0, false))
	<-e.first
	second := k.start(cfg, e.handler(0, false))
	if err := first.end(); !errors.Is(err, kerr.FencedInstanceID) {
		t.Fatalf("Run: %v", err)
	}
	second.finish()
}

// A record that fails for a while holds up its own key only.
func TestSlowKeyHoldsItsLaneOnly(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 400)
	cfg := k.config()
	cfg.Order = consumer.OrderKey
	e := newEffects()
	release := make(chan struct{})
	r := k.start(cfg, func(_ context.Context, b consumer.Batch) error {
		if string(b.Records[0].Key) == "k4" {
			<-release
		}
		for _, r := range b.Records {
			e.add(r, string(r.Key))
		}
		return nil
	})
	k.until("all other keys", func() bool { return e.distinct() == 380 })
	close(release)
	k.until("the commit of all", func() bool { return k.committed() == 400 })
	r.finish()
	if e.wrong != "" || e.repeated() != 0 {
		t.Fatal(e.wrong, e.repeated())
	}
}

// The shutdown timeout holds even if a handler is deaf.
func TestShutdownTimeout(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 1)
	cfg := k.config()
	cfg.ShutdownTimeout = time.Second
	started, release := make(chan struct{}), make(chan struct{})
	r := k.start(cfg, func(context.Context, consumer.Batch) error { close(started); <-release; return nil })
	<-started
	begin := time.Now()
	r.stop()
	if err := r.end(); !errors.Is(err, consumer.ErrShutdownTimeout) {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	close(release)
}

// The group throws a member out while it is about to rejoin. kgo then comes back
// as another member and believes to have kept its partitions; they must count as
// lost all the same, since others may have had them.
func TestComesBackAsAnotherMember(t *testing.T) {
	k := startKafka(t)
	const n = 800
	k.produce(0, n)
	cfg := k.config()
	lost := make(chan struct{})
	var once sync.Once
	cfg.Hooks.OnLost = func(string, []int32, error) { once.Do(func() { close(lost) }) }
	e := newEffects()
	r := k.start(cfg, e.handler(2*time.Millisecond, false))
	<-e.first
	old := k.cluster.GroupInfo(group).Members[0].MemberID
	committers := k.committers()
	forgotten := k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.UnknownMemberID, TopLevel: true, Count: 1})
	k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress, TopLevel: true, Count: 1})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := forgotten.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = group
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = old
	leave.Members = append(leave.Members, member)
	if _, err := leave.RequestWith(ctx, k.client); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lost:
	case <-ctx.Done():
		t.Fatal("it went on as if nothing had happened")
	}
	k.until("the commit of all", func() bool { return k.committed() == n })
	r.finish()
	if e.distinct() != n || e.wrong != "" {
		t.Fatalf("%d effects, %s", e.distinct(), e.wrong)
	}
	// Commits of the first member wait while it joins; none of them may leave in
	// the name of the second. The third has joined from scratch.
	if got := committers(); len(got) > 2 {
		t.Errorf("%d members have committed: %v", len(got), got)
	}
}

// committers returns a function that tells which members have asked for a commit
// since.
func (k *kafka) committers() func() map[string]int {
	var mu sync.Mutex
	seen := make(map[string]int)
	k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Observe: true, Count: -1, When: func(r kmsg.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		seen[r.(*kmsg.OffsetCommitRequest).MemberID]++
		return true
	}})
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(seen)
	}
}
