package dlq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/ksim-dev/ksim/consumer/dlq"
)

// refused expects an error that says all of want, from a plan and from a replay.
func refused(t *testing.T, cfg dlq.Config, opts dlq.ReplayOptions, want ...string) {
	t.Helper()
	_, plan := dlq.MakePlan(t.Context(), cfg, opts)
	s, err := dlq.Replay(t.Context(), cfg, opts)
	for _, w := range want {
		if plan == nil || !strings.Contains(plan.Error(), w) || err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("the errors do not say %q:\n%v\n%v", w, plan, err)
		}
	}
	if s.Letters != 0 {
		t.Errorf("%d letters were sent", s.Letters)
	}
}

func TestBadInput(t *testing.T) {
	k := embedded(t)
	all := dlq.DefaultReplay()
	cfg := k.config()
	cfg.Topic = "dlq.nobody"
	refused(t, cfg, all, "dlq.nobody", "there is no such topic")
	yielded := 0
	for l, err := range dlq.List(t.Context(), cfg, dlq.ListOptions{}) {
		yielded++
		if l != nil || err == nil || !strings.Contains(err.Error(), "there is no such topic") {
			t.Errorf("%v, %v", l, err)
		}
	}
	if yielded != 1 {
		t.Errorf("List yielded %d times, want the error once", yielded)
	}
	cfg.Topic = ""
	refused(t, cfg, all, "Config.Topic")
	cfg.Topic, cfg.Timeout = "x", -1
	refused(t, cfg, all, "Timeout")
	opts := all
	opts.To = k.dead
	refused(t, k.config(), opts, "dead-letter topic itself")
	refused(t, k.config(), dlq.ReplayOptions{Timestamp: "noon", MaxCycles: -1, Filter: dlq.Filter{MinAttempts: -1}}, "noon", "MaxCycles", "Batch", "MinAttempts")
	opts.To = "nowhere"
	k.letters(3)
	refused(t, k.config(), opts, "nowhere", "there is no such topic")
	if s := k.replay(all); s.Letters != 3 {
		t.Errorf("%+v", s)
	}
	empty := k.config()
	empty.Topic = k.origin + ".empty"
	k.topic(empty.Topic, 2)
	if s, err := dlq.Replay(t.Context(), empty, all); err != nil || s.Letters != 0 {
		t.Errorf("an empty topic: %+v, %v", s, err)
	}
}

// A record that retention would delete at once is not sent with its old timestamp.
func TestExpired(t *testing.T) {
	k := embedded(t)
	day := "86400000"
	if _, err := kadm.NewClient(k.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: &day}}, k.origin); err != nil {
		t.Fatal(err)
	}
	k.letters(5)
	plan, err := dlq.MakePlan(t.Context(), k.config(), dlq.DefaultReplay())
	if err != nil || plan.Targets[0].Expired != 5 {
		t.Errorf("%+v, %v", plan, err)
	}
	if _, err := dlq.Replay(t.Context(), k.config(), dlq.DefaultReplay()); !errors.Is(err, dlq.ErrExpired) {
		t.Errorf("%v", err)
	}
	opts := dlq.DefaultReplay()
	opts.Timestamp = dlq.Now
	if s := k.replay(opts); s.Letters != 5 || s.Targets[0].Expired != 0 {
		t.Errorf("%+v", s)
	}
}

// A group without offsets may have been forgotten: old letters want a word.
func TestForgotten(t *testing.T) {
	k := embedded(t)
	for i := range 4 {
		r := k.letter(i, 0, []byte("k"), 1)
		r.Timestamp = time.Now().Add(-8 * 24 * time.Hour)
		k.produce(r)
	}
	opts := dlq.DefaultReplay()
	opts.Max = 2
	plan, err := dlq.MakePlan(t.Context(), k.config(), opts)
	if err != nil || plan.Targets[0].Old != 2 || plan.Letters != 2 {
		t.Errorf("%+v, %v", plan, err)
	}
	if _, err := dlq.Replay(t.Context(), k.config(), opts); !errors.Is(err, dlq.ErrForgotten) {
		t.Errorf("%v", err)
	}
	opts.First = true
	if s := k.replay(opts); s.Letters != 2 {
		t.Errorf("%+v", s)
	}
	opts.First = false // the group has an offset now
	if s := k.replay(opts); s.Letters != 2 {
		t.Errorf("%+v", s)
	}
}

