package observe

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

// newKafkaBench is newBench on a broker of Apache Kafka in a container.
func newKafkaBench(t *testing.T) *bench {
	t.Helper()
	containers.Require(t)
	b := &bench{
		t:      t,
		log:    history.NewMemory(history.Header{Topic: mainTopic, DeadLetterTopic: dlqTopic, Group: group}),
		ledger: workload.NewLedger(),
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // other tests start brokers too
	defer cancel()
	began := time.Now()
	cluster, err := containers.Start(ctx, containers.Config{RunID: "observe"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%s ready in %s", cluster.Version(), time.Since(began).Round(time.Millisecond))
	b.opts = append(cluster.ClientOpts(), kgo.DisableClientMetrics())
	stamp := "LogAppendTime"
	if err := cluster.CreateTopic(b.ctx(), dlqTopic, 2, map[string]*string{"message.timestamp.type": &stamp}); err != nil {
		t.Fatal(err)
	}
	if err := cluster.CreateTopic(b.ctx(), mainTopic, 2, nil); err != nil {
		t.Fatal(err)
	}
	b.client, err = kgo.NewClient(append(b.opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	b.admin = kadm.NewClient(b.client)
	return b
}

// What kfake does not do, or may do otherwise: the broker's append time, control records,
// a group without members, both group protocols.
func TestRealKafka(t *testing.T) {
	b := newKafkaBench(t)
	l := b.lag(time.Hour)
	if got := b.once(l); len(got) != 2 || got[0] != (Position{Committed: -1, End: 0}) {
		t.Fatalf("a group that does not exist: %v", got)
	}
	poison := b.produce("m-1", 1, []byte("poison"), history.Unknown)

	d := b.deadLetters()
	before := b.log.Now().Truncate(time.Millisecond) - time.Millisecond
	b.send(dlqTopic, 0, poison.Key, poison.Value)
	b.abortedTransaction(dlqTopic)
	got := b.caughtUp(d)
	if len(got) != 1 || got[0].Message != "m-1" {
		t.Fatalf("dead letters %+v", got)
	}
	if at := got[0].Time; at < before || at > b.log.Now() {
		t.Errorf("append time %s, not after %s", at, before)
	}

	b.abortedTransaction(mainTopic) // only its control record counts towards the end
	scanned, err := Scan(b.ctx(), b.opts, mainTopic, b.ledger, b.log, 0)
	if err != nil || scanned.Records != 1 || scanned.Resolved != 1 || scanned.ForeignCount != 0 {
		t.Errorf("scan %+v, %v", scanned, err)
	}

	for name, opts := range groupProtocols {
		t.Run(name, func(t *testing.T) {
			l, err := StartLag(LagConfig{Opts: b.opts, Log: b.log, Group: name, Topic: mainTopic, Interval: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			b.memberCommits(t, name, 1, opts)
			if got := b.once(l)[1]; got.Committed != 1 {
				t.Errorf("position %v", got)
			}
		})
	}
}

// abortedTransaction leaves an aborted record and a control record in partition 0 of topic.
func (b *bench) abortedTransaction(topic string) {
	b.t.Helper()
	client, err := kgo.NewClient(append(b.opts, kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	if err := client.ProduceSync(b.ctx(), &kgo.Record{Topic: topic, Value: []byte("aborted")}).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
	if err := client.EndTransaction(b.ctx(), kgo.TryAbort); err != nil {
		b.t.Fatal(err)
	}
}
