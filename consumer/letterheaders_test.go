package consumer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The bytes of every header, in their order, for each style. Other programs read
// them: they must not change.
func TestHeaderBytes(t *testing.T) {
	const common = `
ksim.dlq.stage=decode
ksim.dlq.attempts=5
ksim.dlq.error.type=*errors.errorString
ksim.dlq.original.timestamp=1700000000123
ksim.dlq.original.headers=2
ksim.dlq.first.failure=1700000001000
ksim.dlq.instance=pod-1
ksim.dlq.cycles=1
x-tenant=acme`
	const kip = `
__dlq.errors.topic=orders
__dlq.errors.partition=3
__dlq.errors.offset=1099511627776
__dlq.errors.group=billing
__dlq.errors.delivery.count=5
__dlq.errors.message=stat: no such price`
	const connect = `
__connect.errors.topic=orders
__connect.errors.partition=3
__connect.errors.offset=1099511627776
__connect.errors.connector.name=billing
__connect.errors.task.id=pod-1
__connect.errors.stage=decode
__connect.errors.class.name=consumer.Handler
__connect.errors.exception.class.name=*errors.errorString
__connect.errors.exception.message=stat: no such price`
	const spring = `
kafka_dlt-exception-fqcn=*fmt.wrapError
kafka_dlt-exception-cause-fqcn=*errors.errorString
kafka_dlt-exception-message=stat: no such price
kafka_dlt-original-topic=orders
kafka_dlt-original-partition=\x00\x00\x00\x03
kafka_dlt-original-offset=\x00\x00\x01\x00\x00\x00\x00\x00
kafka_dlt-original-timestamp=\x00\x00\x01\x8b\xcf\xe5h{
kafka_dlt-original-timestamp-type=CreateTime
kafka_dlt-original-consumer-group=billing`
	cause := Annotate(Permanent(Annotate(fmt.Errorf("stat: %w", errors.New("no such price")), HeaderStage, "decode")), "x-tenant", "acme")
	for _, c := range []struct {
		styles []HeaderStyle
		want   string
	}{
		{nil, kip},
		{[]HeaderStyle{HeadersKIP1191}, kip},
		{[]HeaderStyle{HeadersConnect}, connect},
		{[]HeaderStyle{HeadersSpring}, spring},
		{[]HeaderStyle{HeadersSpring, HeadersKIP1191}, spring + kip},
	} {
		cfg := testConfig()
		cfg.Group, cfg.InstanceID, cfg.Poison.Headers = "billing", "pod-1", c.styles
		own := []kgo.RecordHeader{{Key: "trace", Value: []byte{0, 0xff}}, {Key: "trace"}}
		r := &kgo.Record{
			Topic: "orders", Partition: 3, Offset: 1 << 40, Key: []byte("k"), Value: []byte{0xff}, Headers: own,
			Timestamp: time.UnixMilli(1_700_000_000_123),
		}
		err := cause
		if c.styles == nil {
			err = Annotate(Annotate(err, HeaderCycles, "7"), HeaderOriginalHeaders, "99") // these are not for a handler to say
		}
		got := deadLetter(&cfg, &entry{rec: r, trial: &trial{attempts: 5, failed: time.UnixMilli(1_700_000_001_000)}}, err, time.UnixMilli(5))
		var lines strings.Builder
		for _, h := range got.Headers {
			fmt.Fprintf(&lines, "\n%s=%s", h.Key, strings.Trim(fmt.Sprintf("%q", h.Value), `"`))
		}
		if want := "\ntrace=\\x00\\xff\ntrace=" + c.want + common; lines.String() != want {
			t.Errorf("%v:\n%s\nwant:\n%s", c.styles, lines.String(), want)
		}
		if string(got.Key) != "k" || string(got.Value) != "\xff" || got.Headers[1].Value != nil || !got.Timestamp.Equal(time.UnixMilli(5)) {
			t.Errorf("%v: the record has changed: %v", c.styles, got)
		}
	}
}

func TestConnectStageAndTypes(t *testing.T) {
	cfg := testConfig()
	cfg.Poison.Headers = []HeaderStyle{HeadersConnect, HeadersSpring}
	plain := errors.New("no")
	got := deadLetter(&cfg, &entry{rec: &kgo.Record{Topic: "t"}}, RetryAfter(Unavailable(plain), time.Second), time.Now())
	last := map[string]string{}
	for _, h := range got.Headers {
		last[h.Key] = string(h.Value)
	}
	if last[ConnectStage] != "TASK_PUT" || last[HeaderStage] != "handler" || last[SpringException] != "*errors.errorString" {
		t.Errorf("%v", last)
	}
	if _, ok := last[SpringCause]; ok {
		t.Error("an error that wraps none has a cause")
	}
}

func TestValidateHeaders(t *testing.T) {
	cfg := testConfig()
	cfg.Poison = Poison{Policy: PoisonDeadLetter, Headers: []HeaderStyle{HeadersConnect, "rabbit", HeadersConnect}}
	err := cfg.Validate()
	for _, want := range []string{`"rabbit" is none of kip-1191, connect, spring`, `"connect" is there twice`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	cfg.Poison = Poison{Policy: PoisonSkip, Headers: []HeaderStyle{HeadersSpring}}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "the policy is skip") {
		t.Errorf("headers without dead letters: %v", err)
	}
	cfg.Poison = Poison{Policy: PoisonDeadLetter, Headers: []HeaderStyle{HeadersSpring, HeadersKIP1191}}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}
