package dlq

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

func hs(pairs ...string) []kgo.RecordHeader {
	var out []kgo.RecordHeader
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return out
}

func kip(topic, partition, offset string) []kgo.RecordHeader {
	return hs("__dlq.errors.topic", topic, "__dlq.errors.partition", partition, "__dlq.errors.offset", offset, "__dlq.errors.group", "billing", "__dlq.errors.message", "no")
}

var (
	connectLetter = hs("trace", "1",
		"__connect.errors.topic", "orders", "__connect.errors.partition", "3", "__connect.errors.offset", "7",
		"__connect.errors.connector.name", "jdbc-sink", "__connect.errors.task.id", "0", "__connect.errors.stage", "VALUE_CONVERTER",
		"__connect.errors.class.name", "org.apache.kafka.connect.json.JsonConverter",
		"__connect.errors.exception.class.name", "org.apache.kafka.connect.errors.DataException",
		"__connect.errors.exception.message", "bad", "__connect.errors.exception.stacktrace", "at x")
	springLetter = hs("trace", "1",
		"kafka_dlt-exception-fqcn", "org.springframework.kafka.listener.ListenerExecutionFailedException",
		"kafka_dlt-exception-cause-fqcn", "java.lang.IllegalStateException", "kafka_dlt-exception-message", "bad",
		"kafka_dlt-exception-stacktrace", "at x", "kafka_dlt-original-topic", "orders",
		"kafka_dlt-original-partition", "\x00\x00\x00\x03", "kafka_dlt-original-offset", "\x00\x00\x00\x00\x00\x00\x00\x07",
		"kafka_dlt-original-timestamp", "\x00\x00\x01\x8b\xcf\xe5h{", "kafka_dlt-original-timestamp-type", "CreateTime",
		"kafka_dlt-original-consumer-group", "billing")
)

func ksimBlock(n, cycles string) []kgo.RecordHeader {
	return hs("ksim.dlq.stage", "handler", "ksim.dlq.attempts", "5", "ksim.dlq.error.type", "*x.E",
		"ksim.dlq.original.timestamp", "1700000000123", "ksim.dlq.original.headers", n, "ksim.dlq.cycles", cycles)
}

func join(parts ...[]kgo.RecordHeader) (all []kgo.RecordHeader) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestReadForeignStyles(t *testing.T) {
	now := time.UnixMilli(42)
	l := Read(&kgo.Record{Headers: connectLetter, Timestamp: now})
	if l.Origin != (Origin{"orders", 3, 7}) || l.Style != consumer.HeadersConnect || l.Group != "jdbc-sink" || l.Stage != "VALUE_CONVERTER" ||
		l.ErrorType != "org.apache.kafka.connect.errors.DataException" || l.Message != "bad" || l.Cycles != 1 || !l.OriginalTime.Equal(now) {
		t.Errorf("connect: %+v", l)
	}
	l = Read(&kgo.Record{Headers: springLetter, Timestamp: now})
	if l.Origin != (Origin{"orders", 3, 7}) || l.Style != consumer.HeadersSpring || l.Group != "billing" ||
		l.ErrorType != "java.lang.IllegalStateException" || l.Message != "bad" || l.Cycles != 1 || l.OriginalTime.UnixMilli() != 1_700_000_000_123 {
		t.Errorf("spring: %+v", l)
	}
}

func TestReadOriginAndHeaders(t *testing.T) {
	trace := hs("trace", "1")
	tail := hs("ksim.dlq.cycles", "1", "ksim.dlq.replayed", "d/0@1")
	letter := join(trace, kip("orders", "3", "7"), ksimBlock("1", "1"))
	for _, c := range []struct {
		name    string
		headers []kgo.RecordHeader
		origin  string
		own     []kgo.RecordHeader
		cycles  int
	}{
		{"ours", letter, "orders/3@7", trace, 1},
		{"ours without headers of its own", join(kip("orders", "3", "7"), ksimBlock("0", "1")), "orders/3@7", nil, 1},
		{"of a record that was replayed", join(trace, tail, kip("orders", "3", "70"), ksimBlock("3", "2")), "orders/3@70", trace, 2},
		{"of a letter: it comes back whole", join(letter, kip("dlq", "0", "5"), ksimBlock(fmt.Sprint(len(letter)), "2")), "dlq/0@5", letter, 2},
		{"of Connect", connectLetter, "orders/3@7", trace, 1},
		{"of Spring", springLetter, "orders/3@7", trace, 1},
		{"of Spring, of a record that was replayed", join(springLetter[:1], tail, springLetter[1:]), "orders/3@7", trace, 2},
		{"ours, put aside again by Spring", join(letter, springLetter[1:]), "orders/3@7", trace, 2},
		{"KIP-1191 by another program", join(trace, kip("orders", "3", "7")), "orders/3@7", trace, 1},
		{"Connect by us", join(connectLetter, ksimBlock("1", "4")), "orders/3@7", trace, 4},
		{"a record", trace, "", trace, 1},
		{"no offset", kip("orders", "3", "7")[:2], "", nil, 1},
		{"no topic", kip("", "3", "7"), "", nil, 1},
		{"negative", kip("orders", "-1", "7"), "", nil, 1},
		{"too large", kip("orders", "3", "9223372036854775808"), "", nil, 1},
		{"a count that cannot be", join(trace, kip("orders", "3", "7"), ksimBlock("2", "1")), "orders/3@7", trace, 2},
		{"a negative count", join(trace, kip("orders", "3", "7"), ksimBlock("-1", "1")), "orders/3@7", trace, 2},
	} {
		l := Read(&kgo.Record{Topic: "d", Partition: 1, Offset: 9, Headers: c.headers})
		own := l.Headers()
		if l.Origin.String() != c.origin || len(own) != len(c.own) || len(own) > 0 && !reflect.DeepEqual(own, c.own) || l.Cycles != c.cycles {
			t.Errorf("%s: origin %q, cycles %d, headers %q", c.name, l.Origin, l.Cycles, own)
		}
		back := l.Restore()
		want := join(c.own, hs("ksim.dlq.cycles", fmt.Sprint(c.cycles), "ksim.dlq.replayed", "d/1@9"))
		if !reflect.DeepEqual(back.Headers, want) {
			t.Errorf("%s: restored %q", c.name, back.Headers)
		}
	}
}

