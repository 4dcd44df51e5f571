package observe

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
)

const outTopic = "orders.out"

// transaction begins one that has produced an output of source, and leaves it open.
func (b *bench) transaction(id, source string, value []byte) *kgo.Client {
	b.t.Helper()
	cl, err := kgo.NewClient(append(b.opts, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	if err := cl.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	rec := &kgo.Record{Topic: outTopic, Value: value, Headers: []kgo.RecordHeader{{Key: HeaderRecord, Value: []byte(source)}}}
	if err := cl.ProduceSync(b.ctx(), rec).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
	return cl
}

func (b *bench) end(cl *kgo.Client, commit bool) {
	b.t.Helper()
	if err := cl.EndTransaction(b.ctx(), kgo.TransactionEndTry(commit)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) outputs(ctx context.Context) (messages []string, settled bool) {
	b.t.Helper()
	settled, err := ReadOutputs(ctx, b.opts, outTopic, b.ledger, b.log)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range b.events(history.Output) {
		messages = append(messages, e.Message)
	}
	return messages, settled
}

func TestReadOutputs(t *testing.T) {
	b := newBench(t)
	if err := b.cluster.CreateTopic(outTopic, 1, nil); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"m-0", "m-1", "m-2", "m-3"} {
		b.produce(id, 0, []byte(`{"id":"`+id+`"}`), history.Acked)
	}
	aborted := b.transaction("txn-a", "orders/0/0", []byte("a"))
	b.end(aborted, false)
	b.end(b.transaction("txn-b", "orders/0/0", []byte("b")), true) // by its place
	b.send(outTopic, 0, nil, []byte(`{"id":"m-1"}`))               // by its bytes
	b.send(outTopic, 0, nil, []byte(`{"id":"m-2","total":7}`))     // by its id
	b.send(outTopic, 0, nil, []byte("total"), kgo.RecordHeader{Key: "ksim-id", Value: []byte("m-3")})
	b.send(outTopic, 0, nil, []byte("who knows"), kgo.RecordHeader{Key: HeaderRecord, Value: []byte("other/0/0")})
	got, settled := b.outputs(b.ctx())
	want := []string{"m-0", "m-1", "m-2", "m-3", ""}
	if !settled || len(got) != len(want) {
		t.Fatalf("%q, settled %v", got, settled)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("output %d is of %q, want %q", i, got[i], want[i])
		}
	}
	if e := b.events(history.Output)[0]; e.Origin != "orders/0/0" || e.Topic != outTopic || e.Hash == "" {
		t.Errorf("%+v", e)
	}
}

// What lies behind a transaction that is still open cannot be seen: the answer says so.
func TestReadOutputsBehindAnOpenTransaction(t *testing.T) {
	b := newBench(t)
	if err := b.cluster.CreateTopic(outTopic, 1, nil); err != nil {
		t.Fatal(err)
	}
	b.produce("m-0", 0, []byte("zero"), history.Acked)
	b.send(outTopic, 0, nil, []byte("zero"))
	open := b.transaction("txn-a", "orders/0/0", []byte("a"))
	b.send(outTopic, 0, nil, []byte("zero"))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if got, settled := b.outputs(ctx); settled || len(got) != 1 {
		t.Errorf("%q, settled %v; want what lies before the open transaction", got, settled)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = open.EndTransaction(context.Background(), kgo.TryCommit) })
	if got, settled := b.outputs(b.ctx()); !settled || len(got) != 1+3 {
		t.Errorf("%q, settled %v; want all of it once the transaction is over", got, settled)
	}
}

func TestLogOutputs(t *testing.T) {
	b := newBench(t)
	b.produce("m-0", 0, []byte("zero"), history.Acked)
	b.produce("m-1", 0, []byte("one"), history.Acked)
	LogOutputs([]Output{
		{Record: "orders/0/1", Where: "table effects, row 1"}, {Value: []byte("zero")}, {Record: "orders/0/9"}, {Record: "nonsense"},
	}, b.ledger, b.log)
	es := b.events(history.Output)
	if len(es) != 4 || es[0].Message != "m-1" || es[0].Note != "table effects, row 1" || es[1].Message != "m-0" || es[2].Message != "" || es[3].Message != "" {
		t.Errorf("%+v", es)
	}
}
