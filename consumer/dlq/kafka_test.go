package dlq_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/dlq"
	"github.com/ksim-dev/ksim/harness/backend/containers"
)

const patience = time.Minute

// kafka is a broker, and topics of one test: every name ends with its suffix.
type kafka struct {
	*testing.T
	cluster       *kfake.Cluster // nil for a real one
	brokers       []string
	origin, dead  string
	client        *kgo.Client
	originOffsets map[int32]int64
}

// embedded starts kfake.
func embedded(t *testing.T, opts ...kfake.Opt) *kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2), kfake.GroupMinSessionTimeout(500 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	k := &kafka{T: t, cluster: cluster, brokers: cluster.ListenAddrs()}
	k.topics("", 3, 3)
	return k
}

// everywhere runs a test on kfake, and on a broker of Apache Kafka where Docker answers.
func everywhere(t *testing.T, tests map[string]func(*testing.T, *kafka)) {
	for name, test := range tests {
		t.Run("embedded/"+name, func(t *testing.T) { test(t, embedded(t)) })
	}
	t.Run("real", func(t *testing.T) {
		containers.Require(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		cluster, err := containers.Start(ctx, containers.Config{RunID: "dlq"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := cluster.Close(); err != nil {
				t.Error(err)
			}
		})
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				k := &kafka{T: t, brokers: cluster.Brokers()}
				k.topics("."+strings.ReplaceAll(name, " ", "-"), 3, 3)
				test(t, k)
			})
		}
	})
}

func (k *kafka) topics(suffix string, origin, dead int32) {
	k.Helper()
	k.origin, k.dead, k.originOffsets = "orders"+suffix, "dlq.billing.orders"+suffix, make(map[int32]int64)
	var err error
	if k.client, err = kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.DisableClientMetrics(), kgo.MetadataMinAge(50*time.Millisecond)); err != nil {
		k.Fatal(err)
	}
	k.Cleanup(k.client.Close)
	k.topic(k.origin, origin)
	k.topic(k.dead, dead)
}

func (k *kafka) topic(name string, partitions int32) {
	k.Helper()
	forEver := "-1"
	resp, err := kadm.NewClient(k.client).CreateTopic(k.Context(), partitions, 1, map[string]*string{"retention.ms": &forEver}, name)
	if err != nil || resp.Err != nil {
		k.Fatal(err, resp.Err)
	}
}

func (k *kafka) config() dlq.Config {
	cfg := dlq.Config{
		ClientOpts: []kgo.Opt{kgo.SeedBrokers(k.brokers...), kgo.DisableClientMetrics()},
		Topic:      k.dead, Timeout: 20 * time.Second, Logger: slog.New(slog.DiscardHandler),
	}
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return cfg
}

// letter is a dead letter as package consumer writes it.
func (k *kafka) letter(id int, partition int32, key []byte, cycles int) *kgo.Record {
	offset := k.originOffsets[partition]
	k.originOffsets[partition]++
	own := []kgo.RecordHeader{{Key: "trace", Value: []byte{0, 0xff, byte(id)}}, {Key: "trace"}}
	text := func(name string, value any) kgo.RecordHeader {
		return kgo.RecordHeader{Key: name, Value: fmt.Append(nil, value)}
	}
	return &kgo.Record{
		Topic: k.dead, Key: key, Value: strconv.AppendInt(nil, int64(id), 10),
		Headers: append(own,
			text(consumer.HeaderTopic, k.origin), text(consumer.HeaderPartition, partition), text(consumer.HeaderOffset, offset),
			text(consumer.HeaderGroup, "billing"), text(consumer.HeaderMessage, fmt.Sprintf("error %d", id%3)),
			text(consumer.HeaderStage, "handler"), text(consumer.HeaderAttempts, 1+id%5), text(consumer.HeaderErrorType, "*errors.errorString"),
			text(consumer.HeaderOriginalTimestamp, originalTime(id)), text(consumer.HeaderOriginalHeaders, 2), text(consumer.HeaderCycles, cycles)),
	}
}

func originalTime(id int) int64 { return 1_700_000_000_000 + int64(id) }

// letters writes n dead letters, of 20 keys, one after the other so that their
// order is that of their ids.
func (k *kafka) letters(n int) []*kgo.Record {
	k.Helper()
	out := make([]*kgo.Record, n)
	for id := range out {
		out[id] = k.letter(id, int32(id%20%3), fmt.Appendf(nil, "k%d", id%20), 1)
	}
	k.produce(out...)
	return out
}

func (k *kafka) produce(records ...*kgo.Record) {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	defer cancel()
	if err := k.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		k.Fatal(err)
	}
}

// committed reads all that is committed of a topic, by partition and in order.
func (k *kafka) committed(topic string) map[int32][]*kgo.Record {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	defer cancel()
	ends := k.ends(ctx, topic)
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	out := make(map[int32][]*kgo.Record)
	if len(left) == 0 {
		return out
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.DisableClientMetrics(), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		k.Fatal(err)
	}
	defer cl.Close()
	for len(left) > 0 {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			k.Fatalf("%s was not read to its end: %v left", topic, left)
		}
		f.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out[r.Partition] = append(out[r.Partition], r)
			}
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
	}
	return out
}

// ends waits until no transaction is open: a commit is answered before its markers
// are written.
func (k *kafka) ends(ctx context.Context, topic string) kadm.ListedOffsets {
	k.Helper()
	adm := kadm.NewClient(k.client)
	for {
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err != nil {
			k.Fatal(err)
		}
		stable, err := adm.ListCommittedOffsets(ctx, topic)
		if err != nil {
			k.Fatal(err)
		}
		open := false
		ends.Each(func(o kadm.ListedOffset) {
			s, _ := stable.Lookup(topic, o.Partition)
			open = open || s.Offset < o.Offset
		})
		if !open {
			return stable
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ids are the numbers of the records of a partition.
func ids(records []*kgo.Record) []int {
	out := make([]int, len(records))
	for i, r := range records {
		out[i], _ = strconv.Atoi(string(r.Value))
	}
	return out
}

// exactly fails unless the original topic has the letters of these ids, each once,
// in its partition, in order.
func (k *kafka) exactly(want []int) {
	k.Helper()
	got := k.committed(k.origin)
	total := 0
	for partition := range int32(3) {
		var expect []int
		for _, id := range want {
			if int32(id%20%3) == partition {
				expect = append(expect, id)
			}
		}
		total += len(expect)
		list := ids(got[partition])
		for i := range max(len(list), len(expect)) {
			if i >= len(list) || i >= len(expect) || list[i] != expect[i] {
				k.Errorf("partition %d has %d records, want %d; from %d on they are %v, want %v",
					partition, len(list), len(expect), i, list[min(i, len(list)):min(i+5, len(list))], expect[min(i, len(expect)):min(i+5, len(expect))])
				break
			}
		}
	}
	if total != len(want) {
		k.Fatalf("%d of %d expected", total, len(want))
	}
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