// Headers of anybody's never panic, and are never changed.
func FuzzRead(f *testing.F) {
	for _, h := range [][]kgo.RecordHeader{connectLetter, springLetter, join(kip("o", "1", "2"), ksimBlock("0", "1"))} {
		var raw []byte
		for _, one := range h {
			raw = append(append(append(raw, one.Key...), '='), one.Value...)
			raw = append(raw, ';')
		}
		f.Add(raw)
	}
	f.Add([]byte("ksim.dlq.original.headers=999999999999;__dlq.errors.topic="))
	f.Add([]byte("ksim.dlq.cycles=1;ksim.dlq.replayed=x;ksim.dlq.original.headers=2"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := &kgo.Record{Topic: "d", Headers: parse(raw), Key: raw, Timestamp: time.UnixMilli(1)}
		l := Read(r)
		back := l.Restore()
		if !reflect.DeepEqual(r.Headers, parse(raw)) {
			t.Fatal("the letter has changed")
		}
		if l.Origin.Partition < 0 || l.Origin.Offset < 0 || l.Cycles < 0 || l.Attempts < 0 || len(back.Headers) > len(r.Headers)+2 {
			t.Fatalf("%+v", l)
		}
		again := Read(&kgo.Record{Topic: "d", Headers: join(back.Headers, kip("o", "1", "2"), ksimBlock(fmt.Sprint(len(back.Headers)), "2"))})
		if own := again.Headers(); !reflect.DeepEqual(join(own), join(l.Headers())) {
			t.Fatalf("after another round the headers are %q, were %q", own, l.Headers())
		}
	})
}

// parse splits at semicolons and equals signs.
func parse(raw []byte) (out []kgo.RecordHeader) {
	var name, value []byte
	inValue := false
	for _, b := range append(raw[:len(raw):len(raw)], ';') {
		switch {
		case b == ';':
			out = append(out, kgo.RecordHeader{Key: string(name), Value: append([]byte(nil), value...)})
			name, value, inValue = nil, nil, false
		case b == '=' && !inValue:
			inValue = true
		case inValue:
			value = append(value, b)
		default:
			name = append(name, b)
		}
	}
	return out
}

func TestFilter(t *testing.T) {
	at := time.UnixMilli(1000)
	l := Read(&kgo.Record{Topic: "d", Partition: 1, Offset: 9, Timestamp: at, Headers: join(kip("orders", "3", "7"), ksimBlock("0", "1"))})
	unknown := Read(&kgo.Record{Topic: "d"})
	for _, f := range []Filter{
		{}, {Topics: []string{"x", "orders"}}, {Partitions: []int32{3}}, {Group: "billing"}, {Stage: "handler"}, {ErrorType: "x.E"}, {Message: "n"},
		{Since: at, Until: at.Add(1)}, {Offsets: []Offsets{{0, 0, 99}, {AnyPartition, 9, 9}}}, {Offsets: []Offsets{{1, 0, 9}}}, {MinAttempts: 5},
	} {
		if !f.Match(l) {
			t.Errorf("%+v does not pick it", f)
		}
	}
	for _, f := range []Filter{
		{Topics: []string{"x"}}, {Partitions: []int32{0, 1}}, {Group: "b"}, {Stage: "hand"}, {ErrorType: "y"}, {Message: "yes"},
		{Since: at.Add(1)}, {Until: at}, {Offsets: []Offsets{{0, 0, 99}, {1, 10, 11}}}, {MinAttempts: 6},
	} {
		if f.Match(l) {
			t.Errorf("%+v picks it", f)
		}
	}
	if (Filter{Partitions: []int32{0}}).Match(unknown) || (Filter{Topics: []string{""}}).Match(unknown) {
		t.Error("a letter of unknown origin has partition 0, or no topic")
	}
	for _, f := range []Filter{{Topics: []string{""}}, {Partitions: []int32{-1}}, {Since: at, Until: at}, {Offsets: []Offsets{{0, 3, 2}}}, {Offsets: []Offsets{{-2, 0, 0}}}, {MinAttempts: -1}} {
		if f.Validate() == nil {
			t.Errorf("%+v is valid", f)
		}
	}
}
