// Package schema decodes and validates records by the schemas of a Schema Registry,
// before a handler of package consumer sees them: Avro, Protobuf and JSON Schema in
// Confluent's wire format, a zero byte, four bytes of schema id, and the payload.
//
//	registry, err := sr.NewClient(sr.URLs("https://registry:8081"))
//	d, err := schema.New(schema.Config{
//		Registry: registry,
//		Value:    schema.Rule{Reader: schema.Reader{Text: orderV1}},
//	})
//	c, err := consumer.New(cfg, schema.Each(d, func(ctx context.Context, r *kgo.Record, o *Order) error {
//		...
//	}))
//
// [Each] and [Batches] fill a Go type, [Decoder.Handler] gives values without one, and
// [Decoder.Decode] is for handlers of another shape.
//
// # Which schema
//
// A record is written by the schema whose id it carries, and is checked against that. It
// is read by the [Reader] of its topic's [Rule]: the version that the consumer was built
// for, which goes on when producers register newer ones. Without a Reader it is read as
// it was written. Rule.Subject also refuses schemas that are registered, but not for
// this topic.
//
// A tombstone has no value to decode: it reaches the handler with a nil one. So does a
// record without a key. A value of no bytes at all is not a tombstone.
//
// # What fails, and how
//
// What cannot get better by waiting is [consumer.Permanent]: poison, whose dead letter has
// the stage "decode" and the id of the schema in its headers.
//
//	ErrWireFormat     no zero byte and id: it was not written with a registry
//	ErrUnknownSchema  the registry says that there is no such schema
//	ErrInvalidSchema  the schema does not compile
//	ErrPayload        the bytes are not what the schema says
//	ErrMismatch       another type of schema, another message, another subject
//	ErrIncompatible   the reader cannot read what the writer's schema writes
//
// What is the registry's fault is [consumer.Unavailable]: the record is tried again, with
// the consumer's back-off, for as long as it takes, and never becomes poison by it.
//
//	ErrUnavailable    refused connections, time-outs, status 429 and 5xx, and all else
//	                  that is not a registry's answer, such as the 404 of a wrong address
//	ErrUnauthorized   status 401 and 403
//
// ErrReader is [consumer.Fatal]: the subject that the configuration names for the reader's
// schema does not exist.
//
// In a batch, the records before one that fails are handled first, and those after it later.
//
// # Load on the registry
//
// A schema never changes, so it is fetched and compiled once, whatever the number of
// records and handler calls that wait for it; Config.MaxSchemas are kept. An id that is
// not known is asked for again after Config.UnknownTTL, so that a schema which is
// registered late, or replicated late, is seen. While the registry is away, each schema
// is asked for four times a second at most.
package schema
