package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "orders"

type bench struct {
	*Sink
	t      testing.TB
	log    *history.Log
	ledger *workload.Ledger
	client *http.Client
	url    string // of m1, incarnation 1
}

func newBench(t testing.TB, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, log: history.NewMemory(history.Header{Topic: topic}), ledger: workload.NewLedger(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	cfg := Config{Log: b.log, Ledger: b.ledger, Topic: topic}
	for _, c := range change {
		c(&cfg)
	}
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Sink = s
	t.Cleanup(func() {
		b.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	b.url = s.Open("m1", 1)
	return b
}

// add makes n healthy records m-1 … m-n known at offsets 10, 11, … of partition 2.
func (b *bench) add(n int) {
	for i := 1; i <= n; i++ {
		b.record(fmt.Sprintf("m-%d", i), int64(9+i), workload.Healthy, 0)
	}
}

func (b *bench) record(id string, offset int64, poison workload.Poison, failures int) {
	b.ledger.Add(workload.Message{ID: id, Key: []byte("k-" + id), Value: []byte(body(id)), Partition: 2, Poison: poison, Failures: failures})
	b.ledger.Acked(id, 2, offset)
}

func body(id string) string { return `{"id":"` + id + `","pad":"x"}` }

type reply1 struct {
	code    int
	header  http.Header
	text    string
	Status  string
	Error   string
	Count   int
	Results []result
	err     error
}

func (b *bench) post(url, body string, headers ...string) reply1 {
	b.t.Helper()
	return b.postCtx(context.Background(), url, body, headers...)
}

func (b *bench) postCtx(ctx context.Context, url, body string, headers ...string) (r reply1) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.GetBody = nil // the transport must not repeat what the sink has cut off
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return reply1{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	r = reply1{code: resp.StatusCode, header: resp.Header, text: string(text), err: err}
	if err := json.Unmarshal(text, &r); err != nil {
		b.t.Errorf("answer %q is not JSON", text)
	}
	return r
}

func (b *bench) expect(r reply1, code int, status string) {
	b.t.Helper()
	if r.err != nil || r.code != code || r.Status != status {
		b.t.Errorf("answer %d %s, error %v; want %d %s", r.code, r.text, r.err, code, status)
	}
}

// events names what was written since: "started m-1, done m-1".
func (b *bench) events(since int64) string {
	var out []string
	for _, e := range b.log.Events(since) {
		out = append(out, strings.TrimSpace(strings.TrimPrefix(string(e.Kind), "effect-")+" "+e.Message))
	}
	return strings.Join(out, ", ")
}

func (b *bench) expectEvents(since int64, want string) {
	b.t.Helper()
	if got := b.events(since); got != want {
		b.t.Errorf("events: %s\nwant:   %s", got, want)
	}
}

func (b *bench) await(kind history.Kind, n int) history.Event {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	e, err := b.log.Await(ctx, 0, func(e history.Event) bool {
		if e.Kind == kind {
			n--
		}
		return n <= 0
	})
	if err != nil {
		b.t.Fatalf("no event %s: %v; so far %s", kind, err, b.events(0))
	}
	return e
}

func TestEventsOfAnEffect(t *testing.T) {
	b := newBench(t)
	b.add(1)
	b.expect(b.post(b.url, body("m-1")), 200, "applied")
	b.expect(b.post(b.url, body("m-1")), 200, "applied")
	b.expect(b.post(b.Open("m1", 2), body("m-1")), 200, "applied")
	es := b.log.Events(0)
	for i := 0; i < len(es); i += 2 {
		started, done := es[i], es[i+1]
		want := history.Event{
			Seq: started.Seq, At: started.At, Kind: history.EffectStarted, Member: "m1", Incarnation: 1 + i/4, Topic: topic, Partition: 2, Offset: 10,
			Key: "k-m-1", Message: "m-1", Attempt: 1 + i/2%2,
		}
		if fmt.Sprint(started) != fmt.Sprint(want) {
			t.Errorf("started %+v\nwant    %+v", started, want)
		}
		want.Kind, want.Seq, want.At, want.Ref, want.Repeat = history.EffectDone, done.Seq, done.At, started.Seq, i/2
		if fmt.Sprint(done) != fmt.Sprint(want) {
			t.Errorf("done %+v\nwant %+v", done, want)
		}
	}
	if b.Effects("m1") != 3 || b.Applied("m-1") != 3 || b.Effects("m9") != 0 || b.Applied("m-9") != 0 {
		t.Errorf("%d effects, %d applied", b.Effects("m1"), b.Applied("m-1"))
	}
}

func TestIdempotent(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Idempotent = true })
	b.add(1)
	b.expect(b.post(b.url, body("m-1")), 200, "applied")
	b.expect(b.post(b.url, body("m-1")), 200, "duplicate")
	if e := b.await(history.EffectDone, 2); e.Repeat != 1 {
		t.Errorf("the repeat is not counted: %+v", e)
	}
}

func TestIdentification(t *testing.T) {
	b := newBench(t, func(c *Config) { c.IDPointer = "/payment/refs/1" })
	b.add(9)
	raw := "\x00\xffraw"
	b.ledger.Add(workload.Message{ID: "raw", Value: []byte(raw), Partition: 1})
	for _, c := range []struct {
		name, body, want string
		headers          []string
	}{
		{"record first", body("m-2"), "m-1", []string{HeaderRecord, "orders/2/10", HeaderID, "m-3"}},
		{"id before body", body("m-2"), "m-3", []string{HeaderID, "m-3"}},
		{"a record of another topic does not count", body("m-2"), "m-2", []string{HeaderRecord, "other/2/10"}},
		{"an unknown place or id does not count", body("m-2"), "m-2", []string{HeaderRecord, "orders/2/999", HeaderID, "nope"}},
		{"pointer", `{"payment": {"refs": ["x", "m-4"]}, "id": "m-5"}`, "m-4", nil},
		{"plain id", `{"id": "m-5"}`, "m-5", nil},
		{"escaped", `{"\u0069d": "m\u002d6"}`, "m-6", nil},
		{"hash", raw, "raw", nil},
		{"id alone", "", "m-7", []string{HeaderID, "m-7"}},
		{"garbage in the headers", body("m-8"), "m-8", []string{HeaderRecord, "orders/x/y"}},
	} {
		since := b.log.Last()
		b.expect(b.post(b.url, c.body, c.headers...), 200, "applied")
		if got := b.events(since); got != "started "+c.want+", done "+c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	if _, err := Start(Config{Log: b.log, Ledger: b.ledger, IDPointer: "id"}); err == nil {
		t.Error("a wrong pointer is accepted")
	}
	if _, err := Start(Config{}); err == nil {
		t.Error("an empty config is accepted")
	}
}

// The consumer may be faster than the broker's answer to the producer.
func TestRecordBeforeItsAck(t *testing.T) {
	b := newBench(t)
	b.ledger.Add(workload.Message{ID: "early", Value: []byte("v"), Partition: 3})
	b.expect(b.post(b.url, "v"), 200, "applied")
	if e := b.await(history.EffectDone, 1); e.Partition != 3 || e.Offset != -1 {
		t.Errorf("event %+v", e)
	}
	answered := make(chan reply1)
	go func() { answered <- b.post(b.url, "", HeaderRecord, "orders/3/0") }()
	b.ledger.Acked("early", 3, 0)
	b.expect(<-answered, 200, "applied")
	if e := b.await(history.EffectDone, 2); e.Offset != 0 {
		t.Errorf("event %+v", e)
	}
}

func TestPoison(t *testing.T) {
	b := newBench(t)
	for i, kind := range []workload.Poison{workload.Undecodable, workload.Permanent, workload.Oversized} {
		b.record(string(kind), int64(i), kind, 0)
		r := b.post(b.url, body(string(kind)))
		b.expect(r, 422, "poison")
		if e := b.await(history.EffectRefused, i+1); r.Error != "poison" || e.Error != "poison" || e.Poison != string(kind) || e.Ref == 0 {
			t.Errorf("answer %s, event %+v", r.text, e)
		}
	}
	b.record("tomb", 8, workload.Tombstone, 0)
	b.expect(b.post(b.url, "", HeaderID, "tomb"), 200, "applied")
	b.record("wobbly", 9, workload.Transient, 2)
	for i, url := range []string{b.url, b.Open("m2", 1)} { // counted over all members
		r := b.post(url, body("wobbly"))
		b.expect(r, 503, "unavailable")
		if r.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if e := b.await(history.EffectRefused, 4+i); e.Error != "unavailable" || e.Attempt != 1 {
			t.Errorf("event %+v", e)
		}
	}
	b.expect(b.post(b.url, body("wobbly")), 200, "applied")
	if b.Applied("wobbly") != 1 {
		t.Errorf("applied %d times", b.Applied("wobbly"))
	}
}

func TestGarbage(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("ä", 500)
	for i, text := range []string{"", "garbage", "{", `{"id":7}`, `{"id":{"id":"x"}}`, "\xff\xfe", long, "null", `"m-1"`} {
		r := b.post(b.url, text)
		b.expect(r, 400, "unknown")
		e := b.await(history.EffectUnmatched, i+1)
		if e.Size != len(text) || e.Member != "m1" || len(e.Note) > 200 || !strings.HasPrefix(text, e.Note) && text != "\xff\xfe" {
			t.Errorf("%q: event %+v", text, e)
		}
	}
	since := b.log.Last()
	for _, c := range []struct {
		path string
		code int
	}{{"/", 404}, {"/effects", 404}, {"/effects/m1", 404}, {"/effects/m1/x", 404}, {"/effects//1", 404}} {
		b.expect(b.post(b.base+c.path, body("m-1")), c.code, "")
	}
	resp, err := b.client.Get(b.url)
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v, %v", resp, err)
	} else {
		_ = resp.Body.Close()
	}
	b.expectEvents(since, "")
	r := b.post(b.url, strings.Repeat("x", MaxBody+1))
	if r.err == nil && r.code != 413 { // or the client meets a closed door before it has sent all
		t.Errorf("too large: %d %s", r.code, r.text)
	}
	if e := b.await(history.EffectUnmatched, 10); e.Size != MaxBody+1 {
		t.Errorf("event %+v", e)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	b := newBench(t)
	b.add(2)
	b.expect(b.post(b.url+"/api/v1/payments?x=1", body("m-1")), 200, "applied")
	req, err := http.NewRequest(http.MethodPut, b.url+"/payments/m-2", strings.NewReader(body("m-2")))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.client.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("PUT: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	odd := b.Open("a b/c", 1)
	b.expect(b.post(odd, body("m-1")), 200, "applied")
	if b.Effects("a b/c") != 1 {
		t.Errorf("no effect by %s", odd)
	}
}

func TestDeadIncarnations(t *testing.T) {
	b := newBench(t)
	b.add(3)
	b.expect(b.post(b.url, body("m-1")), 200, "applied")
	b.End("m1", 1)
	b.End("m1", 1)
	b.End("nobody", 1)
	if again := b.Open("m1", 1); again != b.url {
		t.Errorf("url %s", again)
	}
	since := b.log.Last()
	for _, url := range []string{b.url, b.base + "/effects/m1/7", b.base + "/effects/stranger/1"} {
		if r := b.post(url, body("m-2")); r.err == nil {
			t.Errorf("%s: answered %d %s", url, r.code, r.text)
		}
		if r := b.post(url, "garbage"); r.err == nil {
			t.Errorf("%s: garbage answered %d", url, r.code)
		}
	}
	if r := b.post(b.url+"/batch", "["+body("m-1")+","+body("m-3")+"]"); r.err == nil {
		t.Errorf("a batch was answered %d", r.code)
	}
	b.expectEvents(since, "dropped m-2, dropped m-2, dropped m-2, dropped m-1, dropped m-3")
	b.expect(b.post(b.Open("m1", 2), body("m-2")), 200, "applied")
	if b.Applied("m-2") != 1 || b.Effects("m1") != 2 {
		t.Errorf("applied %d, effects %d", b.Applied("m-2"), b.Effects("m1"))
	}
}

// A client that sends a byte now and then, or nothing, holds nobody up; nor does one that is cut off.
func TestSlowAndBrokenClients(t *testing.T) {
	b := newBench(t)
	b.add(1)
	for _, text := range []string{
		"", "POST /effects/m1/1 HT", "POST /effects/m1/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"id\"", "\x16\x03\x01", "GARBAGE\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	b.expect(b.post(b.url, body("m-1")), 200, "applied")
	b.expectEvents(0, "started m-1, done m-1")
	// The clean-up closes the sink with all of them connected, and goleak
	// sees that nothing stays behind.
}

func TestQuiet(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Quiet, c.Log = true, nil })
	b.add(2)
	b.record("bad", 50, workload.Permanent, 0)
	b.record("wobbly", 51, workload.Transient, 1)
	r := b.post(b.url+"/batch", "["+body("m-1")+","+body("bad")+","+body("wobbly")+","+body("wobbly")+","+body("m-1")+"]")
	if r.code != 207 || b.Effects("m1") != 3 {
		t.Fatalf("answer %d %s", r.code, r.text)
	}
	if b.log.Last() != 0 {
		t.Error("a quiet sink writes events")
	}
}

// One that counts elsewhere keeps nothing about records itself, and takes poison as any other.
func TestCount(t *testing.T) {
	var seen []Observation
	b := newBench(t, func(c *Config) {
		c.Quiet, c.Log, c.Idempotent = true, nil, true
		c.Count = func(o Observation) int {
			seen = append(seen, o)
			return len(seen) / 3
		}
	})
	b.add(2)
	b.record("bad", 50, workload.Permanent, 0)
	began := time.Now()
	r := b.post(b.url+"/batch", "["+body("m-1")+","+body("bad")+","+body("m-1")+"]")
	if r.code != 200 || len(seen) != 3 || b.Effects("m1") != 3 || b.Applied("m-1") != 0 {
		t.Fatalf("answer %d %s, seen %+v", r.code, r.text, seen)
	}
	o := seen[2]
	if o.Entry.ID != "m-1" || o.Member != "m1" || o.Incarnation != 1 || o.Entry.Partition != 2 || o.Entry.Offset != 10 || o.Begun.Before(began) || o.At.Before(o.Begun) {
		t.Errorf("observation %+v", o)
	}
	b.expect(b.post(b.url, body("m-2")), 200, "duplicate")
}
