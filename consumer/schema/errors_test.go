package schema

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/ksim-dev/ksim/consumer"
)

const userAvro = `{"type":"record","name":"User","fields":[{"name":"name","type":"string"}]}`

// says makes the fake registry give this answer.
func says(status int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// fateOf tells what the consumer will make of an error.
func fateOf(err error) string { return string(consumer.Outcomes(err, 1)[0].Kind) }

func TestAnswersOfTheRegistry(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		kind   error
		fate   string
	}{
		"unknown id":       {says(404, `{"error_code":40403,"message":"Schema not found"}`), ErrUnknownSchema, "permanent"},
		"wrong address":    {says(404, `<html>nothing here</html>`), ErrUnavailable, "unavailable"},
		"no such resource": {says(404, `{"error_code":404,"message":"HTTP 404 Not Found"}`), ErrUnavailable, "unavailable"},
		"no credentials":   {says(401, `{"error_code":401,"message":"Unauthorized"}`), ErrUnauthorized, "unavailable"},
		"no permission":    {says(403, `{"error_code":40301,"message":"User is denied"}`), ErrUnauthorized, "unavailable"},
		"overloaded":       {says(429, ``), ErrUnavailable, "unavailable"},
		"store error":      {says(500, `{"error_code":50001,"message":"Error in the backend data store"}`), ErrUnavailable, "unavailable"},
		"bad gateway":      {says(502, `<html>`), ErrUnavailable, "unavailable"},
		"not JSON":         {says(200, `<html>log in first</html>`), ErrUnavailable, "unavailable"},
		"bad request":      {says(400, `{"error_code":400,"message":"?"}`), ErrUnavailable, "unavailable"},
		"cut off":          {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, ErrUnavailable, "unavailable"},
		"time-out":         {func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, ErrUnavailable, "unavailable"},
		"does not compile": {says(200, `{"schema":"{\"type\":\"nonsense\"}"}`), ErrInvalidSchema, "permanent"},
		"another type":     {says(200, `{"schema":"x","schemaType":"JSON"}`), ErrInvalidSchema, "permanent"},
	} {
		t.Run(name, func(t *testing.T) {
			r, fake := fakeRegistry(t)
			fake.Intercept(c.answer)
			cfg := Config{}
			if name == "time-out" {
				cfg.RequestTimeout = 100 * time.Millisecond
			}
			d := r.decoder(cfg)
			_, err := d.Decode(t.Context(), record("users", wire(7, nil)))
			if !errors.Is(err, c.kind) || fateOf(err) != c.fate {
				t.Errorf("got %s: %v; want %s: %v", fateOf(err), err, c.fate, c.kind)
			}
			var e *Error
			if !errors.As(err, &e) || e.SchemaID != 7 || e.Key || !strings.Contains(err.Error(), "schema 7") {
				t.Errorf("got %#v", e)
			}
		})
	}
}

func TestRefusedConnection(t *testing.T) {
	r, fake := fakeRegistry(t)
	d := r.decoder(Config{})
	fake.Close()
	_, err := d.Decode(t.Context(), record("users", wire(7, nil)))
	if !errors.Is(err, ErrUnavailable) || fateOf(err) != "unavailable" {
		t.Errorf("got %s: %v", fateOf(err), err)
	}
}

