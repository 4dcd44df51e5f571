package workload

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
)

// spec is of messages of which some are in transactions.
func transactionalSpec(aborted, committed int) Spec {
	return Spec{
		Messages: 200, Partitions: 4, Keys: 20, Distribution: Uniform, Size: 128, Seed: 1,
		Mix: Mix{Aborted: aborted, Committed: committed},
	}
}

func transactionalBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	client, err := kgo.NewClient(append(append(ClientOpts("none"), TransactionOpts("workload")...), kgo.SeedBrokers(b.cluster.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b.Transactional = client
	return b
}

// readAll reads what of n records can be read, by message id.
func readAll(t *testing.T, b *bench, n int, level kgo.IsolationLevel) map[string]bool {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ids := map[string]bool{}
	for len(ids) < n {
		for _, r := range client.PollFetches(ctx).Records() {
			ids[string(r.Headers[0].Value)] = true
		}
		if ctx.Err() != nil {
			t.Fatalf("read %d of %d records", len(ids), n)
		}
	}
	return ids
}

func TestTransactionsOfTheWorkload(t *testing.T) {
	t.Parallel()
	b := transactionalBench(t)
	const aborted, committed = 30, 45
	msgs, err := Generate(transactionalSpec(aborted, committed))
	if err != nil {
		t.Fatal(err)
	}
	stats, events, err := b.run(context.Background(), t, msgs, 0)
	if err != nil || stats.Aborted != aborted || stats.Acked != 200-aborted {
		t.Fatalf("stats %+v, %v", stats, err)
	}
	all := readAll(t, b, 200, kgo.ReadUncommitted())
	visible := readAll(t, b, 200-aborted, kgo.ReadCommitted())
	for _, e := range events {
		if !all[e.Message] || visible[e.Message] == (e.Outcome == history.Voided) {
			t.Errorf("%s is %s; read uncommitted %v, committed %v", e.Message, e.Outcome, all[e.Message], visible[e.Message])
		}
		if entry, ok := b.Ledger.ByRecord(e.Partition, e.Offset); !ok || entry.ID != e.Message {
			t.Errorf("%s at %s is not in the ledger: %+v", e.Message, e.Where(), entry)
		}
	}
}

// Messages in transactions whose begin is refused were never sent.
func TestTransactionThatCannotBegin(t *testing.T) {
	t.Parallel()
	b := transactionalBench(t)
	b.Transactional.Close()
	msgs, err := Generate(transactionalSpec(10, 0))
	if err != nil {
		t.Fatal(err)
	}
	stats, _, err := b.run(context.Background(), t, msgs, 0)
	if err != nil || stats.Acked != 190 || stats.Acked+stats.Aborted+stats.Failed+stats.Unknown != 200 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
}

func TestPlacesOfSpecialMessages(t *testing.T) {
	t.Parallel()
	spec := transactionalSpec(20, 10)
	spec.Filled, spec.Mix.Large, spec.Mix.Permanent = 2, 3, 4
	msgs, err := Generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	var abort, commit, large, poison int
	var partitions []int32
	for _, m := range msgs {
		if !slices.Contains(partitions, m.Partition) {
			partitions = append(partitions, m.Partition)
		}
		switch {
		case m.Poison != Healthy && m.Transaction != "":
			t.Errorf("%s is poison and in a transaction", m.ID)
		case m.Poison != Healthy:
			poison++
		case m.Transaction == Abort:
			abort++
		case m.Transaction == Commit:
			commit++
		case len(m.Value) == MaxValue:
			large++
		}
	}
	slices.Sort(partitions)
	if abort != 20 || commit != 10 || large != 3 || poison != 4 || !slices.Equal(partitions, []int32{0, 1}) {
		t.Errorf("%d aborted, %d committed, %d large, %d poison, partitions %v", abort, commit, large, poison, partitions)
	}
	spec.Filled, spec.Mix.Aborted = 5, 300
	if err := spec.Validate(); err == nil {
		t.Error("more partitions filled than there are, and more special messages than messages: no error")
	}
}
