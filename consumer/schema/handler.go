package schema

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// Handler returns a handler that decodes a batch and gives it to fn: values[i] is what
// b.Records[i] holds. What fn returns means what it means for any handler.
//
// fn never sees a record that was not decoded. If one in the middle cannot be, fn gets
// those before it, and the record fails by itself; those after it come in a later
// call, at once if order allows it.
func (d *Decoder) Handler(fn func(ctx context.Context, b consumer.Batch, values []Value) error) consumer.Handler {
	return batches(d.Decode, fn)
}

// Batches is [Decoder.Handler] with values of a Go type: a struct for Avro records (see
// package avro for its tags), the generated message for Protobuf, anything that
// encoding/json can fill for JSON Schema. A tombstone is nil.
//
// A struct may lack fields that are written. For Protobuf the generated type is a
// reader's schema by itself: [ErrIncompatible] if it cannot read the writer's.
func Batches[T any](d *Decoder, fn func(ctx context.Context, b consumer.Batch, values []*T) error) consumer.Handler {
	return batches(func(ctx context.Context, r *kgo.Record) (*T, error) {
		v, _, err := typed[T](ctx, d, r)
		return v, err
	}, fn)
}

// Each returns a handler that gives records to fn one by one, as [consumer.Each] does,
// with their values as [Batches] has them. The dead letter of a record that fn
// fails has the id of its schema too.
func Each[T any](d *Decoder, fn func(ctx context.Context, r *kgo.Record, v *T) error) consumer.Handler {
	return consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		v, id, err := typed[T](ctx, d, r)
		if err != nil {
			return err
		}
		return annotateID(fn(ctx, r, v), id)
	})
}

func typed[T any](ctx context.Context, d *Decoder, r *kgo.Record) (*T, int, error) {
	var into *T
	if r.Value != nil {
		into = new(T)
	}
	v, err := d.decode(ctx, r, into)
	return into, v.SchemaID, err
}

func batches[V any](decode func(context.Context, *kgo.Record) (V, error), fn func(context.Context, consumer.Batch, []V) error) consumer.Handler {
	return func(ctx context.Context, b consumer.Batch) error {
		values := make([]V, 0, len(b.Records))
		var failure error
		for _, r := range b.Records {
			var v V
			if v, failure = decode(ctx, r); failure != nil {
				break
			}
			values = append(values, v)
		}
		n := len(values)
		switch {
		case failure == nil:
			return fn(ctx, b, values)
		case ctx.Err() != nil:
			// The time went by while the registry was asked; no record is to blame.
			return consumer.Unavailable(fail(ErrUnavailable, context.Cause(ctx)))
		case n == 0:
			return consumer.FailedAt(0, failure)
		}
		b.Records = b.Records[:n:n]
		if err := fn(ctx, b, values); err != nil {
			return consumer.Tried(n, err)
		}
		return consumer.FailedAt(n, failure)
	}
}
