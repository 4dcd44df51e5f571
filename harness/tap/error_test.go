package tap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// commitOf is a commit by nobody in particular, which an empty group takes.
func commitOf(at int64, ps ...int32) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = testGroup, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = testTopic
	for _, p := range ps {
		t.Partitions = append(t.Partitions, kmsg.OffsetCommitRequestTopicPartition{Partition: p, Offset: at})
	}
	req.Topics = append(req.Topics, t)
	return req
}

// codes maps partitions to the errors of a commit's answer.
func commitCodes(f *fixture, c *client, req *kmsg.OffsetCommitRequest) map[int32]error {
	f.Helper()
	resp, err := req.RequestWith(f.ctx, c)
	if err != nil {
		f.Fatal(err)
	}
	codes := map[int32]error{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			codes[p.Partition] = kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return codes
}

// TestCommitRefusedByTheTap: what the broker never saw is no commit.
func TestCommitRefusedByTheTap(t *testing.T) {
	f := newFixture(t)
	c := through(f, f.open("m1", 1))
	defer c.Close()
	armed := f.tap.Add(Rule{Key: kmsg.OffsetCommit.Int16(), Group: testGroup, Times: 1, Action: Error{kerr.IllegalGeneration.Code}})
	if codes := commitCodes(f, c, commitOf(5, 0, 1)); !errors.Is(codes[0], kerr.IllegalGeneration) || !errors.Is(codes[1], kerr.IllegalGeneration) {
		t.Errorf("answered %v", codes)
	}
	if n := f.committed(); n != 0 {
		t.Errorf("the broker has %d", n)
	}
	for _, k := range []history.Kind{history.CommitRequested, history.Committed} {
		if n := f.count(0, kindOf(k, "m1")); n != 0 {
			t.Errorf("%d %s of a commit that the broker never saw", n, k)
		}
	}
	if e := f.awaitEvent(0, "told", kindOf(history.Told, "m1")); e.Error != "ILLEGAL_GENERATION" || e.Generation != -1 {
		t.Errorf("told %+v", e)
	}
	if call := receive(f, "hit", armed.Hit()); call.Group != testGroup || !slices.Equal(call.Partitions, []TopicPartition{{testTopic, 0}, {testTopic, 1}}) {
		t.Errorf("hit %+v", call)
	}
	if codes := commitCodes(f, c, commitOf(5, 0, 1)); codes[0] != nil || codes[1] != nil || f.committed() != 10 {
		t.Errorf("after the rule: %v, the broker has %d", codes, f.committed())
	}
}

// TestCommitAppliedAndToldOtherwise: the history has what the broker did.
func TestCommitAppliedAndToldOtherwise(t *testing.T) {
	f := newFixture(t)
	c := through(f, f.open("m1", 1))
	defer c.Close()
	f.tap.Add(Rule{Key: kmsg.OffsetCommit.Int16(), Direction: Response, Partitions: []int32{1}, Times: 1, Action: Error{kerr.UnknownMemberID.Code}})
	if codes := commitCodes(f, c, commitOf(5, 0, 1)); codes[0] != nil || !errors.Is(codes[1], kerr.UnknownMemberID) {
		t.Errorf("answered %v", codes)
	}
	accepted := func(e history.Event) bool {
		return e.Kind == history.Committed && e.Outcome == history.Accepted && e.Ref > 0
	}
	if n := f.count(0, accepted); n != 2 || f.committed() != 10 {
		t.Errorf("%d commits accepted, the broker has %d", n, f.committed())
	}
	if n := f.count(0, kindOf(history.Told, "m1")); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestPartOfACommit: the rest of a request reaches the broker, and its answer is whole.
func TestPartOfACommit(t *testing.T) {
	f := newFixture(t)
	c := through(f, f.open("m1", 1))
	defer c.Close()
	armed := f.tap.Add(Rule{Key: kmsg.OffsetCommit.Int16(), Topic: testTopic, Partitions: []int32{1, 4}, Times: 1, Action: Error{kerr.InvalidCommitOffsetSize.Code}})
	if codes := commitCodes(f, c, commitOf(5, 0)); codes[0] != nil {
		t.Errorf("a commit that names another partition: %v", codes)
	}
	codes := commitCodes(f, c, commitOf(6, 0, 1, 2))
	if len(codes) != 3 || codes[0] != nil || !errors.Is(codes[1], kerr.InvalidCommitOffsetSize) || codes[2] != nil {
		t.Errorf("answered %v", codes)
	}
	receive(f, "hit", armed.Hit())
	for _, e := range f.log.Events(0) {
		if e.Kind == history.CommitRequested && e.Partition == 1 {
			t.Error("the broker was not asked to commit partition 1")
		}
	}
	if commits := f.cluster.GroupInfo(testGroup).Commits[testTopic]; commits[0].Offset != 6 || commits[1].Offset > 0 || commits[2].Offset != 6 {
		t.Errorf("the broker has %v", commits)
	}
}

func producer(f *fixture, m *Member, opts ...kgo.Opt) *client {
	return through(f, m, append([]kgo.Opt{
		kgo.DefaultProduceTopic(testTopic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(), kgo.ProducerLinger(0),
	}, opts...)...)
}

func onPartition(p int32, value string) *kgo.Record {
	return &kgo.Record{Partition: p, Value: []byte(value)}
}

// TestProduceRefused: the records of the selected partition do not reach the broker, others do.
func TestProduceRefused(t *testing.T) {
	f := newFixtureOf(t, 1) // one request for all partitions
	m := f.open("m1", 1)
	armed := f.tap.Add(Rule{Key: kmsg.Produce.Int16(), Topic: testTopic, Partitions: []int32{1}, Action: Error{kerr.TopicAuthorizationFailed.Code}})
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 8, -1, 1000
	full := batchFor("a")
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = testTopic
	for p := range int32(3) {
		topic.Partitions = append(topic.Partitions, kmsg.ProduceRequestTopicPartition{Partition: p, Records: full})
	}
	req.Topics = append(req.Topics, topic)
	conn, err := new(rawClient).connect(f, m)
	if err != nil {
		t.Fatal(err)
	}
	conn.send(req, 7)
	resp := conn.expect(header{key: 0, version: 8, correlation: 7}).(*kmsg.ProduceResponse)
	for _, p := range resp.Topics[0].Partitions {
		if want := map[int32]int16{1: kerr.TopicAuthorizationFailed.Code}[p.Partition]; p.ErrorCode != want {
			t.Errorf("partition %d is answered %d", p.Partition, p.ErrorCode)
		}
	}
	if len(resp.Topics[0].Partitions) != 3 || armed.Hits() != 1 {
		t.Errorf("%d partitions answered, %d hits", len(resp.Topics[0].Partitions), armed.Hits())
	}
	// Nobody waits for an answer here; the next request is answered in its turn.
	req.Acks = 0
	conn.send(req, 8)
	req.Topics[0].Partitions = req.Topics[0].Partitions[1:2]
	conn.send(req, 9) // all of it is hit
	req.Acks = -1
	conn.send(req, 10)
	conn.expect(header{key: 0, version: 8, correlation: 10})
	conn.send(heartbeatOf(4), 11) // which the broker answers after what came before
	conn.expect(header{key: kmsg.Heartbeat.Int16(), version: 4, correlation: 11})
	ends := f.ends()
	if ends[0] != 2 || ends[1] != 0 || ends[2] != 2 {
		t.Errorf("the broker has %v records", ends)
	}
}

// batchFor is a record batch of one record, uncompressed.
func batchFor(value string) []byte {
	rec := kmsg.Record{Value: []byte(value)}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // of one byte, as it is small
	b := kmsg.RecordBatch{Magic: 2, NumRecords: 1, Records: rec.AppendTo(nil), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1}
	b.Length = int32(len(b.AppendTo(nil)) - batchOverhead)
	const covered = 21 // by the CRC
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[covered:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

// expect reads the next response, which must be the one to that request.
func (r *rawClient) expect(h header) kmsg.Response {
	r.f.Helper()
	b, err := r.receive(patience)
	if err != nil {
		r.f.Fatalf("%s v%d: %v", APIName(h.key), h.version, err)
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != h.correlation {
		r.f.Fatalf("response %d, want %d", got, h.correlation)
	}
	resp, _, err := readResponse(h, b)
	if err != nil {
		r.f.Fatal(err)
	}
	return resp
}

// ends asks the broker where the partitions end.
func (f *fixture) ends() map[int32]int64 {
	f.Helper()
	ends := map[int32]int64{}
	for p := range int32(partitions) {
		ends[p] = f.cluster.PartitionInfo(testTopic, p).HighWatermark
	}
	return ends
}

// TestProduceAppliedAndToldOtherwise: a client that is not idempotent sends it again.
func TestProduceAppliedAndToldOtherwise(t *testing.T) {
	f := newFixture(t)
	p := producer(f, f.open("m1", 1))
	defer p.Close()
	f.tap.Add(Rule{Key: kmsg.Produce.Int16(), Direction: Response, Topic: testTopic, Times: 1, Action: Error{kerr.NotLeaderForPartition.Code}})
	if err := p.ProduceSync(f.ctx, onPartition(0, "a")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if ends := f.ends(); ends[0] != 2 {
		t.Errorf("partition 0 has %d records, want the same one twice", ends[0])
	}
}

// TestFetchRefused: one partition is refused for a while, within a fetch session and without; the others go on, and
// then all is read, each record once.
func TestFetchRefused(t *testing.T) {
	for _, d := range []Direction{Request, Response} {
		for _, sessions := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, sessions %v", d, sessions), func(t *testing.T) {
				f := newFixtureOf(t, 1)
				var opts []kgo.Opt
				if !sessions {
					opts = append(opts, kgo.DisableFetchSessions())
				}
				r := newReader(f, f.open("m1", 1), opts...)
				f.produce(60)
				r.await(60)
				armed := f.tap.Add(Rule{Key: kmsg.Fetch.Int16(), Direction: d, Topic: testTopic, Partitions: []int32{2}, Action: Error{kerr.NotLeaderForPartition.Code}})
				if d == Request { // the one under way has passed
					if err := armed.AwaitHits(f.ctx, 1); err != nil {
						t.Fatal(err)
					}
				}
				f.produce(60)
				r.await(110) // all but those of partition 2
				if r.read[2].Load() != 10 {
					t.Errorf("%d records of the refused partition", r.read[2].Load())
				}
				if err := armed.AwaitHits(f.ctx, 2); err != nil {
					t.Error(err)
				}
				armed.Remove()
				r.await(120)
				r.end()
			})
		}
	}
}

// TestFetchSessionInForce: a session that began before the rule names nothing that the rule could
// select, until the tap ends it.
func TestFetchSessionInForce(t *testing.T) {
	f := newFixtureOf(t, 1)
	f.produce(6)
	r := newReader(f, f.open("m1", 1))
	r.await(6)
	idle := f.tap.Add(Rule{Key: kmsg.Fetch.Int16()})
	if err := idle.AwaitHits(f.ctx, 3); err != nil { // nothing new is asked for any more
		t.Fatal(err)
	}
	armed := f.tap.Add(Rule{Key: kmsg.Fetch.Int16(), Topic: testTopic, Partitions: []int32{4}, Times: 1, Action: Error{kerr.UnknownLeaderEpoch.Code}})
	receive(f, "hit", armed.Hit())
	f.produce(6)
	r.await(12)
	r.end()
}

// TestLaidOver: what a client must have from the broker is there beside the error.
func TestLaidOver(t *testing.T) {
	f := newFixtureOf(t, 1)
	conn, err := new(rawClient).connect(f, f.open("m1", 1))
	if err != nil {
		t.Fatal(err)
	}
	f.tap.Add(Rule{Key: kmsg.Fetch.Int16(), Action: Error{kerr.KafkaStorageError.Code}})
	f.tap.Add(Rule{Key: kmsg.Metadata.Int16(), Action: Error{kerr.LeaderNotAvailable.Code}})
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version, fetch.SessionEpoch, fetch.MaxBytes = 11, 0, 1<<20
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = testTopic
	for p := range int32(2) {
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.PartitionMaxBytes = p, 1<<20
		topic.Partitions = append(topic.Partitions, part)
	}
	fetch.Topics = append(fetch.Topics, topic)
	conn.send(fetch, 1)
	got := conn.expect(header{key: kmsg.Fetch.Int16(), version: 11, correlation: 1}).(*kmsg.FetchResponse)
	if got.SessionID == 0 || got.ErrorCode != 0 || len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 2 {
		t.Fatalf("without its session: %+v", got)
	}
	for _, p := range got.Topics[0].Partitions {
		if p.ErrorCode != kerr.KafkaStorageError.Code || p.HighWatermark != -1 || len(p.RecordBatches) > 0 {
			t.Errorf("%+v", p)
		}
	}
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 7
	conn.send(metadata, 2)
	m := conn.expect(header{key: kmsg.Metadata.Int16(), version: 7, correlation: 2}).(*kmsg.MetadataResponse)
	if len(m.Brokers) != 1 || len(m.Topics) != 1 || m.Topics[0].ErrorCode != kerr.LeaderNotAvailable.Code || *m.Topics[0].Topic != testTopic {
		t.Errorf("%+v", m)
	}
}

// topicReader reads all partitions without a group, and counts.
type topicReader struct {
	f      *fixture
	c      *client
	cancel context.CancelFunc
	read   [partitions]atomic.Int64
	last   [partitions]int64
	done   chan struct{}
	total  chan int64
}

func newReader(f *fixture, m *Member, opts ...kgo.Opt) *topicReader {
	r := &topicReader{f: f, done: make(chan struct{}), total: make(chan int64, 1<<10)}
	r.c = through(f, m, append(opts, kgo.ConsumeTopics(testTopic), kgo.FetchMaxWait(100e6), kgo.MetadataMinAge(50e6))...)
	ctx, cancel := context.WithCancel(f.ctx)
	r.cancel = cancel
	f.Cleanup(cancel)
	go func() {
		defer close(r.done)
		for n := int64(0); ctx.Err() == nil; {
			r.c.PollFetches(ctx).EachRecord(func(rec *kgo.Record) {
				if rec.Offset != r.last[rec.Partition] {
					f.Errorf("partition %d: offset %d after %d", rec.Partition, rec.Offset, r.last[rec.Partition]-1)
				}
				r.last[rec.Partition] = rec.Offset + 1
				r.read[rec.Partition].Add(1)
				n++
				r.total <- n
			})
		}
	}()
	return r
}

func (r *topicReader) await(n int64) {
	r.f.Helper()
	for got := int64(0); got < n; {
		got = receive(r.f, fmt.Sprintf("record %d", n), r.total)
	}
}

func (r *topicReader) end() {
	r.cancel()
	<-r.done
	r.c.Close()
}

// TestCoordinatorTroubles: each API of a group that the tap refuses for a while, in the broker's place and after it; the
// client finds its way, and commits.
func TestCoordinatorTroubles(t *testing.T) {
	for _, p := range protocols[1:] { // eager groups ask for the same
		for _, x := range []struct {
			key  kmsg.Key
			code *kerr.Error
		}{
			{kmsg.FindCoordinator, kerr.CoordinatorNotAvailable}, {kmsg.JoinGroup, kerr.CoordinatorLoadInProgress}, {kmsg.JoinGroup, kerr.NotCoordinator},
			{kmsg.SyncGroup, kerr.RebalanceInProgress}, {kmsg.Heartbeat, kerr.RebalanceInProgress}, {kmsg.Heartbeat, kerr.NotCoordinator},
			{kmsg.Heartbeat, kerr.UnknownMemberID}, {kmsg.OffsetFetch, kerr.UnstableOffsetCommit}, {kmsg.OffsetFetch, kerr.CoordinatorLoadInProgress},
			{kmsg.OffsetCommit, kerr.NotCoordinator}, {kmsg.OffsetCommit, kerr.CoordinatorLoadInProgress}, {kmsg.Metadata, kerr.LeaderNotAvailable},
			{kmsg.ListOffsets, kerr.NotLeaderForPartition}, {kmsg.ConsumerGroupHeartbeat, kerr.CoordinatorLoadInProgress},
			{kmsg.ConsumerGroupHeartbeat, kerr.FencedMemberEpoch}, {kmsg.ConsumerGroupHeartbeat, kerr.UnknownMemberID},
		} {
			newer := p.protocol == consumer
			if classicOnly := x.key == kmsg.JoinGroup || x.key == kmsg.SyncGroup || x.key == kmsg.Heartbeat; classicOnly && newer || x.key == kmsg.ConsumerGroupHeartbeat && !newer {
				continue
			}
			for _, d := range []Direction{Request, Response} {
				t.Run(fmt.Sprintf("%s, %s %s %s", p.name, x.key.Name(), d, x.code.Message), func(t *testing.T) {
					f := newFixtureOf(t, 1)
					f.produce(60)
					armed := f.tap.Add(Rule{Member: "m1", Key: int16(x.key), Direction: d, Times: 2, Action: Error{x.code.Code}})
					consume(f, f.open("m1", 1), p.opts...)
					if err := armed.AwaitHits(f.ctx, 2); err != nil {
						t.Fatal(err)
					}
					f.produce(60)
					f.await("all is committed", func() bool { return f.committed() == 120 && f.unanswered() == 0 })
					f.awaitStable("m1")
				})
			}
		}
	}
}
