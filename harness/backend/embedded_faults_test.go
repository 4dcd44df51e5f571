package backend_test

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/backend"
)

func TestEmbeddedMoves(t *testing.T) {
	ctx := bounded(t)
	e := startEmbedded(t, backend.EmbeddedConfig{})
	if err := e.CreateTopic(ctx, "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(e.ClientOpts()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for node := range int32(3) {
		if err := e.MoveLeader(ctx, "t", 1, node); err != nil {
			t.Fatal(err)
		}
		if p, err := backend.DescribePartition(ctx, cl, "t", 1); err != nil || p.Leader != node {
			t.Errorf("moved to broker %d, and broker %d leads: %v", node, p.Leader, err)
		}
	}
	if err := e.MoveLeader(ctx, "t", 1, 7); err == nil {
		t.Error("moved to a broker that is not there")
	}
	for range 20 { // what is dealt out at random may be the same again
		old := e.Cluster().CoordinatorFor("g")
		if err := e.MoveCoordinator(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		found := kadm.NewClient(cl).FindGroupCoordinators(ctx, "g")["g"]
		if found.Err != nil || found.NodeID == old {
			t.Errorf("broker %d coordinates as before: %v", found.NodeID, found.Err)
		}
	}
	if err := startEmbedded(t, backend.EmbeddedConfig{Nodes: 1}).MoveCoordinator(ctx, "g"); err == nil {
		t.Error("moved away from the only broker")
	}
}

// A client that has read to the end of a log whose leader moves does not go back to its start.
func TestEmbeddedMoveTruncatesNothing(t *testing.T) {
	ctx := bounded(t)
	e := startEmbedded(t, backend.EmbeddedConfig{})
	if err := e.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(e.ClientOpts(), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DefaultProduceTopic("t"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	next := int64(0)
	for i := range 10 {
		if err := cl.ProduceSync(ctx, kgo.StringRecord("v")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for next <= int64(i) {
			fetches := cl.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatalf("after %d moves: %v", i, err)
			}
			for _, r := range fetches.Records() {
				if r.Offset != next {
					t.Fatalf("after %d moves offset %d came, and not %d", i, r.Offset, next)
				}
				next++
			}
		}
		if err := e.MoveLeader(ctx, "t", 0, (e.Cluster().LeaderFor("t", 0)+1)%3); err != nil {
			t.Fatal(err)
		}
		cl.ForceMetadataRefresh()
	}
}

func TestEmbeddedRefuses(t *testing.T) {
	ctx := bounded(t)
	e := startEmbedded(t, backend.EmbeddedConfig{})
	for _, topic := range []string{"t", "other"} {
		if err := e.CreateTopic(ctx, topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	cl, err := kgo.NewClient(append(e.ClientOpts(), kgo.RecordRetries(0))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	refused := e.Refuse(backend.Refusal{Key: kmsg.Produce, Topic: "t", Err: kerr.PolicyViolation})
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t"}).FirstErr(); !errors.Is(err, kerr.PolicyViolation) || refused.Hits() != 1 {
		t.Errorf("%v after %d refusals", err, refused.Hits())
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "other"}).FirstErr(); err != nil {
		t.Errorf("another topic: %v", err)
	}
	refused.Remove()
	refused.Remove()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t"}).FirstErr(); err != nil {
		t.Errorf("after its end: %v", err)
	}
}