func TestRecordsThatCannotBeRight(t *testing.T) {
	r, _ := fakeRegistry(t)
	id := r.register("users-value", sr.TypeAvro, userAvro)
	d := r.decoder(Config{Key: &Rule{}})
	good := avroValue(t, id, userAvro, map[string]any{"name": "ada"})
	for name, value := range map[string][]byte{
		"empty": {}, "short": {0, 0, 0}, "JSON": []byte(`{"name":"ada"}`), "negative id": {0, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			wantKind(t, d, record("users", value), ErrWireFormat)
			if r.requests.Load() != 0 {
				t.Error("the registry was asked")
			}
		})
	}
	wantKind(t, d, record("users", wire(id+1, nil)), ErrUnknownSchema)
	wantKind(t, d, record("users", good[:6]), ErrPayload)
	wantKind(t, d, record("users", append(good[:len(good):len(good)], 'x')), ErrPayload, "1 of its 5 bytes")
	t.Run("key", func(t *testing.T) {
		rec := record("users", good)
		rec.Key = []byte("plain")
		_, err := d.Decode(t.Context(), rec)
		var e *Error
		if !errors.As(err, &e) || !e.Key || !errors.Is(err, ErrWireFormat) || !strings.Contains(err.Error(), "key: ") {
			t.Errorf("got %v", err)
		}
		rec.Key = good
		v, err := d.Decode(t.Context(), rec)
		if err != nil || v.KeySchemaID != id || v.Key.(map[string]any)["name"] != "ada" {
			t.Errorf("got %+v, %v", v, err)
		}
	})
	t.Run("tombstone", func(t *testing.T) {
		v, err := d.Decode(t.Context(), &kgo.Record{Topic: "users", Key: good})
		if err != nil || v.Data != nil || v.SchemaID != 0 || v.Key == nil {
			t.Errorf("got %+v, %v", v, err)
		}
	})
}

// The strategies name what producers register under.
func TestSubjects(t *testing.T) {
	r, _ := fakeRegistry(t)
	id := map[string]int{}
	for _, subject := range []string{"users-value", "users-key", "User", "users-User", "Users"} {
		text := strings.Replace(userAvro, `"string"`, `"string","doc":"`+subject+`"`, 1) // an id each
		id[subject] = r.register(subject, sr.TypeAvro, text)
	}
	value := func(subject string) []byte {
		return avroValue(t, id[subject], userAvro, map[string]any{"name": "ada"})
	}
	for name, subject := range map[SubjectName]string{TopicName: "users-value", RecordName: "User", TopicRecordName: "users-User"} {
		d := r.decoder(Config{Value: Rule{Subject: name}})
		for other := range id {
			_, err := d.Decode(t.Context(), record("users", value(other)))
			if (err == nil) != (other == subject) || err != nil && !errors.Is(err, ErrMismatch) {
				t.Errorf("%s by %s: %v", other, name, err)
			}
		}
	}
	d := r.decoder(Config{Key: &Rule{Subject: TopicName}})
	rec := record("users", value("users-value"))
	rec.Key = value("users-key")
	if _, err := d.Decode(t.Context(), rec); err != nil {
		t.Error(err)
	}
	rec.Key = rec.Value
	wantKind(t, d, rec, ErrMismatch, `"users-key"`)
	untitled := r.register("json", sr.TypeJSON, `{"type":"object"}`)
	wantKind(t, r.decoder(Config{Value: Rule{Subject: RecordName}}), record("users", wire(untitled, []byte(`{}`))), ErrMismatch, "no name")
}

