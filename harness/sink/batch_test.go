package sink

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ksim-dev/ksim/harness/workload"
)

func TestBatch(t *testing.T) {
	b := newBench(t)
	b.add(9)
	b.record("bad", 50, workload.Permanent, 0)
	b.record("wobbly", 51, workload.Transient, 1)
	raw := []byte{0xff, 0, 1}
	b.ledger.Add(workload.Message{ID: "raw", Value: raw})
	url := b.url + "/batch"
	for _, text := range []string{
		" [" + body("m-1") + ", " + body("m-2") + "]",
		`{"effects": [{"id": "m-1", "value": {"a": [1, {"b": "]"}]}}, {"record": "orders/2/11"}]}`,
		`{"effects": [{"id": "m-1"}, {"value": {"id": "m-2"}}], "stop_on_failure": false}`,
		`["{\"id\": \"m-1\"}", {"id": "m-2"}]`,
		`{"effects": [{"id": "m-1", "value": null}, {"value": "{\"id\":\"m-2\"}"}]}`,
	} {
		since := b.log.Last()
		r := b.post(url, text)
		b.expect(r, 200, "applied")
		if r.Count != 2 {
			t.Errorf("count %d", r.Count)
		}
		b.expectEvents(since, "started m-1, done m-1, started m-2, done m-2")
	}
	b.expect(b.post(url, `{"effects":[{"value_base64":"`+base64.StdEncoding.EncodeToString(raw)+`"}]}`), 200, "applied")
	b.expect(b.post(url, "[]"), 200, "applied")
	if b.Applied("raw") != 1 {
		t.Error("a base64 value was not found")
	}

	mixed := "[" + body("m-3") + "," + body("bad") + "," + body("nope") + "," + body("wobbly") + "," + body("m-4") + "]"
	since := b.log.Last()
	r := b.post(url, mixed)
	want := "[{m-3 applied } {bad poison poison} { unknown this record was never produced} {wobbly unavailable unavailable} {m-4 applied }]"
	if got := fmt.Sprint(r.Results); r.code != 207 || got != want || r.header.Get("Retry-After") == "" {
		t.Errorf("answer %d %s\nwant %s", r.code, got, want)
	}
	b.expectEvents(since, "started m-3, done m-3, started bad, refused bad, unmatched, started wobbly, refused wobbly, started m-4, done m-4")
	for _, bad := range []string{"", "{", "7", `{"effect":[]}`, `{"effects":7}`, "[1,]"} {
		since := b.log.Last()
		b.expect(b.post(url, bad), 400, "")
		b.expectEvents(since, "unmatched")
	}
	if r := b.post(url, "["+strings.Repeat("1,", MaxBatch)+"1]"); r.code != 413 {
		t.Errorf("too many: %d", r.code)
	}
}

func TestStopOnFailure(t *testing.T) {
	b := newBench(t)
	b.add(3)
	b.record("bad", 50, workload.Permanent, 0)
	list := "[" + body("m-1") + "," + body("bad") + "," + body("m-2") + `,{"id":"nope"}]`
	for _, c := range []struct{ url, text, header string }{
		{"/batch?stop_on_failure=true", list, ""},
		{"/batch", `{"stop_on_failure":true,"effects":` + list + "}", ""},
		{"/batch", list, "1"},
	} {
		since := b.log.Last()
		r := b.post(b.url+c.url, c.text, HeaderStopOnFailure, c.header)
		var statuses []string
		for _, res := range r.Results {
			statuses = append(statuses, res.Status)
		}
		if got := strings.Join(statuses, " "); r.code != 207 || got != "applied poison untried untried" {
			t.Errorf("%+v: %d %s", c, r.code, got)
		}
		b.expectEvents(since, "started m-1, done m-1, started bad, refused bad")
	}
}

func BenchmarkQuietBatches(b *testing.B) {
	const size, distinct = 100, 10_000
	s := newBench(b, func(c *Config) { c.Quiet = true })
	pad := strings.Repeat("p", 200)
	var bodies [][]byte
	for i := 0; i < distinct; i += size {
		var values [][]byte
		for j := range size {
			id := fmt.Sprintf("m-%06d", i+j)
			v := []byte(`{"id":"` + id + `","key":"k-000001","seq":1,"ts":12,"pad":"` + pad + `"}`)
			s.ledger.Add(workload.Message{ID: id, Value: v})
			values = append(values, v)
		}
		bodies = append(bodies, append(append([]byte("["), bytes.Join(values, []byte(","))...), ']'))
	}
	b.ResetTimer()
	for i := range b.N {
		resp, err := s.client.Post(s.url+"/batch", "application/json", bytes.NewReader(bodies[i%len(bodies)]))
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "effects/s")
}

func FuzzBatchBody(f *testing.F) {
	for _, s := range []string{
		`[]`, `[{"id":"m-1"},"x",null,7]`, `{"effects":[{"id":"m-1","value":{"a":[1]}}],"stop_on_failure":true}`, `{"effects":[{"value_base64":"//8="}]}`,
		`{"a\"b":{"c":[{},[]]},"effects":[ 1 , 2 ]}`, `[[[[`, `{"effects":`, "\xff", `{"\u0069d":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	s := &Sink{cfg: Config{Ledger: workload.NewLedger(), Topic: topic}, pointer: []string{"a", "0"}}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, reason := parseBatch(text)
		var list []json.RawMessage
		isList := json.Unmarshal(text, &list) == nil && len(text) > 0 && bytes.TrimLeft(text, " \t\r\n")[0] == '['
		if isList && (reason != "" || b.count != len(list)) {
			t.Fatalf("%d effects, reason %q; want %d", b.count, reason, len(list))
		}
		i := 0
		b.each(func(r reference, raw []byte) bool {
			if isList && !bytes.Equal(raw, bytes.TrimSpace(list[i])) {
				t.Fatalf("effect %d is %s, want %s", i, raw, list[i])
			}
			s.find(t.Context(), r)
			i++
			return true
		})
		if reason == "" && i != b.count {
			t.Fatalf("%d of %d effects", i, b.count)
		}
		s.find(t.Context(), reference{body: text})
		// What walks valid JSON must at least end on anything else.
		lookup(text, "id")
		point(text, s.pointer)
		elements(text, func([]byte) bool { return true })
		_ = sha256.Sum256([]byte(excerpt(text)))
	})
}
