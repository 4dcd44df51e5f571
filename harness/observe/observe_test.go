package observe

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/reexec"
	"github.com/ksim-dev/ksim/harness/workload"
)

func TestMain(m *testing.M) {
	reexec.Main(containers.ReaperMode())
	goleak.VerifyTestMain(m)
}

const (
	mainTopic = "orders"
	dlqTopic  = "dlq.billing.orders"
	group     = "billing"
)

// bench is an embedded broker with two topics and all that observers need.
type bench struct {
	t       *testing.T
	cluster *kfake.Cluster
	opts    []kgo.Opt
	client  *kgo.Client // produces where the test says
	admin   *kadm.Client
	log     *history.Log
	ledger  *workload.Ledger
}

func newBench(t *testing.T, opts ...kfake.Opt) *bench {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(2, mainTopic)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b := &bench{
		t: t, cluster: cluster, opts: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DisableClientMetrics()},
		log:    history.NewMemory(history.Header{Topic: mainTopic, DeadLetterTopic: dlqTopic, Group: group}),
		ledger: workload.NewLedger(),
	}
	b.client, err = kgo.NewClient(append(b.opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	b.admin = kadm.NewClient(b.client)
	return b
}

func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *bench) createDLQ() {
	b.t.Helper()
	if err := b.cluster.CreateTopic(dlqTopic, 2, nil); err != nil {
		b.t.Fatal(err)
	}
}

// send produces one record and returns it with its offset.
func (b *bench) send(topic string, partition int32, key, value []byte, hs ...kgo.RecordHeader) *kgo.Record {
	b.t.Helper()
	rec, err := b.client.ProduceSync(b.ctx(), &kgo.Record{
		Topic: topic, Partition: partition, Key: key, Value: value, Headers: hs,
	}).First()
	if err != nil {
		b.t.Fatal(err)
	}
	return rec
}

// produce sends a workload message as the workload does, and says how that ended.
func (b *bench) produce(id string, partition int32, value []byte, outcome history.Outcome) *kgo.Record {
	b.t.Helper()
	key := []byte("k-" + id)
	b.ledger.Add(workload.Message{ID: id, Key: key, Value: value, Partition: partition})
	rec := b.send(mainTopic, partition, key, value, kgo.RecordHeader{Key: workload.HeaderID, Value: []byte(id)})
	e := history.Event{
		Kind: history.Produced, Topic: mainTopic, Partition: -1, Offset: -1,
		Key: string(key), Message: id, Hash: hash(value), Size: len(value), Due: time.Millisecond, Outcome: outcome,
	}
	if outcome == history.Acked {
		e.Partition, e.Offset = partition, rec.Offset
		b.ledger.Acked(id, partition, rec.Offset)
	}
	b.log.Append(e)
	return rec
}

func (b *bench) events(kind history.Kind) []history.Event {
	var out []history.Event
	for _, e := range b.log.Events(0) {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

func (b *bench) commit(partition int32, offset int64) {
	b.t.Helper()
	var os kadm.Offsets
	os.AddOffset(mainTopic, partition, offset, -1)
	if err := b.admin.CommitAllOffsets(b.ctx(), group, os); err != nil {
		b.t.Fatal(err)
	}
}
