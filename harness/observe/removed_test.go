package observe

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
)

func (b *bench) deleteRecords(partition int32, below int64) {
	b.t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: mainTopic, Partition: partition, At: below, LeaderEpoch: -1})
	if resp, err := b.admin.DeleteRecords(b.ctx(), offsets); err != nil || resp.Error() != nil {
		b.t.Fatal(err, resp.Error())
	}
}

func TestLagTellsWhatWasRemoved(t *testing.T) {
	b := newBench(t)
	l := b.lag(time.Hour)
	for range 5 {
		b.send(mainTopic, 0, nil, []byte("v"))
	}
	b.once(l)
	seen := b.log.Last()
	b.log.Append(history.Event{Kind: history.Phase, Note: "what follows comes after the records were last seen"})
	b.once(l)
	last := b.log.Last()
	b.deleteRecords(0, 3)
	if got := b.once(l); got[0].Behind() != 2 {
		t.Errorf("%+v is behind by %d, not by the two that are left", got[0], got[0].Behind())
	}
	removed := b.events(history.Removed)
	if len(removed) != 1 || removed[0].Offset != 0 || removed[0].End != 3 || removed[0].Partition != 0 {
		t.Fatalf("removed %+v", removed)
	}
	if ref := removed[0].Ref; ref <= seen || ref > last {
		t.Errorf("ref %d: the records were seen to be there after event %d and before %d", ref, seen, last)
	}
}

// abort produces records in a transaction and aborts it.
func (b *bench) abort(partition int32, n int) {
	b.t.Helper()
	client, err := kgo.NewClient(append(b.opts, kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	for range n {
		if err := client.ProduceSync(b.ctx(), &kgo.Record{Topic: mainTopic, Partition: partition, Value: []byte("aborted")}).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := client.EndTransaction(b.ctx(), kgo.TryAbort); err != nil {
		b.t.Fatal(err)
	}
}

// Who commits what it was given ends below the end of a log whose last offsets are of an aborted
// transaction: it has drained all the same.
func TestDrainedBelowTheEnd(t *testing.T) {
	b := newBench(t)
	l := b.lag(time.Hour)
	b.send(mainTopic, 0, nil, []byte("v"))
	b.abort(0, 2)
	b.commit(0, 1)
	d, err := AwaitDrained(b.ctx(), l, 10*time.Second)
	if err != nil || d.Outcome != DrainedAll {
		t.Fatalf("%+v, %v", d, err)
	}
	b.send(mainTopic, 0, nil, []byte("one more"))
	if d, err = AwaitDrained(b.ctx(), l, 1500*time.Millisecond); err != nil || d.Outcome != DrainStalled {
		t.Errorf("with a record behind the transaction: %+v, %v", d, err)
	}
}

func TestScanTellsWhatIsMissing(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		b.produce(id, 1, []byte(id), history.Acked)
	}
	b.deleteRecords(1, 2)
	if got, err := Scan(b.ctx(), b.opts, mainTopic, b.ledger, b.log, 7); err != nil || got.Missing != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	removed := b.events(history.Removed)
	if len(removed) != 1 || removed[0].Offset != 0 || removed[0].End != 2 || removed[0].Ref != 7 || removed[0].Partition != 1 {
		t.Fatalf("removed %+v", removed)
	}
	if got, err := Scan(b.ctx(), b.opts, mainTopic, b.ledger, b.log, 9); err != nil || got.Missing != 0 {
		t.Errorf("told twice: %+v, %v", got, err)
	}
}
