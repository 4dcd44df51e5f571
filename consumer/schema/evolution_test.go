package schema

import (
	"errors"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// keep makes the registry refuse versions that old readers could not read.
func (r *registry) keep(subject string, level sr.CompatibilityLevel) {
	r.Helper()
	for _, result := range r.producer.SetCompatibility(r.Context(), sr.SetCompatibility{Level: level}, subject) {
		if result.Err != nil {
			r.Fatalf("compatibility of %s: %v", subject, result.Err)
		}
	}
}

// A consumer was built for version 1. Producers register newer ones, which the registry
// lets pass as forward compatible, and it goes on.
func TestAvroEvolution(t *testing.T) {
	r := realRegistry(t)
	subject := r.subject("value")
	const v1 = `{"type":"record","name":"Order","fields":[
		{"name":"id","type":"long"},
		{"name":"amount","type":"double","aliases":["cents"]},
		{"name":"note","type":"string","default":"none"},
		{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["BUY","OTHER"],"default":"OTHER"}}]}`
	type order struct {
		ID     int64   `avro:"id"`
		Amount float64 `avro:"amount"`
		Note   string  `avro:"note"`
		Kind   string  `avro:"kind"`
	}
	r.register(subject, sr.TypeAvro, v1)
	r.keep(subject, sr.CompatForward)
	d := r.decoder(Config{Value: Rule{Reader: Reader{Text: v1}}})
	first := r.decoder(Config{Value: Rule{Reader: Reader{Subject: subject, Version: 1}}})
	for name, c := range map[string]struct {
		writer string
		value  map[string]any
		want   order
	}{
		"added field": {
			`{"type":"record","name":"Order","fields":[{"name":"new","type":{"type":"map","values":"bytes"}},{"name":"id","type":"long"},{"name":"amount","type":"double"},
				{"name":"note","type":"string"},{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["BUY","OTHER"]}}]}`,
			map[string]any{"new": map[string]any{"a": []byte{1}}, "id": 1, "amount": 2.5, "note": "x", "kind": "BUY"}, order{1, 2.5, "x", "BUY"},
		},
		"removed field, other order": {
			`{"type":"record","name":"Order","fields":[{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["BUY","OTHER"]}},{"name":"amount","type":"double"},{"name":"id","type":"long"}]}`,
			map[string]any{"id": 1, "amount": 2.5, "kind": "BUY"}, order{1, 2.5, "none", "BUY"},
		},
		"narrower numbers, old name, new symbol": {
			`{"type":"record","name":"Order","fields":[{"name":"id","type":"int"},{"name":"cents","type":"int"},{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["SELL","BUY","OTHER"]}}]}`,
			map[string]any{"id": 1, "cents": 250, "kind": "SELL"}, order{1, 250, "none", "OTHER"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := realRegistry(t)
			subject := r.subject("value")
			r.register(subject, sr.TypeAvro, v1)
			r.keep(subject, sr.CompatForward)
			id := r.register(subject, sr.TypeAvro, c.writer)
			rec := record("orders", avroValue(t, id, c.writer, c.value))
			want := map[string]any{"id": c.want.ID, "amount": c.want.Amount, "note": c.want.Note, "kind": c.want.Kind}
			for _, d := range []*Decoder{d, first} {
				if got := decoded(t, d, rec); !reflect.DeepEqual(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				if got, _, err := typed[order](t.Context(), d, rec); err != nil || *got != c.want {
					t.Errorf("got %+v, %v; want %+v", got, err, c.want)
				}
			}
		})
	}
	const breaking = `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}`
	if _, err := r.producer.RegisterSchema(t.Context(), subject, sr.Schema{Schema: breaking}, -1, -1); err == nil {
		t.Error("the registry took a schema that old readers cannot read")
	}
	t.Run("a schema that breaks the contract all the same", func(t *testing.T) {
		id := r.register(r.subject("rogue"), sr.TypeAvro, breaking)
		wantKind(t, d, record("orders", avroValue(t, id, breaking, map[string]any{"id": "x"})), ErrIncompatible, "at id")
	})
	t.Run("the latest version stays what it was", func(t *testing.T) {
		latest := r.decoder(Config{Value: Rule{Reader: Reader{Subject: subject}}})
		const old = `{"type":"record","name":"Order","fields":[{"name":"id","type":"int"},{"name":"cents","type":"int"},{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["SELL","BUY","OTHER"]}}]}`
		r.keep(subject, sr.CompatNone)
		id := r.register(subject, sr.TypeAvro, old)
		rec := record("orders", avroValue(t, id, old, map[string]any{"id": 1, "cents": 2, "kind": "BUY"}))
		before := decoded(t, latest, rec)
		r.register(subject, sr.TypeAvro, v1[:len(v1)-2]+`,{"name":"last","type":"int","default":0}]}`)
		if got := decoded(t, latest, rec); !reflect.DeepEqual(got, before) {
			t.Errorf("got %v, and %v before", got, before)
		}
	})
	t.Run("another Go type", func(t *testing.T) {
		id := r.register(subject, sr.TypeAvro, v1)
		rec := record("orders", avroValue(t, id, v1, map[string]any{"id": 1, "amount": 1.0, "note": "", "kind": "BUY"}))
		type part struct {
			ID int64 `avro:"id"`
		}
		if got, _, err := typed[part](t.Context(), d, rec); err != nil || got.ID != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		type wrong struct {
			ID []string `avro:"id"`
		}
		if _, _, err := typed[wrong](t.Context(), d, rec); !errors.Is(err, ErrIncompatible) {
			t.Errorf("got %v", err)
		}
	})
}

func TestProtobufEvolution(t *testing.T) {
	r := realRegistry(t)
	subject := r.subject("value")
	const v1 = `syntax = "proto3"; package shop; message Order { int32 id = 1; string note = 2; Line line = 3; message Line { int32 count = 1; } repeated int32 sizes = 4; }`
	r.register(subject, sr.TypeProtobuf, v1)
	r.free(subject)
	d := r.decoder(Config{Value: Rule{Reader: Reader{Text: v1, Type: sr.TypeProtobuf}}})
	write := func(text string, path []int, value string) *kgo.Record {
		t.Helper()
		id := r.register(subject, sr.TypeProtobuf, text)
		return record("orders", protoValue(t, id, source{typ: sr.TypeProtobuf, text: text}, path, value))
	}
	t.Run("more fields, another place", func(t *testing.T) {
		rec := write(`syntax = "proto3"; package shop; message First {} message Order { int64 id = 1; bytes note = 2; Line line = 3; string more = 9; message Line { uint32 count = 1; bool new = 7; } repeated int32 sizes = 4 [packed=false]; }`,
			[]int{1}, `{"id":"5","note":"YQ==","line":{"count":2,"new":true},"more":"x","sizes":[1,2]}`)
		got := decoded(t, d, rec)
		wantMessage(t, got, `{"id":5,"note":"a","line":{"count":2},"sizes":[1,2]}`)
		if len(got.(proto.Message).ProtoReflect().GetUnknown()) == 0 {
			t.Error("the new field was dropped")
		}
	})
	t.Run("fewer fields", func(t *testing.T) {
		rec := write(`syntax = "proto3"; package shop; message Order { int32 id = 1; }`, []int{0}, `{"id":5}`)
		wantMessage(t, decoded(t, d, rec), `{"id":5}`)
	})
	for name, c := range map[string]struct {
		text, value string
		kind        error
	}{
		"another type":            {`message Order { string id = 1; }`, `{"id":"x"}`, ErrIncompatible},
		"another encoding":        {`message Order { sint32 id = 1; }`, `{"id":1}`, ErrIncompatible},
		"many for one":            {`message Order { repeated int32 id = 1; }`, `{"id":[1]}`, ErrIncompatible},
		"a map":                   {`message Order { map<string, string> line = 3; }`, `{}`, ErrIncompatible},
		"another type, deep":      {`message Order { Line line = 3; message Line { string count = 1; } }`, `{}`, ErrIncompatible},
		"another message":         {`message Invoice { int32 id = 1; }`, `{}`, ErrMismatch},
		"a text for a message":    {`message Order { string line = 3; }`, `{}`, ErrIncompatible},
		"a message for a text":    {`message Order { Order note = 2; }`, `{}`, ErrIncompatible},
		"a number for its double": {`message Order { double id = 1; }`, `{}`, ErrIncompatible},
	} {
		t.Run(name, func(t *testing.T) {
			wantKind(t, d, write(`syntax = "proto3"; package shop; `+c.text, []int{0}, c.value), c.kind)
		})
	}
	t.Run("bytes of something else", func(t *testing.T) {
		id := r.register(subject, sr.TypeProtobuf, v1)
		for name, payload := range map[string][]byte{
			"cut off": {0, 0x12, 9, 'x'}, "no such message": {2, 18}, "no such nested message": {4, 0, 2}, "no indexes": {}, "not UTF-8": {0, 0x12, 1, 0xff},
			"other wire type": {0, 0x0d, 1, 2, 3, 4}, "other wire type, deep": {0, 0x1a, 5, 0x0d, 1, 2, 3, 4},
		} {
			for _, d := range []*Decoder{d, r.decoder(Config{})} {
				if _, err := d.Decode(t.Context(), record("orders", wire(id, payload))); !errors.Is(err, ErrPayload) {
					t.Errorf("%s: got %v", name, err)
				}
			}
		}
	})
	t.Run("generated type", func(t *testing.T) {
		text := `syntax = "proto3"; package google.protobuf; message Duration { int64 seconds = 1; int32 nanos = 2; string unit = 3; }`
		other := `syntax = "proto3"; package google.protobuf; message Duration { string seconds = 1; }`
		rec := write(text, []int{0}, `"3s"`)
		got, _, err := typed[durationpb.Duration](t.Context(), r.decoder(Config{}), rec)
		if err != nil || got.GetSeconds() != 3 {
			t.Errorf("got %v, %v", got, err)
		}
		rec.Value = wire(r.register(subject, sr.TypeProtobuf, other), []byte{0})
		if _, _, err := typed[durationpb.Duration](t.Context(), r.decoder(Config{}), rec); !errors.Is(err, ErrIncompatible) {
			t.Errorf("got %v", err)
		}
		rec.Value = wire(r.register(subject, sr.TypeProtobuf, v1), []byte{0})
		if _, _, err := typed[durationpb.Duration](t.Context(), r.decoder(Config{}), rec); !errors.Is(err, ErrMismatch) {
			t.Errorf("got %v", err)
		}
		if _, _, err := typed[struct{}](t.Context(), r.decoder(Config{}), rec); !errors.Is(err, ErrMismatch) {
			t.Errorf("got %v", err)
		}
	})
}

// An enum value that the reader does not know, which Go keeps, and a required field.
func TestProto2(t *testing.T) {
	r := realRegistry(t)
	subject := r.subject("value")
	const v1 = `syntax = "proto2"; message A { required int32 id = 1; optional Kind kind = 2; enum Kind { X = 0; } }`
	const v2 = `syntax = "proto2"; message A { required int32 id = 1; optional Kind kind = 2; enum Kind { X = 0; Y = 1; } }`
	r.register(subject, sr.TypeProtobuf, v1)
	r.free(subject)
	id := r.register(subject, sr.TypeProtobuf, v2)
	d := r.decoder(Config{Value: Rule{Reader: Reader{Text: v1, Type: sr.TypeProtobuf}}})
	wantMessage(t, decoded(t, d, record("t", wire(id, []byte{0, 8, 1, 16, 1}))), `{"id":1,"kind":1}`)
	wantKind(t, d, record("t", wire(id, []byte{0, 16, 0})), ErrPayload, "required")
	optional := r.register(subject, sr.TypeProtobuf, `syntax = "proto2"; message A { optional Kind kind = 2; enum Kind { X = 0; } }`)
	wantKind(t, d, record("t", wire(optional, []byte{0})), ErrIncompatible, "requires field 1")
}

func TestJSONSchemaEvolution(t *testing.T) {
	r := realRegistry(t)
	subject := r.subject("value")
	const v1 = `{"type":"object","required":["id"],"properties":{"id":{"type":"integer"},"note":{"type":"string"}}}`
	const v2 = `{"type":"object","required":["id","more"],"properties":{"id":{"type":"integer"},"more":{"type":"array"},"note":{"type":["string","null"]}}}`
	r.register(subject, sr.TypeJSON, v1)
	r.free(subject)
	id := r.register(subject, sr.TypeJSON, v2)
	d := r.decoder(Config{Value: Rule{Reader: Reader{Text: v1, Type: sr.TypeJSON}}})
	rec := record("t", wire(id, []byte(`{"id":1,"more":[1]}`)))
	if got := decoded(t, d, rec).(map[string]any); got["more"] == nil {
		t.Errorf("got %v", got)
	}
	wantKind(t, d, record("t", wire(id, []byte(`{"id":1,"more":[],"note":null}`))), ErrIncompatible, "/note")
	wantKind(t, d, record("t", wire(id, []byte(`{"id":1}`))), ErrPayload, "more")
	type order struct{ ID int }
	if got, _, err := typed[order](t.Context(), d, rec); err != nil || got.ID != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	type wrong struct{ ID string }
	if _, _, err := typed[wrong](t.Context(), d, rec); !errors.Is(err, ErrIncompatible) {
		t.Errorf("got %v", err)
	}
}

// A producer changes the type of schema: no reader takes what it was not built for.
func TestTypesDoNotMix(t *testing.T) {
	r := realRegistry(t)
	ids := map[string]int{
		"Avro":        r.register(r.subject("avro"), sr.TypeAvro, `"string"`),
		"Protobuf":    r.register(r.subject("protobuf"), sr.TypeProtobuf, `syntax = "proto3"; message A {}`),
		"JSON Schema": r.register(r.subject("json"), sr.TypeJSON, `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}`),
	}
	payloads := map[string][]byte{"Avro": {0}, "Protobuf": {0}, "JSON Schema": []byte(`{}`)}
	for by, reader := range map[string]Reader{
		"Avro": {Text: `"string"`}, "Protobuf": {Text: `message A {}`, Type: sr.TypeProtobuf}, "JSON Schema": {Text: `{}`, Type: sr.TypeJSON},
	} {
		d := r.decoder(Config{Value: Rule{Reader: reader}})
		for of, id := range ids {
			_, err := d.Decode(t.Context(), record("t", wire(id, payloads[of])))
			if (of == by) != (err == nil) || err != nil && !errors.Is(err, ErrMismatch) {
				t.Errorf("%s by %s: %v", of, by, err)
			}
		}
	}
}
