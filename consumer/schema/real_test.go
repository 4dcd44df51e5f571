package schema

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	addressAvro = `{"type":"record","name":"Address","namespace":"geo","fields":[{"name":"city","type":"string"},{"name":"at","type":"geo.Point"}]}`
	pointAvro   = `{"type":"record","name":"Point","namespace":"geo","fields":[{"name":"x","type":"int"},{"name":"y","type":"int"}]}`
	orderAvro   = `{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"to","type":"geo.Address"},{"name":"from","type":["null","geo.Point"]}]}`
)

// Three schemas, one of them used by both others.
func TestAvroReferences(t *testing.T) {
	r := realRegistry(t)
	point, address, order := r.subject("point"), r.subject("address"), "avro-orders-value"
	r.register(point, sr.TypeAvro, pointAvro)
	toPoint := sr.SchemaReference{Name: "geo.Point", Subject: point, Version: 1}
	r.register(address, sr.TypeAvro, addressAvro, toPoint)
	id := r.register(order, sr.TypeAvro, orderAvro, sr.SchemaReference{Name: "geo.Address", Subject: address, Version: 1}, toPoint)

	whole := `{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"to","type":
		{"type":"record","name":"Address","namespace":"geo","fields":[{"name":"city","type":"string"},{"name":"at","type":` + pointAvro + `}]}},
		{"name":"from","type":["null","geo.Point"]}]}`
	value := map[string]any{"id": int64(7), "to": map[string]any{"city": "Ulm", "at": map[string]any{"x": int32(1), "y": int32(-2)}}, "from": nil}
	rec := record("avro-orders", avroValue(t, id, whole, value))

	for name, cfg := range map[string]Config{
		"as written": {},
		"by text": {Value: Rule{Reader: Reader{Text: orderAvro, References: map[string]string{
			"geo.Address": addressAvro, "geo.Point": pointAvro}}}},
		"by subject":         {Value: Rule{Reader: Reader{Subject: order}}},
		"by version":         {Value: Rule{Reader: Reader{Subject: order, Version: 1}}},
		"of its topic":       {Value: Rule{Subject: TopicName}},
		"of its record name": {Topics: map[string]Topic{"avro-orders": {}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := decoded(t, r.decoder(cfg), rec); !reflect.DeepEqual(got, value) {
				t.Errorf("got %#v", got)
			}
		})
	}
	d := r.decoder(Config{Value: Rule{Subject: TopicName}})
	wantKind(t, d, record("others", rec.Value), ErrMismatch, `"others-value"`, order)
	wantKind(t, r.decoder(Config{Value: Rule{Subject: RecordName}}), rec, ErrMismatch, `"shop.Order"`)
	wantKind(t, r.decoder(Config{Value: Rule{Subject: TopicRecordName}}), rec, ErrMismatch, `"avro-orders-shop.Order"`)
}

// A subject that was deleted, but not for good, is still there for what was written.
func TestDeletedSchemas(t *testing.T) {
	r := realRegistry(t)
	point, address := r.subject("point"), "deleted-value"
	r.register(point, sr.TypeAvro, pointAvro)
	id := r.register(address, sr.TypeAvro, addressAvro, sr.SchemaReference{Name: "geo.Point", Subject: point, Version: 1})
	if _, err := r.producer.DeleteSubject(t.Context(), address, sr.SoftDelete); err != nil {
		t.Fatal(err)
	}
	d := r.decoder(Config{Value: Rule{Subject: TopicName}})
	got := decoded(t, d, record("deleted", wire(id, []byte{6, 'U', 'l', 'm', 2, 4})))
	if city := got.(map[string]any)["city"]; city != "Ulm" {
		t.Errorf("got %v", got)
	}
}

const (
	moneyProto = `syntax = "proto3"; package shop; message Money { int64 cents = 1; string currency = 2; }`
	itemProto  = `syntax = "proto3"; package shop; import "shop/money.proto"; message Item { string name = 1; Money price = 2; }`
	orderProto = `syntax = "proto3"; package shop;
		import "shop/item.proto"; import "shop/money.proto"; import "google/protobuf/timestamp.proto";
		message Other { string what = 1; }
		message Order {
			map<string, string> labels = 1;
			message Line { Item item = 1; uint32 count = 2; }
			repeated Line lines = 2;
			google.protobuf.Timestamp at = 3;
			Money total = 4;
		}`
)

func protoOrder() source {
	return source{typ: sr.TypeProtobuf, text: orderProto, refs: []reference{
		{"shop/item.proto", -1, itemProto}, {"shop/money.proto", -1, moneyProto}}}
}

func (r *registry) registerProtoOrder(subject string) int {
	r.Helper()
	money, item := r.subject("money"), r.subject("item")
	r.register(money, sr.TypeProtobuf, moneyProto)
	toMoney := sr.SchemaReference{Name: "shop/money.proto", Subject: money, Version: 1}
	r.register(item, sr.TypeProtobuf, itemProto, toMoney)
	return r.register(subject, sr.TypeProtobuf, orderProto, sr.SchemaReference{Name: "shop/item.proto", Subject: item, Version: 1}, toMoney)
}

