package reference

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/schema"
)

// The handler sees what can be decoded, as it was sent; what names an unknown schema fails by itself.
func TestDecoding(t *testing.T) {
	registry := srfake.NewRegistry()
	id, _, err := registry.RegisterSchema("t-value", sr.Schema{Schema: `{"type":"record","name":"M","fields":[{"name":"n","type":"long"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.Handler())
	defer server.Close()
	value := func(id int) []byte { return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), 14) }
	var seen []byte
	h, err := decoding(server.URL, func(_ context.Context, b consumer.Batch) error {
		for _, r := range b.Records {
			seen = append(seen, r.Value...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	batch := func(values ...[]byte) consumer.Batch {
		b := consumer.Batch{Topic: "t"}
		for _, v := range values {
			b.Records = append(b.Records, &kgo.Record{Topic: "t", Value: v})
		}
		return b
	}
	if err := h(t.Context(), batch(value(id))); err != nil || string(seen) != string(value(id)) {
		t.Errorf("%v; the handler saw %x", err, seen)
	}
	if err := h(t.Context(), batch(value(id+99), value(id))); !errors.Is(err, schema.ErrUnknownSchema) {
		t.Errorf("an unknown schema: %v", err)
	}
	server.Close()
	if err := h(t.Context(), batch(value(id+1))); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("a registry that is away: %v", err)
	}
	plain := consumer.Handler(func(context.Context, consumer.Batch) error { return errors.New("asked") })
	if h, err := decoding("", plain); err != nil || h(t.Context(), batch()) == nil {
		t.Errorf("without a registry: %v", err)
	}
}

func TestPanicWhereAsked(t *testing.T) {
	reason := "panic"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"status":"refused","error":"` + reason + `"}`))
	}))
	defer server.Close()
	s := newSink(server.URL, 1)
	defer s.close()
	post := func() (panicked bool) {
		defer func() { panicked = recover() != nil }()
		if err := s.record(t.Context(), &kgo.Record{Topic: "t"}); err == nil {
			t.Error("status 500 is taken for success")
		}
		return false
	}
	if post() {
		t.Error("it panicked, and nobody had asked")
	}
	s.panics = true
	if !post() {
		t.Error("it did not panic")
	}
	reason = "Internal Server Error"
	if post() {
		t.Error("it panicked at an ordinary error")
	}
}
