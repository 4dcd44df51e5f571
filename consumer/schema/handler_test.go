package schema

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/ksim-dev/ksim/consumer"
)

func TestTypedTombstone(t *testing.T) {
	r, _ := fakeRegistry(t)
	calls := 0
	d := r.decoder(Config{})
	batch := consumer.Batch{Records: []*kgo.Record{{}, {}}}
	err := Each(d, func(_ context.Context, _ *kgo.Record, v *number) error {
		if v != nil {
			t.Errorf("got %v", v)
		}
		calls++
		return nil
	})(t.Context(), batch)
	if err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
	err = Batches(d, func(_ context.Context, _ consumer.Batch, values []*number) error {
		if len(values) != 2 || values[0] != nil || values[1] != nil {
			t.Errorf("got %v", values)
		}
		return nil
	})(t.Context(), batch)
	if err != nil {
		t.Error(err)
	}
}

// The time of a handler call passes while the registry is waited for: the handler is not
// called with a context that has ended, and no record is to blame.
func TestContextEndsWhileTheRegistryIsAsked(t *testing.T) {
	r, fake := fakeRegistry(t)
	id := r.register("numbers-value", sr.TypeAvro, numberV1)
	d := r.decoder(Config{RequestTimeout: 30 * time.Second})
	rec := record("numbers", avroValue(t, id, numberV1, map[string]any{"n": 1}))
	decoded(t, d, rec)
	asked, release := make(chan struct{}), make(chan struct{})
	fake.Intercept(func(http.ResponseWriter, *http.Request) bool {
		close(asked)
		<-release
		return false
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		cancel(errRevoked)
	}()
	err := d.Handler(func(context.Context, consumer.Batch, []Value) error {
		t.Error("the handler was called")
		return nil
	})(ctx, consumer.Batch{Records: []*kgo.Record{rec, record("numbers", wire(id+1, nil))}})
	if !errors.Is(err, errRevoked) || fateOf(err) != "unavailable" {
		t.Errorf("got %v", err)
	}
	close(release)
	until(t, "the end of the load", func() bool {
		_, err := d.Decode(t.Context(), record("numbers", wire(id+1, nil)))
		return errors.Is(err, ErrUnknownSchema)
	})
}

// What a handler fails by itself has the id of the schema in its dead letter, and keeps
// its meaning.
func TestEachAnnotates(t *testing.T) {
	r, _ := fakeRegistry(t)
	id := r.register("numbers-value", sr.TypeAvro, numberV1)
	rec := record("numbers", avroValue(t, id, numberV1, map[string]any{"n": 1}))
	err := Each(r.decoder(Config{}), func(context.Context, *kgo.Record, *number) error {
		return consumer.Permanent(errRevoked)
	})(t.Context(), consumer.Batch{Records: []*kgo.Record{rec}})
	if fateOf(err) != "permanent" || !errors.Is(err, errRevoked) {
		t.Errorf("got %s: %v", fateOf(err), err)
	}
}

// No payload makes a decoder panic, or take memory that it does not have.
func FuzzPayload(f *testing.F) {
	var all []compiled
	for _, src := range []source{
		{typ: sr.TypeAvro, text: wideAvro}, {typ: sr.TypeProtobuf, text: wideProto}, {typ: sr.TypeJSON, text: wideJSON},
	} {
		c, failure := compile(context.Background(), src)
		if failure != nil {
			f.Fatal(failure)
		}
		all = append(all, c)
	}
	f.Add([]byte(wideValue))
	f.Add([]byte{0, 8, 1, 0x2a, 3, 0x0a, 1, 'x'})
	f.Add([]byte{2, 6, 'a', 'd', 'a', 4, 0, 2, 2, 'x', 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range all {
			_, value, failure := c.decode(b, nil, nil)
			if (value == nil) != (failure != nil) || failure != nil && !errors.Is(failure, ErrPayload) {
				t.Fatalf("%T: %v, %v", c, value, failure)
			}
			_, _, failure = c.decode(b, c, new(wideOrder))
			if _, proto := c.(*protoSchema); !proto && failure != nil && !errors.Is(failure, ErrPayload) && !errors.Is(failure, ErrIncompatible) {
				t.Fatalf("%T: %v", c, failure)
			}
		}
	})
}
