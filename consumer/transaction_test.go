package consumer_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/consumer"
)

const outputs = "billed"

// startTx starts a transactional consumer, on a topic for outputs that is there.
func (k *kafka) startTx(cfg consumer.Config, id string, handler consumer.TxHandler) *running {
	k.Helper()
	cfg.TransactionalID = id
	c, err := consumer.NewTransactional(cfg, handler)
	if err != nil {
		k.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{k, cancel, make(chan error, 1)}
	k.Cleanup(cancel)
	go func() { r.done <- c.Run(ctx) }()
	return r
}

func (k *kafka) createTopic(name string, partitions int32) {
	k.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, t)
	if _, err := req.RequestWith(k.Context(), k.client); err != nil {
		k.Fatal(err)
	}
}

// visible returns what a reader of committed records sees in a topic, until it has
// seen n of them and no more come with the next fetch.
func (k *kafka) visible(topic string, n int) []*kgo.Record {
	k.Helper()
	return readCommitted(k.T, k.cluster.ListenAddrs(), topic, n)
}

func readCommitted(t *testing.T, brokers []string, topic string, n int) []*kgo.Record {
	t.Helper()
	return read(t, brokers, topic, n, kgo.ReadCommitted())
}

func read(t *testing.T, brokers []string, topic string, n int, isolation kgo.IsolationLevel) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(isolation),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var got []*kgo.Record
	for len(got) < n {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		f := cl.PollFetches(ctx)
		cancel()
		if f.Empty() {
			t.Fatalf("%d of %d records are visible in %s: %v", len(got), n, topic, f.Err())
		}
		got = append(got, f.Records()...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	return append(got, cl.PollFetches(ctx).Records()...)
}

// bill is a handler with one output for each record: its value, by its key.
func bill(e *effects, takes time.Duration) consumer.TxHandler {
	return consumer.EachTx(func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		e.add(r, "")
		return []*kgo.Record{{Topic: outputs, Key: r.Key, Value: r.Value}}, nil
	})
}

// once checks that the values 0 to n-1 are there once each, those of a key in order.
func once(t *testing.T, got []*kgo.Record, n int, but ...int) {
	t.Helper()
	seen := make(map[string]int)
	last := make(map[string]int)
	for _, r := range got {
		seen[string(r.Value)]++
		id, _ := strconv.Atoi(string(r.Value))
		if before, ok := last[string(r.Key)]; ok && id < before {
			t.Errorf("key %s: %d after %d", r.Key, id, before)
		}
		last[string(r.Key)] = id
	}
	for _, id := range but {
		if seen[strconv.Itoa(id)] != 0 {
			t.Errorf("%d is there", id)
		}
		seen[strconv.Itoa(id)] = 1
	}
	for id := range n {
		if c := seen[strconv.Itoa(id)]; c != 1 {
			t.Errorf("%d is there %d times", id, c)
		}
	}
}

// Members come and go; every output is visible once, in the order of its key.
func TestTransactionsThroughRebalances(t *testing.T) {
	for _, protocol := range []consumer.Protocol{consumer.ProtocolCooperative, consumer.ProtocolEager, consumer.ProtocolConsumer} {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			k := startKafka(t)
			k.createTopic(outputs, 3)
			const n = 1200
			k.produce(0, n)
			cfg := k.config()
			cfg.Protocol, cfg.MaxInFlight = protocol, 60
			e := newEffects()
			first := k.startTx(cfg, "tx-1", bill(e, time.Millisecond))
			<-e.first
			second := k.startTx(cfg, "tx-2", bill(e, time.Millisecond))
			k.until("two members", func() bool { return k.members() == 2 })
			third := k.startTx(cfg, "tx-3", bill(e, time.Millisecond))
			k.until("three members", func() bool { return k.members() == 3 })
			first.finish()
			k.until("every commit", func() bool { return k.committed() == n })
			second.finish()
			third.finish()
			once(t, k.visible(outputs, n), n)
			if k.members() != 0 {
				t.Errorf("%d members are left", k.members())
			}
			t.Logf("%d handled twice", e.repeated())
		})
	}
}

// A failed attempt leaves no output, and poison its dead letter, in the same
// transaction.
func TestTransactionPoison(t *testing.T) {
	k := startKafka(t)
	k.createTopic(outputs, 3)
	k.produce(0, 200)
	cfg := k.config()
	cfg.Poison.Policy = consumer.PoisonDeadLetter
	cfg.Order = consumer.OrderKey
	var tries atomic.Int32
	r := k.startTx(cfg, "tx-1", func(_ context.Context, b consumer.Batch, out *consumer.Outbox) error {
		for i, r := range b.Records {
			out.Add(i, &kgo.Record{Topic: outputs, Key: r.Key, Value: r.Value}) // also for the one that fails
			switch string(r.Value) {
			case "13":
				return consumer.FailedAt(i, consumer.Permanent(errors.New("never")))
			case "17":
				if tries.Add(1) < 3 {
					return consumer.FailedAt(i, errors.New("not yet"))
				}
			}
		}
		return nil
	})
	k.until("every commit", func() bool { return k.committed() == 200 })
	r.finish()
	once(t, k.visible(outputs, 199), 200, 13)
	if dead := k.visible(letters, 1); len(dead) != 1 || string(dead[0].Value) != "13" {
		t.Errorf("%d dead letters", len(dead))
	}
}