// Groups that are not for a replay's progress are refused.
func TestOthersGroups(t *testing.T) {
	k := embedded(t)
	k.letters(6)
	cfg := k.config()
	commit := func(offset int64, metadata string) {
		t.Helper()
		offsets := make(kadm.Offsets)
		for p := range int32(3) {
			offsets.Add(kadm.Offset{Topic: k.dead, Partition: p, At: offset, LeaderEpoch: -1, Metadata: metadata})
		}
		if err := kadm.NewClient(k.client).CommitAllOffsets(t.Context(), cfg.Group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Group = "other program"
	commit(0, "consumer-1-abc")
	refused(t, cfg, dlq.DefaultReplay(), "other program", "choose another group")
	cfg.Group = "of an older topic"
	commit(100, "")
	refused(t, cfg, dlq.DefaultReplay(), "the topic was made anew")
	cfg.Group = "damaged"
	commit(0, "ksim1:%")
	refused(t, cfg, dlq.DefaultReplay(), "damaged")

	cfg.Group = "billing"
	member, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics(k.origin), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := k.cluster.WaitGroupStable(ctx, "billing", 1); err != nil {
		t.Fatal(err)
	}
	refused(t, cfg, dlq.DefaultReplay(), "billing", "1 members")

	// An offset set by hand has no metadata: from there on all is sent again.
	cfg = k.config()
	if s := k.replay(dlq.DefaultReplay()); s.Letters != 6 {
		t.Errorf("%+v", s)
	}
	cfg.Group = k.dead + ".replay"
	commit(0, "")
	if s := k.replay(dlq.DefaultReplay()); s.Letters != 6 {
		t.Errorf("after a reset: %+v", s)
	}
}

// When the context ends, a replay stops between two transactions, and goes on later.
func TestStopsBetweenTransactions(t *testing.T) {
	k := embedded(t)
	k.letters(50)
	ctx, cancel := context.WithCancelCause(t.Context())
	opts := dlq.DefaultReplay()
	opts.Batch = 8
	n := 0
	why := errors.New("enough")
	opts.OnLetter = func(*dlq.Letter, *kgo.Record) {
		if n++; n == 12 {
			cancel(why)
		}
	}
	s, err := dlq.Replay(ctx, k.config(), opts)
	if !errors.Is(err, why) || s.Letters != 16 {
		t.Errorf("%d letters, %v", s.Letters, err)
	}
	if s := k.replay(dlq.DefaultReplay()); s.Letters != 34 {
		t.Errorf("%+v", s)
	}
	k.exactly(upTo(50))
}

// Connections break in the middle of transactions: what was sent counts once.
func TestConnectionsBreak(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		t.Run(key.Name(), func(t *testing.T) {
			k := embedded(t)
			k.letters(40)
			opts := dlq.DefaultReplay()
			opts.Batch = 10
			seen := 0
			k.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				if seen++; seen == 2 || seen == 5 {
					return nil, errors.New("the connection breaks"), true
				}
				k.cluster.KeepControl()
				return nil, nil, false
			})
			if s := k.replay(opts); s.Letters != 40 {
				t.Errorf("%+v", s)
			}
			k.exactly(upTo(40))
		})
	}
}

