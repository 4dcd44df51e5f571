package schema

import (
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/ksim-dev/ksim/internal/services"
)

// registry is a Schema Registry as a test sees it: it registers schemas, encodes as
// producers do, and counts requests of decoders.
type registry struct {
	testing.TB
	producer *sr.Client // not counted
	client   *sr.Client
	requests *atomic.Int64
}

func newRegistry(t testing.TB, url string) *registry {
	t.Helper()
	r := &registry{TB: t, requests: new(atomic.Int64)}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	counting := roundTripper(func(req *http.Request) (*http.Response, error) {
		r.requests.Add(1)
		return transport.RoundTrip(req)
	})
	var err error
	if r.producer, err = sr.NewClient(sr.URLs(url), sr.HTTPClient(&http.Client{Transport: transport, Timeout: time.Minute})); err != nil {
		t.Fatal(err)
	}
	if r.client, err = sr.NewClient(sr.URLs(url), sr.HTTPClient(&http.Client{Transport: counting})); err != nil {
		t.Fatal(err)
	}
	return r
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func realRegistry(t testing.TB) *registry {
	t.Helper()
	return newRegistry(t, services.Registry(t))
}

func fakeRegistry(t testing.TB) (*registry, *srfake.Registry) {
	t.Helper()
	fake := srfake.New()
	t.Cleanup(fake.Close)
	return newRegistry(t, fake.URL()), fake
}

// subject is one of this test's own.
func (r *registry) subject(name string) string {
	return strings.ReplaceAll(r.Name(), "/", "-") + "." + name
}

func (r *registry) register(subject string, typ sr.SchemaType, text string, refs ...sr.SchemaReference) int {
	r.Helper()
	id, err := r.producer.RegisterSchema(r.Context(), subject, sr.Schema{Schema: text, Type: typ, References: refs}, -1, -1)
	if err != nil {
		r.Fatalf("register %s: %v", subject, err)
	}
	return id
}

// free lets a subject take schemas that do not fit each other.
func (r *registry) free(subject string) {
	r.Helper()
	for _, result := range r.producer.SetCompatibility(r.Context(), sr.SetCompatibility{Level: sr.CompatNone}, subject) {
		if result.Err != nil {
			r.Fatalf("compatibility of %s: %v", subject, result.Err)
		}
	}
}

func (r *registry) decoder(cfg Config) *Decoder {
	r.Helper()
	cfg.Registry = r.client
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = time.Minute // the machine may be busy
	}
	d, err := New(cfg)
	if err != nil {
		r.Fatal(err)
	}
	return d
}

func wire(id int, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), payload...)
}

// avroValue encodes a value as a producer with this schema does.
func avroValue(t testing.TB, id int, text string, value any) []byte {
	t.Helper()
	payload, err := avro.MustParse(text).Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	return wire(id, payload)
}

// protoValue encodes JSON as the message of a schema that has this path of indexes.
func protoValue(t testing.TB, id int, src source, path []int, text string) []byte {
	t.Helper()
	p, err := compileProtobuf(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return protoFileValue(t, id, p.file, path, text)
}

func protoFileValue(t testing.TB, id int, file protoreflect.FileDescriptor, path []int, text string) []byte {
	t.Helper()
	m := dynamicpb.NewMessage(messageAt(file, path))
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	payload, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	header, _ := new(sr.ConfluentHeader).AppendEncode(nil, id, path) // never fails
	return append(header, payload...)
}

func record(topic string, value []byte) *kgo.Record { return &kgo.Record{Topic: topic, Value: value} }

// wantKind checks that a record is refused for this reason.
func wantKind(t testing.TB, d *Decoder, r *kgo.Record, kind error, parts ...string) {
	t.Helper()
	v, err := d.Decode(t.Context(), r)
	if !errors.Is(err, kind) {
		t.Errorf("got %+v, %v; want %v", v, err, kind)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
}

func decoded(t testing.TB, d *Decoder, r *kgo.Record) any {
	t.Helper()
	v, err := d.Decode(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return v.Data
}

// until waits for what has no event of its own.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