// An output that the broker refuses counts as failed attempts at its record, over
// the transactions that it spoils, until it is poison; nothing else is lost or repeated.
func TestTransactionRefusedOutput(t *testing.T) {
	k := startKafka(t)
	k.createTopic(outputs, 3)
	k.produce(0, 60)
	cfg := k.config()
	cfg.Poison.Policy = consumer.PoisonDeadLetter
	cfg.Retry.Attempts = 3
	cfg.ClientOpts = append(cfg.ClientOpts, kgo.ProducerBatchMaxBytes(64<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	var tries atomic.Int32
	r := k.startTx(cfg, "tx-1", consumer.EachTx(func(_ context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		out := &kgo.Record{Topic: outputs, Key: r.Key, Value: r.Value}
		if string(r.Value) == "30" {
			tries.Add(1)
			out.Value = []byte(strings.Repeat("x", 2_000_000))
		}
		return []*kgo.Record{out}, nil
	}))
	k.until("every commit", func() bool { return k.committed() == 60 })
	r.finish()
	once(t, k.visible(outputs, 59), 60, 30)
	dead := k.visible(letters, 1)
	if len(dead) != 1 || string(dead[0].Value) != "30" {
		t.Fatalf("%d dead letters", len(dead))
	}
	if tries.Load() != 3 {
		t.Errorf("tried %d times", tries.Load())
	}
	for _, h := range dead[0].Headers {
		if h.Key == consumer.HeaderMessage && !strings.Contains(string(h.Value), "MESSAGE_TOO_LARGE") {
			t.Errorf("the dead letter says: %s", h.Value)
		}
	}
}

// A stop lets the transaction under way be finished, and a handler that hangs
// makes it be aborted: nothing of it is ever seen.
func TestTransactionShutdown(t *testing.T) {
	k := startKafka(t)
	k.createTopic(outputs, 1)
	k.produce(0, 40)
	cfg := k.config()
	cfg.MaxInFlight = 20
	cfg.ShutdownTimeout = 4 * time.Second
	e := newEffects()
	r := k.startTx(cfg, "tx-1", bill(e, 10*time.Millisecond))
	<-e.first
	r.finish()
	done := k.committed()
	if int(done) != e.distinct() || done == 0 {
		t.Fatalf("committed %d of %d that were handled", done, e.distinct())
	}
	if got := k.visible(outputs, int(done)); len(got) != int(done) {
		t.Errorf("%d outputs are visible", len(got))
	}
	k.produce(40, 20)
	hang := make(chan struct{})
	began := make(chan struct{}, 100)
	r = k.startTx(cfg, "tx-1", func(context.Context, consumer.Batch, *consumer.Outbox) error {
		began <- struct{}{}
		<-hang
		return nil
	})
	<-began
	r.stop()
	if err := r.end(); !errors.Is(err, consumer.ErrShutdownTimeout) {
		t.Errorf("Run: %v", err)
	}
	close(hang)
	if k.committed() != done {
		t.Errorf("committed %d, want %d", k.committed(), done)
	}
}

// With PoisonStop the transaction with the bad record is aborted, and Run says why.
func TestTransactionPoisonStop(t *testing.T) {
	k := startKafka(t)
	k.createTopic(outputs, 1)
	k.produce(0, 40)
	r := k.startTx(k.config(), "tx-1", consumer.EachTx(func(_ context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		if string(r.Value) == "21" {
			return nil, consumer.Permanent(errors.New("never"))
		}
		return []*kgo.Record{{Topic: outputs, Value: r.Value}}, nil
	}))
	var poison *consumer.PoisonError
	if err := r.end(); !errors.As(err, &poison) || poison.Offset != 5 {
		t.Fatalf("Run: %v", err)
	}
	if at := k.cluster.GroupInfo(group).Commits[topic][1].Offset; at > 5 {
		t.Errorf("committed %d", at)
	}
}

// A transaction that takes too long is aborted and tried again, and ends when it can.
func TestTransactionOverdue(t *testing.T) {
	k := startKafka(t)
	k.createTopic(outputs, 1)
	k.produce(0, 40)
	cfg := k.config()
	cfg.HandlerTimeout, cfg.StallTimeout = 300*time.Millisecond, 0
	cfg.TransactionTimeout = 500 * time.Millisecond
	var down atomic.Bool
	down.Store(true)
	aborted := make(chan struct{}, 1000)
	r := k.startTx(cfg, "tx-1", consumer.EachTx(func(_ context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		if string(r.Value) == "22" && down.Load() {
			aborted <- struct{}{}
			return nil, consumer.Unavailable(errors.New("down"))
		}
		return []*kgo.Record{{Topic: outputs, Key: r.Key, Value: r.Value}}, nil
	}))
	deadline := time.After(3 * cfg.TransactionTimeout)
	for waiting := true; waiting; {
		select {
		case <-aborted:
		case <-deadline:
			waiting = false
		}
	}
	if at := k.cluster.GroupInfo(group).Commits[topic][2].Offset; at != 0 {
		t.Errorf("committed %d", at)
	}
	down.Store(false)
	k.until("every commit", func() bool { return k.committed() == 40 })
	r.finish()
	once(t, k.visible(outputs, 40), 40)
}

func TestTransactionalConfig(t *testing.T) {
	cfg := consumer.DefaultConfig()
	cfg.HandlerTimeout = time.Minute
	_, err := consumer.NewTransactional(cfg, nil)
	for _, want := range []string{"TransactionalID", "handler", "Brokers", "Group"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v says nothing of %s", err, want)
		}
	}
	cfg.TransactionalID = "x"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "HandlerTimeout") {
		t.Errorf("%v", err)
	}
	if _, err := consumer.New(cfg, func(context.Context, consumer.Batch) error { return nil }); err == nil || !strings.Contains(err.Error(), "NewTransactional") {
		t.Errorf("%v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Add took a record that is not there")
		}
	}()
	out := &consumer.Outbox{}
	out.Add(0, nil)
}