// What the broker says may be tried again is; after any other answer nothing of the
// transaction counts, and the next run sends it.
func TestBrokerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		key   kmsg.Key
		err   *kerr.Error
		again bool
	}{
		"coordinator moves":      {kmsg.AddOffsetsToTxn, kerr.NotCoordinator, true},
		"coordinator loads":      {kmsg.TxnOffsetCommit, kerr.CoordinatorLoadInProgress, true},
		"coordinator is busy":    {kmsg.EndTxn, kerr.ConcurrentTransactions, true},
		"busy with the last one": {kmsg.AddOffsetsToTxn, kerr.ConcurrentTransactions, true},
		"the letter is large":    {kmsg.Produce, kerr.MessageTooLarge, false},
		"the timestamp is old":   {kmsg.Produce, kerr.InvalidTimestamp, false},
		"no right to commit":     {kmsg.TxnOffsetCommit, kerr.GroupAuthorizationFailed, false},
		"metadata too large":     {kmsg.TxnOffsetCommit, kerr.OffsetMetadataTooLarge, false},
		"fenced":                 {kmsg.EndTxn, kerr.ProducerFenced, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := embedded(t)
			k.letters(40)
			opts := dlq.DefaultReplay()
			opts.Batch = 10
			seen := 0
			fault := k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{c.key}, Err: c.err, When: func(kmsg.Request) bool { seen++; return seen > 3 }})
			s, err := dlq.Replay(t.Context(), k.config(), opts)
			if fault.Hits() != 1 || c.again != (err == nil) || err != nil && !errors.Is(err, c.err) {
				t.Errorf("%d letters, %v, %d faults", s.Letters, err, fault.Hits())
			}
			if errors.Is(err, dlq.ErrTakenOver) != (name == "fenced") {
				t.Errorf("taken over: %v", err)
			}
			if more := k.replay(opts); more.Letters != 40-s.Letters {
				t.Errorf("%d letters, then %d", s.Letters, more.Letters)
			}
			k.exactly(upTo(40))
		})
	}
}

func TestNoPermission(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "r"),
		kfake.User("PLAIN", "ann", "a"), kfake.SeedTopics(1, "orders", "dlq"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	as := func(user, pass string) []kgo.Opt {
		return []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.SASL(plain.Auth{User: user, Pass: pass}.AsMechanism()), kgo.DisableClientMetrics()}
	}
	root, err := kgo.NewClient(as("root", "r")...)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	k := &kafka{T: t, client: root, origin: "orders", dead: "dlq", originOffsets: map[int32]int64{}}
	k.produce(k.letter(0, 0, []byte("k"), 1))
	allow := func(b *kadm.ACLBuilder, ops ...kadm.ACLOperation) {
		t.Helper()
		b.Allow("User:ann").AllowHosts().Operations(ops...).ResourcePatternType(kadm.ACLPatternLiteral)
		if _, err := kadm.NewClient(root).CreateACLs(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	cfg := k.config()
	cfg.ClientOpts = as("ann", "a")
	cfg.Timeout = 5 * time.Second
	list := func() (n int, state dlq.State, err error) {
		for l, e := range dlq.List(t.Context(), cfg, dlq.ListOptions{}) {
			if err = e; l != nil {
				n++
				state = l.State
			}
		}
		return n, state, err
	}
	if _, _, err := list(); err == nil || !strings.Contains(err.Error(), "READ and DESCRIBE on the dead-letter topic") {
		t.Errorf("%v", err)
	}
	allow(kadm.NewACLs().Topics("dlq"), kadm.OpRead, kadm.OpDescribe)
	if n, state, err := list(); n != 1 || state != dlq.Unknown || err != nil {
		t.Errorf("%d letters, state %q, %v", n, state, err)
	}
	for _, step := range []struct {
		want  string
		allow func()
	}{
		{"the transactional id, which is the name of the group", func() { allow(kadm.NewACLs().TransactionalIDs("dlq.replay"), kadm.OpWrite, kadm.OpDescribe) }},
		{"READ and DESCRIBE on the group", func() { allow(kadm.NewACLs().Groups("dlq.replay"), kadm.OpRead, kadm.OpDescribe) }},
		{"orders", func() { allow(kadm.NewACLs().Topics("orders"), kadm.OpWrite, kadm.OpDescribe) }},
	} {
		if _, err := dlq.Replay(t.Context(), cfg, dlq.DefaultReplay()); err == nil || !strings.Contains(err.Error(), step.want) {
			t.Errorf("%v does not say %q", err, step.want)
		}
		step.allow()
	}
	if s, err := dlq.Replay(t.Context(), cfg, dlq.DefaultReplay()); err != nil || s.Letters != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Letters beyond what is read ahead at once, in several partitions.
func TestMany(t *testing.T) {
	k := embedded(t)
	const n = 6000
	records := make([]*kgo.Record, n)
	for id := range records {
		records[id] = k.letter(id, int32(id%20%3), fmt.Appendf(nil, "k%d", id%20), 1)
	}
	k.produce(records...)
	opts := dlq.DefaultReplay()
	opts.Batch = 1000
	if s := k.replay(opts); s.Letters != n {
		t.Errorf("%+v", s)
	}
	k.exactly(upTo(n))
}
