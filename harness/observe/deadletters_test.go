package observe

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

func (b *bench) deadLetters() *DeadLetters {
	b.t.Helper()
	d, err := NewDeadLetters(DeadLettersConfig{Opts: b.opts, Log: b.log, Ledger: b.ledger, Topic: dlqTopic})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(d.Close)
	return d
}

// caughtUp reads all dead letters and returns their events by offset in partition 0.
func (b *bench) caughtUp(d *DeadLetters) []history.Event {
	b.t.Helper()
	if err := d.CaughtUp(b.ctx()); err != nil {
		b.t.Fatal(err)
	}
	return b.events(history.DeadLettered)
}

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func textHeader(name, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: name, Value: []byte(value)}
}

func TestDeadLettersMatch(t *testing.T) {
	b := newBench(t)
	b.createDLQ()
	b.produce("m-0", 1, []byte("healthy"), history.Acked)
	poison := b.produce("m-1", 1, []byte{0xff, 0xfe, 0}, history.Acked)
	grave := b.produce("m-2", 1, nil, history.Acked)
	origin := []kgo.RecordHeader{
		textHeader("__dlq.errors.topic", mainTopic), textHeader("__dlq.errors.partition", "1"), textHeader("__dlq.errors.offset", "2"),
	}
	cases := []struct {
		name    string
		key     []byte
		value   []byte
		headers []kgo.RecordHeader
		message string
	}{
		{"by its bytes alone", poison.Key, poison.Value, nil, "m-1"},
		{"its bytes before a wrong id", nil, poison.Value, []kgo.RecordHeader{textHeader(workload.HeaderID, "m-0")}, "m-1"},
		{"re-encoded, by its id", nil, []byte(`"//4A"`), []kgo.RecordHeader{textHeader(workload.HeaderID, "m-1")}, "m-1"},
		{"re-encoded, by its origin", nil, []byte(`"//4A"`), origin, "m-2"},
		{"a tombstone, by its origin", grave.Key, nil, origin, "m-2"},
		{"a tombstone, by its id", grave.Key, nil, []kgo.RecordHeader{textHeader(workload.HeaderID, "m-2")}, "m-2"},
		{"a tombstone without a trace", grave.Key, nil, nil, ""},
		{"an empty value is no tombstone", nil, []byte{}, nil, ""},
		{"the origin of another topic", nil, []byte("?"), []kgo.RecordHeader{
			textHeader("__dlq.errors.topic", "other"), textHeader("__dlq.errors.partition", "1"), textHeader("__dlq.errors.offset", "2"),
		}, ""},
		{"never produced", nil, []byte("stranger"), []kgo.RecordHeader{textHeader(workload.HeaderID, "m-9")}, ""},
	}
	for _, c := range cases {
		b.send(dlqTopic, 0, c.key, c.value, c.headers...)
	}
	d := b.deadLetters()
	events := b.caughtUp(d)
	if len(events) != len(cases) || d.Count() != len(cases) {
		t.Fatalf("%d events, count %d, want %d", len(events), d.Count(), len(cases))
	}
	for i, c := range cases {
		e := events[i]
		if e.Message != c.message {
			t.Errorf("%s: matched to %q, want %q", c.name, e.Message, c.message)
		}
		if e.Topic != dlqTopic || e.Partition != 0 || e.Offset != int64(i) || e.Key != string(c.key) || e.Size != len(c.value) {
			t.Errorf("%s: wrong place or key: %+v", c.name, e)
		}
		if e.Hash != hash(c.value) || (c.value == nil) != (e.Hash == "") {
			t.Errorf("%s: hash %q", c.name, e.Hash)
		}
		if e.Time != 0 {
			t.Errorf("%s: time %s of a topic with CreateTime", c.name, e.Time)
		}
	}
}