// A handler in wrappers gets at the outbox of its call by its context, and finds the
// record by itself.
func TestTransactionThroughWrappers(t *testing.T) {
	k := startKafka(t)
	k.createTopic(outputs, 3)
	k.produce(0, 100)
	cfg := k.config()
	cfg.Order = consumer.Unordered
	handler := consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		consumer.Outputs(ctx).AddFor(r, &kgo.Record{Topic: outputs, Key: r.Key, Value: r.Value})
		return nil
	})
	r := k.startTx(cfg, "tx-1", consumer.Tx(func(ctx context.Context, b consumer.Batch) error {
		defer func() {
			if recover() == nil {
				t.Error("AddFor took a record that is not there")
			}
		}()
		if err := handler(ctx, b); err != nil {
			t.Error(err)
		}
		consumer.Outputs(ctx).AddFor(&kgo.Record{Offset: 1 << 40}, nil)
		return nil
	}))
	k.until("every commit", func() bool { return k.committed() == 100 })
	r.finish()
	got := k.visible(outputs, 100)
	if len(got) != 100 {
		t.Errorf("%d outputs", len(got))
	}
	if consumer.Outputs(t.Context()) != nil {
		t.Error("there is an outbox without a call")
	}
}

// What is refused for another reason than the record, such as a right that is missing,
// is no attempt at it: nothing becomes poison, and what only an operator can put right
// ends Run.
func TestTransactionNotTheRecord(t *testing.T) {
	for name, c := range map[string]struct {
		err   *kerr.Error
		count int
		ends  bool
	}{
		"no right":       {kerr.TopicAuthorizationFailed, 1000, true},
		"broken for now": {kerr.UnknownServerError, 7, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := startKafka(t)
			k.createTopic(outputs, 3)
			k.produce(0, 60)
			cfg := k.config()
			cfg.Poison.Policy, cfg.Retry.Attempts = consumer.PoisonDeadLetter, 2
			k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: outputs, Err: c.err, Count: c.count})
			r := k.startTx(cfg, "tx-1", bill(newEffects(), 0))
			if c.ends {
				if err := r.end(); !errors.Is(err, c.err) {
					t.Errorf("Run: %v", err)
				}
				if k.committed() != 0 {
					t.Errorf("committed %d", k.committed())
				}
			} else {
				k.until("every commit", func() bool { return k.committed() == 60 })
				r.finish()
				once(t, k.visible(outputs, 60), 60)
			}
			end, err := kadm.NewClient(k.client).ListEndOffsets(t.Context(), letters)
			if err != nil {
				t.Fatal(err)
			}
			if o, _ := end.Lookup(letters, 0); o.Offset != 0 {
				t.Errorf("the dead letters end at %d", o.Offset)
			}
		})
	}
}

// An output that is refused because the broker still ends the transaction before is produced again soon, and
// not when the client's interval between two questions for metadata is over: that many of those are longer than the test waits.
func TestTransactionAfterTransaction(t *testing.T) {
	k := startKafka(t)
	k.createTopic(outputs, 1)
	var refused atomic.Int32
	k.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.cluster.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		if produce.TransactionID == nil || refused.Add(1) > 12 {
			return nil, nil, false
		}
		resp := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range produce.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				part := kmsg.NewProduceResponseTopicPartition()
				part.Partition, part.ErrorCode = p.Partition, kerr.ConcurrentTransactions.Code
				answer.Partitions = append(answer.Partitions, part)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil, true
	})
	k.produce(0, 20)
	cfg := k.config()
	r := k.startTx(cfg, "tx-1", bill(newEffects(), 0))
	k.until("every commit", func() bool { return k.committed() == 20 })
	r.finish()
	once(t, k.visible(outputs, 20), 20)
	if n := refused.Load(); n < 13 {
		t.Errorf("produced %d times: the broker was to refuse 12", n)
	}
}