func wantMessage(t *testing.T, got any, want string) {
	t.Helper()
	m, ok := got.(proto.Message)
	if !ok {
		t.Fatalf("got %T", got)
	}
	text, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, text, want)
}

func wantJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProtobufReferences(t *testing.T) {
	r := realRegistry(t)
	id := r.registerProtoOrder("proto-orders-value")
	const order = `{"labels":{"a":"b"},"lines":[{"item":{"name":"nut","price":{"cents":"5","currency":"EUR"}},"count":3}],"at":"2026-11-24T00:00:00Z","total":{"cents":"15"}}`
	rec := record("proto-orders", protoValue(t, id, protoOrder(), []int{1}, order))
	references := map[string]string{"shop/item.proto": itemProto, "shop/money.proto": moneyProto}
	for name, cfg := range map[string]Config{
		"as written":   {},
		"by text":      {Value: Rule{Reader: Reader{Type: sr.TypeProtobuf, Text: orderProto, References: references}}},
		"by message":   {Value: Rule{Reader: Reader{Type: sr.TypeProtobuf, Text: orderProto, References: references, Message: "shop.Order"}}},
		"by subject":   {Value: Rule{Reader: Reader{Subject: "proto-orders-value", Message: "shop.Order"}}},
		"of its topic": {Value: Rule{Subject: TopicName}},
	} {
		t.Run(name, func(t *testing.T) { wantMessage(t, decoded(t, r.decoder(cfg), rec), order) })
	}
	t.Run("first and nested message", func(t *testing.T) {
		d := r.decoder(Config{})
		wantMessage(t, decoded(t, d, record("t", protoValue(t, id, protoOrder(), []int{0}, `{"what":"x"}`))), `{"what":"x"}`)
		// Line is the first message in Order: the entry of the map before it does not count.
		line := `{"item":{"name":"nut"},"count":1}`
		wantMessage(t, decoded(t, d, record("t", protoValue(t, id, protoOrder(), []int{1, 0}, line))), line)
	})
	other := r.decoder(Config{Value: Rule{Reader: Reader{Subject: "proto-orders-value", Message: "shop.Other"}}})
	wantKind(t, other, rec, ErrMismatch, "shop.Order")
	wantKind(t, r.decoder(Config{Value: Rule{Subject: RecordName}}), rec, ErrMismatch, `"shop.Order"`)
}

const (
	moneyJSON = `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","required":["cents"],"properties":{"cents":{"type":"integer"}}}`
	itemJSON  = `{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"price":{"$ref":"money.json"}}}`
	orderJSON = `{"$id":"https://shop.example/order.json","title":"Order","type":"object","required":["id"],
		"properties":{"id":{"type":"integer"},"items":{"type":"array","items":{"$ref":"item.json"}},"total":{"$ref":"https://shop.example/money.json"}}}`
)

func TestJSONSchemaReferences(t *testing.T) {
	r := realRegistry(t)
	money, item := r.subject("money"), r.subject("item")
	r.register(money, sr.TypeJSON, moneyJSON)
	r.register(item, sr.TypeJSON, itemJSON, sr.SchemaReference{Name: "money.json", Subject: money, Version: 1})
	id := r.register("json-orders-value", sr.TypeJSON, orderJSON,
		sr.SchemaReference{Name: "item.json", Subject: item, Version: 1},
		sr.SchemaReference{Name: "https://shop.example/money.json", Subject: money, Version: 1})
	const order = `{"id":12345678901234567890,"items":[{"name":"nut","price":{"cents":5}}],"total":{"cents":5}}`
	for name, cfg := range map[string]Config{
		"as written": {},
		"by text": {Value: Rule{Reader: Reader{Type: sr.TypeJSON, Text: orderJSON,
			References: map[string]string{"item.json": itemJSON, "money.json": moneyJSON}}}},
		"by subject":   {Value: Rule{Reader: Reader{Subject: "json-orders-value"}}},
		"of its topic": {Value: Rule{Subject: TopicName}},
	} {
		t.Run(name, func(t *testing.T) {
			d := r.decoder(cfg)
			got := decoded(t, d, record("json-orders", wire(id, []byte(order)))).(map[string]any)
			if got["id"] != json.Number("12345678901234567890") {
				t.Errorf("the id is %v (%T)", got["id"], got["id"])
			}
			for bad, where := range map[string]string{
				`{"items":[]}`: "id", `{"id":1,"items":[{"name":"nut","price":{"cents":0.5}}]}`: "/items/0/price/cents",
				`{"id":1,"total":{}}`: "cents", `{"id":1} x`: "", `{"id":1`: "", ``: "",
			} {
				wantKind(t, d, record("json-orders", wire(id, []byte(bad))), ErrPayload, where)
			}
		})
	}
}