// The subject was faster than the ack of the producer.
func TestDeadLetterBeforeTheAck(t *testing.T) {
	b := newBench(t)
	b.createDLQ()
	grave := b.produce("grave", 1, nil, history.Unknown) // in the topic, place not known
	d := b.deadLetters()
	b.send(dlqTopic, 0, nil, nil, textHeader("__dlq.errors.topic", mainTopic),
		textHeader("__dlq.errors.partition", "1"), textHeader("__dlq.errors.offset", "0"))
	select {
	case <-time.After(100 * time.Millisecond): // long enough to read it, far less than the patience
	case <-d.done:
	}
	b.ledger.Acked("grave", 1, grave.Offset)
	if got := b.caughtUp(d); got[0].Message != "grave" {
		t.Errorf("matched to %q", got[0].Message)
	}
}

func TestDeadLetterConventions(t *testing.T) {
	b := newBench(t)
	b.createDLQ()
	kip := []kgo.RecordHeader{
		textHeader("__dlq.errors.topic", mainTopic), textHeader("__dlq.errors.partition", "3"),
		textHeader("__dlq.errors.offset", "118"), textHeader("__dlq.errors.message", "boom"),
	}
	connect := []kgo.RecordHeader{
		textHeader("__connect.errors.topic", mainTopic), textHeader("__connect.errors.partition", "4"), textHeader("__connect.errors.offset", "7"),
	}
	spring := []kgo.RecordHeader{
		textHeader("kafka_dlt-original-topic", mainTopic),
		{Key: "kafka_dlt-original-partition", Value: be32(5)}, {Key: "kafka_dlt-original-offset", Value: be64(1 << 40)},
	}
	cases := []struct {
		headers      []kgo.RecordHeader
		origin, note string
	}{
		{kip, "orders/3@118", "kip-1191"},
		{connect, "orders/4@7", "connect"},
		{spring, "orders/5@1099511627776", "spring"},
		{append(append([]kgo.RecordHeader{}, spring...), kip...), "orders/3@118", "kip-1191, spring; kafka_dlt-original-topic says orders/5@1099511627776"},
		{append(append([]kgo.RecordHeader{}, kip...), textHeader("__dlq.errors.offset", "999")), "orders/3@118", "kip-1191"},
		{kip[:2], "", "none; header __dlq.errors.offset is missing"},
		{[]kgo.RecordHeader{spring[0], spring[1], textHeader("kafka_dlt-original-offset", "12")}, "", "none; header kafka_dlt-original-offset has 2 bytes where 8 belong"},
		{[]kgo.RecordHeader{connect[0], connect[1], {Key: "__connect.errors.offset", Value: be64(7)}}, "", `none; header __connect.errors.offset is "\x00\x00\x00\x00\x00\x00\x00\a", not a decimal number of 64 bits`},
		{nil, "", ""},
	}
	for _, c := range cases {
		b.send(dlqTopic, 0, nil, []byte("x"), c.headers...)
	}
	events := b.caughtUp(b.deadLetters())
	for i, c := range cases {
		if events[i].Origin != c.origin || events[i].Note != c.note {
			t.Errorf("case %d: origin %q, note %q; want %q, %q", i, events[i].Origin, events[i].Note, c.origin, c.note)
		}
	}
	if got := events[0].Headers["__dlq.errors.message"]; got != "boom" {
		t.Errorf("text header %q", got)
	}
	if got, want := events[2].Headers["kafka_dlt-original-partition"], "base64:"+base64.StdEncoding.EncodeToString(be32(5)); got != want {
		t.Errorf("binary header %q, want %q", got, want)
	}
	if got := events[4].Headers["__dlq.errors.offset#2"]; got != "999" {
		t.Errorf("repeated header %q", got)
	}
}

