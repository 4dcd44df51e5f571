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
	"github.com/ksim-dev/ksim/harness/workload"
)

func TestScanResolvesUnknownProduces(t *testing.T) {
	b := newBench(t)
	b.produce("acked", 0, []byte("a"), history.Acked)
	unknown := b.produce("unknown", 1, []byte("u"), history.Unknown)
	grave := b.produce("grave", 1, nil, history.Unknown)
	b.produce("failed", 0, []byte("f"), history.Failed) // said to have failed, and yet it is there
	b.send(mainTopic, 1, unknown.Key, unknown.Value, unknown.Headers...)
	b.send(mainTopic, 0, nil, []byte("stranger"))
	b.send(mainTopic, 0, []byte("k-acked"), []byte("forged"), textHeader(workload.HeaderID, "acked"))
	// Never arrived: stays unknown.
	b.ledger.Add(workload.Message{ID: "lost", Value: []byte("l")})
	b.log.Append(history.Event{Kind: history.Produced, Topic: mainTopic, Message: "lost", Outcome: history.Unknown, Partition: -1, Offset: -1})

	got, err := Scan(b.ctx(), b.opts, mainTopic, b.ledger, b.log, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Records != 7 || got.Resolved != 3 || got.Repeated != 1 || got.ForeignCount != 2 || len(got.Foreign) != 2 {
		t.Errorf("%+v", got)
	}
	logged := make(map[string]history.Event)
	for _, e := range b.events(history.Logged) {
		logged[e.Message] = e
	}
	if len(logged) != 3 {
		t.Fatalf("logged %v", logged)
	}
	e := logged["unknown"]
	if e.Partition != 1 || e.Offset != unknown.Offset || e.Key != "k-unknown" || e.Hash != hash([]byte("u")) ||
		e.Size != 1 || e.Due != time.Millisecond || e.Topic != mainTopic {
		t.Errorf("%+v", e)
	}
	if p := b.log.Events(e.Ref - 1)[0]; p.Kind != history.Produced || p.Message != "unknown" {
		t.Errorf("ref leads to %+v", p)
	}
	if e := logged["grave"]; e.Offset != grave.Offset || e.Hash != "" {
		t.Errorf("tombstone: %+v", e)
	}
	if entry, _ := b.ledger.ByID("unknown"); entry.Offset != unknown.Offset || entry.Partition != 1 {
		t.Errorf("ledger was not told: %+v", entry)
	}
}

func TestScanOfNothing(t *testing.T) {
	b := newBench(t)
	for _, topic := range []string{mainTopic, "missing"} {
		if got, err := Scan(b.ctx(), b.opts, topic, b.ledger, b.log, 0); err != nil || got.Records != 0 {
			t.Errorf("%s: %+v, %v", topic, got, err)
		}
	}
}

// Records that were deleted from the front are not waited for.
func TestScanAfterDeletedRecords(t *testing.T) {
	b := newBench(t)
	for range 4 {
		b.send(mainTopic, 0, nil, []byte("v"))
		b.send(mainTopic, 1, nil, []byte("v"))
	}
	for partition, offset := range []int64{4, 3} {
		if err := b.cluster.DeleteRecords(mainTopic, int32(partition), offset); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Scan(b.ctx(), b.opts, mainTopic, b.ledger, b.log, 0); err != nil || got.Records != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestScanEndsWithContext(t *testing.T) {
	b := newBench(t)
	b.send(mainTopic, 0, nil, []byte("v"))
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := Scan(ctx, b.opts, mainTopic, b.ledger, b.log, 0)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("error %v", err)
	}
	if _, err := Scan(ctx, []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, mainTopic, b.ledger, b.log, 0); err == nil {
		t.Error("no error without a broker")
	}
}