// A burst of records of one new schema is one request, and later ones are none. An id
// that is not known is asked for once in a while, and then found.
func TestRequestsAreFew(t *testing.T) {
	r, fake := fakeRegistry(t)
	id := r.register("users-value", sr.TypeAvro, userAvro)
	value := avroValue(t, id, userAvro, map[string]any{"name": "ada"})
	const ttl = 500 * time.Millisecond
	d := r.decoder(Config{UnknownTTL: ttl, Value: Rule{Subject: TopicName, Reader: Reader{Subject: "users-value"}}})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := d.Decode(context.Background(), record("users", value)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := r.requests.Load(); n != 3 { // the schema, the reader's, the subject
		t.Errorf("%d requests", n)
	}
	before := time.Now()
	for range 50 {
		wantKind(t, d, record("users", wire(id+1, value[5:])), ErrUnknownSchema)
	}
	if n := r.requests.Load(); n != 4 && time.Since(before) < ttl {
		t.Errorf("%d requests for an unknown id", n-3)
	}
	fake.SeedSchema("users-value", 2, id+1, sr.Schema{Schema: strings.Replace(userAvro, `"string"`, `"string","default":"?"`, 1)})
	until(t, "the schema registered late", func() bool {
		_, err := d.Decode(t.Context(), record("users", wire(id+1, value[5:])))
		return err == nil
	})
}

// While the registry is away it is not asked by every record.
func TestOutageIsNotMadeWorse(t *testing.T) {
	r, fake := fakeRegistry(t)
	fake.Intercept(says(503, "busy"))
	d := r.decoder(Config{})
	began := time.Now()
	for range 1000 {
		wantKind(t, d, record("users", wire(1, nil)), ErrUnavailable, "busy")
	}
	if n, most := r.requests.Load(), 1+int64(time.Since(began)/outagePause); n > most {
		t.Errorf("%d requests in %v", n, time.Since(began))
	}
}

func TestReaderThatIsNotThere(t *testing.T) {
	r, fake := fakeRegistry(t)
	id := r.register("users-value", sr.TypeAvro, userAvro)
	rec := record("users", avroValue(t, id, userAvro, map[string]any{"name": "ada"}))
	for name, reader := range map[string]Reader{
		"no subject": {Subject: "nobody"}, "no version": {Subject: "users-value", Version: 9}, "no message": {Subject: "users-value", Message: "User"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.decoder(Config{Value: Rule{Reader: reader}}).Decode(t.Context(), rec)
			if !errors.Is(err, ErrReader) || fateOf(err) != "fatal" || !strings.Contains(err.Error(), reader.Subject) {
				t.Errorf("got %s: %v", fateOf(err), err)
			}
		})
	}
	d := r.decoder(Config{Value: Rule{Reader: Reader{Subject: "users-value"}}})
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/subjects/") {
			return says(500, "")(w, r)
		}
		return false
	})
	wantKind(t, d, rec, ErrUnavailable, "users-value")
	fake.ClearInterceptors()
	until(t, "the reader's schema", func() bool { _, err := d.Decode(t.Context(), rec); return err == nil })
}

// References that lead in a circle, or nowhere.
func TestReferencesThatCannotBeFollowed(t *testing.T) {
	r, fake := fakeRegistry(t)
	d := r.decoder(Config{})
	ref := func(name string) string {
		return `{"schema":"\"string\"","references":[{"name":"` + name + `","subject":"` + name + `","version":1}]}`
	}
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/schemas/ids/1"):
			return says(200, ref("circle"))(w, r)
		case strings.HasSuffix(r.URL.Path, "/schemas/ids/2"):
			return says(200, ref("nowhere"))(w, r)
		case strings.Contains(r.URL.Path, "/subjects/circle/"):
			return says(200, ref("circle"))(w, r)
		}
		return false
	})
	if got := decoded(t, d, record("t", wire(1, []byte("\x02x")))); got != "x" {
		t.Errorf("got %v", got)
	}
	wantKind(t, d, record("t", wire(2, []byte("\x02x"))), ErrUnknownSchema, `"nowhere"`, "version 1")
}

func TestConfigIsChecked(t *testing.T) {
	cl, err := sr.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "Registry"},
		{Config{Registry: cl, RequestTimeout: -1}, "RequestTimeout"},
		{Config{Registry: cl, Value: Rule{Subject: "x"}}, "Value.Subject"},
		{Config{Registry: cl, Key: &Rule{Reader: Reader{Text: `"string"`, Subject: "s"}}}, "Key.Reader: both"},
		{Config{Registry: cl, Topics: map[string]Topic{"t": {Value: Rule{Reader: Reader{Version: 1}}}}}, "Topics[t].Value.Reader.Version"},
		{Config{Registry: cl, Value: Rule{Reader: Reader{Text: `"strong"`}}}, "schema: Value.Reader: "},
		{Config{Registry: cl, Value: Rule{Reader: Reader{Text: `"string"`, Message: "A"}}}, "only a Protobuf schema has messages"},
		{Config{Registry: cl, Topics: map[string]Topic{"t": {Key: &Rule{Reader: Reader{Text: `message A {}`, Type: sr.TypeProtobuf, Message: "B"}}}}}, "Topics[t].Key.Reader"},
		{Config{Registry: cl, Value: Rule{Reader: Reader{Text: `{"$ref":"file:///etc/hostname"}`, Type: sr.TypeJSON}}}, "not among the references"},
		{Config{Registry: cl, Value: Rule{Reader: Reader{Text: `syntax="proto3"; import "other.proto";`, Type: sr.TypeProtobuf}}}, "other.proto"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
}