func TestDeadLetterHeadersAreBounded(t *testing.T) {
	long := strings.Repeat("ü", 4000)
	got := headers([]kgo.RecordHeader{
		textHeader("text", long), {Key: "binary", Value: []byte(strings.Repeat("\x00\xff", 4000))},
		textHeader(strings.Repeat("n", 5000), "v"),
	})
	for name, value := range got {
		if len(value) > maxHeaderValue || len(name) > maxHeaderName {
			t.Errorf("%.20s…: name of %d bytes, value of %d", name, len(name), len(value))
		}
	}
	if !strings.HasSuffix(got["text"], "…(8000 bytes)") || !strings.HasSuffix(got["binary"], "…(8000 bytes)") {
		t.Errorf("a cut value does not say so: %q, %q", got["text"], got["binary"])
	}
	part, _, _ := strings.Cut(strings.TrimPrefix(got["binary"], base64Prefix), "…")
	if raw, err := base64.StdEncoding.DecodeString(part); err != nil || len(raw) < 700 {
		t.Errorf("cut base64: %d bytes, %v", len(raw), err)
	}
	many := make([]kgo.RecordHeader, 1000)
	for i := range many {
		many[i] = textHeader("same", "v")
	}
	if got := headers(many); len(got) != maxHeaders {
		t.Errorf("%d headers kept of 1000, want %d", len(got), maxHeaders)
	}
}

// The topic comes into being after the observer, and dead letters keep coming.
func TestDeadLettersOfALaterTopic(t *testing.T) {
	b := newBench(t)
	d := b.deadLetters()
	if got := b.caughtUp(d); len(got) != 0 {
		t.Fatalf("%d dead letters in a topic that does not exist", len(got))
	}
	b.createDLQ()
	for i := range 3 {
		b.send(dlqTopic, int32(i%2), nil, []byte{byte(i)})
		if got := b.caughtUp(d); len(got) != i+1 {
			t.Fatalf("%d dead letters after %d", len(got), i+1)
		}
	}
}

// kfake does not act on message.timestamp.type; it does keep the attribute of
// a batch that says LogAppendTime, and then stamps the batch as a broker does
// (without a new CRC, so the reader must not check it here).
func TestDeadLetterAppendTime(t *testing.T) {
	b := newBench(t)
	b.createDLQ()
	before := b.log.Now().Truncate(time.Millisecond) - time.Millisecond
	b.produceAppendTime(dlqTopic, []byte("v"))
	after := b.log.Now()
	b.opts = append(b.opts, kgo.DisableFetchCRCValidation())
	e := b.caughtUp(b.deadLetters())[0]
	if e.Time < before || e.Time > after {
		t.Errorf("append time %s, not within %s and %s", e.Time, before, after)
	}
}

// produceAppendTime produces one record in a batch with the LogAppendTime
// attribute and a claimed time of 1970.
func (b *bench) produceAppendTime(topic string, value []byte) {
	b.t.Helper()
	rec := kmsg.Record{Value: value}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // less the length's own byte
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: 0x0008, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		FirstTimestamp: 1, MaxTimestamp: 1, NumRecords: 1, Records: rec.AppendTo(nil),
	}
	raw := batch.AppendTo(nil)
	batch.Length = int32(len(raw) - 12)
	batch.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = batch.AppendTo(nil)
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID, rt.Partitions = topic, b.cluster.TopicInfo(topic).TopicID, []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(b.ctx(), b.client)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		b.t.Fatal(err)
	}
}

// A dead letter in an aborted transaction was never written; the observer gets past it.
func TestDeadLettersSkipAbortedTransactions(t *testing.T) {
	b := newBench(t)
	b.createDLQ()
	b.send(dlqTopic, 0, nil, []byte("kept"))
	b.abortedTransaction(dlqTopic)
	if got := b.caughtUp(b.deadLetters()); len(got) != 1 {
		t.Errorf("%d dead letters, want the one before the transaction", len(got))
	}
}

func TestDeadLettersErrors(t *testing.T) {
	if _, err := NewDeadLetters(DeadLettersConfig{}); err == nil {
		t.Error("an empty config is accepted")
	}
	b := newBench(t)
	b.createDLQ()
	// A broker that refuses every fetch: the wait ends with ctx, and says how
	// far the reader came and why no further.
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	d := b.deadLetters()
	b.send(dlqTopic, 0, nil, []byte("w"))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	err := d.CaughtUp(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), dlqTopic+"/0") {
		t.Errorf("error %v", err)
	}
	d.Close()
	d.Close()
	if err := d.CaughtUp(b.ctx()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close, with a record unread: %v", err)
	}
}
