package schema

import (
	"encoding/json"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	wideAvro = `{"type":"record","name":"Order","fields":[
		{"name":"id","type":"long"},{"name":"customer","type":"string"},{"name":"cents","type":"long"},{"name":"note","type":["null","string"]},
		{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"},{"name":"count","type":"int"}]}}}]}`
	wideProto = `syntax = "proto3"; message Order { int64 id = 1; string customer = 2; int64 cents = 3; string note = 4; repeated Line lines = 5; message Line { string sku = 1; int32 count = 2; } }`
	wideJSON  = `{"type":"object","required":["id","customer","cents","lines"],"properties":{"id":{"type":"integer"},"customer":{"type":"string"},"cents":{"type":"integer"},"note":{"type":["string","null"]},
		"lines":{"type":"array","items":{"type":"object","required":["sku","count"],"properties":{"sku":{"type":"string"},"count":{"type":"integer"}}}}}}`
	wideValue = `{"id":1,"customer":"ada","cents":1999,"note":"x","lines":[{"sku":"nut","count":3},{"sku":"bolt","count":4}]}`
)

type wideOrder struct {
	ID       int64   `avro:"id" json:"id"`
	Customer string  `avro:"customer" json:"customer"`
	Cents    int64   `avro:"cents" json:"cents"`
	Note     *string `avro:"note" json:"note"`
	Lines    []struct {
		SKU   string `avro:"sku" json:"sku"`
		Count int    `avro:"count" json:"count"`
	} `avro:"lines" json:"lines"`
}

func wideAvroRecord(b *testing.B, id int) *kgo.Record {
	b.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(wideValue), &value); err != nil {
		b.Fatal(err)
	}
	payload, err := avro.MustParse(wideAvro).Encode(value)
	if err != nil {
		b.Fatal(err)
	}
	return record("orders", wire(id, payload))
}

func benchmark(b *testing.B, rec *kgo.Record, decode func(*kgo.Record) error) {
	b.Helper()
	if err := decode(rec); err != nil { // warms the cache
		b.Fatal(err)
	}
	b.SetBytes(int64(len(rec.Value)))
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := decode(rec); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func values(b *testing.B, d *Decoder) func(*kgo.Record) error {
	return func(r *kgo.Record) error { _, err := d.Decode(b.Context(), r); return err }
}

func into[T any](b *testing.B, d *Decoder) func(*kgo.Record) error {
	return func(r *kgo.Record) error { _, _, err := typed[T](b.Context(), d, r); return err }
}

func BenchmarkDecodeAvro(b *testing.B) {
	r, _ := fakeRegistry(b)
	rec := wideAvroRecord(b, r.register("orders-value", sr.TypeAvro, wideAvro))
	reader := r.decoder(Config{Value: Rule{Reader: Reader{Text: `{"type":"record","name":"Order","fields":[{"name":"id","type":"double"},{"name":"customer","type":"string"},{"name":"new","type":"int","default":1}]}`}}})
	b.Run("value", func(b *testing.B) { benchmark(b, rec, values(b, r.decoder(Config{}))) })
	b.Run("struct", func(b *testing.B) { benchmark(b, rec, into[wideOrder](b, r.decoder(Config{}))) })
	b.Run("value by reader", func(b *testing.B) { benchmark(b, rec, values(b, reader)) })
	b.Run("value of its subject", func(b *testing.B) {
		benchmark(b, rec, values(b, r.decoder(Config{Value: Rule{Subject: TopicName}})))
	})
}

func BenchmarkDecodeProtobuf(b *testing.B) {
	r, _ := fakeRegistry(b)
	src := source{typ: sr.TypeProtobuf, text: wideProto}
	rec := record("orders", protoValue(b, r.register("orders-value", sr.TypeProtobuf, wideProto), src, []int{0}, wideValue))
	b.Run("value", func(b *testing.B) { benchmark(b, rec, values(b, r.decoder(Config{}))) })
	b.Run("value by reader", func(b *testing.B) {
		benchmark(b, rec, values(b, r.decoder(Config{Value: Rule{Reader: Reader{Text: wideProto, Type: sr.TypeProtobuf}}})))
	})
	const duration = `syntax = "proto3"; package google.protobuf; message Duration { int64 seconds = 1; int32 nanos = 2; }`
	small := record("orders", wire(r.register("durations-value", sr.TypeProtobuf, duration), []byte{0, 8, 5}))
	b.Run("generated", func(b *testing.B) { benchmark(b, small, into[durationpb.Duration](b, r.decoder(Config{}))) })
}

func BenchmarkDecodeJSONSchema(b *testing.B) {
	r, _ := fakeRegistry(b)
	rec := record("orders", wire(r.register("orders-value", sr.TypeJSON, wideJSON), []byte(wideValue)))
	b.Run("value", func(b *testing.B) { benchmark(b, rec, values(b, r.decoder(Config{}))) })
	b.Run("struct", func(b *testing.B) { benchmark(b, rec, into[wideOrder](b, r.decoder(Config{}))) })
	b.Run("value by reader", func(b *testing.B) {
		benchmark(b, rec, values(b, r.decoder(Config{Value: Rule{Reader: Reader{Text: wideJSON, Type: sr.TypeJSON}}})))
	})
}

// What the cache costs, without any decoding.
func BenchmarkCacheHit(b *testing.B) {
	l := newLoads(1000)
	for key := range 100 {
		_, _ = l.get(b.Context(), key)
	}
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for key := 0; p.Next(); key++ {
			_, _ = l.get(b.Context(), key%100)
		}
	})
}
