package tracing

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ksim-dev/ksim/consumer"
)

const (
	outcomeKey = attribute.Key("ksim.consumer.outcome")
	doneKey    = attribute.Key("ksim.consumer.done")
	attemptKey = attribute.Key("ksim.consumer.attempt")

	abandoned = "abandoned"
	maxEvents = 10
)

type tracingKey struct{}

// handler calls next in a span.
func (t *tracing) handler(next consumer.Handler) consumer.Handler {
	return func(ctx context.Context, b consumer.Batch) (err error) {
		attrs := append(slices.Clone(t.common),
			semconv.MessagingDestinationName(b.Topic), semconv.MessagingDestinationPartitionID(strconv.Itoa(int(b.Partition))),
			semconv.MessagingKafkaOffset(int(b.Records[0].Offset)), semconv.MessagingBatchMessageCount(len(b.Records)),
			attemptKey.Int(consumer.Attempt(ctx)))
		ctx, span := t.tracer.Start(ctx, "process "+b.Topic,
			trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attrs...), trace.WithLinks(links(b.Records)...))
		returned := false
		defer func() {
			if !returned {
				panicked(span)
			}
			span.End()
		}()
		err = next(context.WithValue(ctx, tracingKey{}, t), b)
		returned = true
		settle(ctx, span, b.Records, err)
		return err
	}
}

// Each is [consumer.Each] with a span for each record, a child of the one in which it
// was sent and linked to that of its batch. Without [Wrap] it makes none.
func Each(fn func(ctx context.Context, r *kgo.Record) error) consumer.Handler {
	return consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		t, ok := ctx.Value(tracingKey{}).(*tracing)
		if !ok {
			return fn(ctx, r)
		}
		return t.record(ctx, r, fn)
	})
}

func (t *tracing) record(ctx context.Context, r *kgo.Record, fn func(context.Context, *kgo.Record) error) error {
	attrs := append(slices.Clone(t.common),
		semconv.MessagingDestinationName(r.Topic), semconv.MessagingDestinationPartitionID(strconv.Itoa(int(r.Partition))),
		semconv.MessagingKafkaOffset(int(r.Offset)))
	if r.Key != nil && utf8.Valid(r.Key) && !t.noKeys {
		attrs = append(attrs, semconv.MessagingKafkaMessageKey(string(r.Key)))
	}
	if r.Value == nil {
		attrs = append(attrs, semconv.MessagingKafkaMessageTombstone(true))
	}
	batch := trace.SpanContextFromContext(ctx)
	// The context stays the handler's; of the record's, it takes the trace.
	ctx = trace.ContextWithSpanContext(ctx, sent(r))
	if r.Context != nil {
		ctx = baggage.ContextWithBaggage(ctx, baggage.FromContext(r.Context))
	}
	ctx, span := t.tracer.Start(ctx, "process "+r.Topic,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attrs...), trace.WithLinks(trace.Link{SpanContext: batch}))
	returned := false
	defer func() {
		if !returned {
			panicked(span)
		}
		span.End()
	}()
	err := fn(ctx, r)
	returned = true
	settle(ctx, span, []*kgo.Record{r}, err)
	return err
}

// sent is the span in which a record was sent, if it says so.
func sent(r *kgo.Record) trace.SpanContext {
	if r.Context == nil {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(r.Context)
}

// links are those to the spans in which records were sent.
func links(records []*kgo.Record) []trace.Link {
	var out []trace.Link
	for _, r := range records {
		if s := sent(r); s.IsValid() {
			out = append(out, trace.Link{SpanContext: s, Attributes: []attribute.KeyValue{semconv.MessagingKafkaOffset(int(r.Offset))}})
		}
	}
	return out
}

// ranks are the outcomes, the worst last.
var ranks = []consumer.OutcomeKind{
	consumer.OutcomeDone, consumer.OutcomeUntried, consumer.OutcomeUnavailable, consumer.OutcomeFailed,
	consumer.OutcomePermanent, consumer.OutcomeFenced, consumer.OutcomeFatal,
}

// settle notes on a span what came of its records.
func settle(ctx context.Context, span trace.Span, records []*kgo.Record, err error) {
	worst, done := consumer.OutcomeDone, 0
	var told []error
	gone := errors.Is(ctx.Err(), context.Canceled)
	outcomes := consumer.Outcomes(err, len(records))
	for i, r := range records {
		o := outcomes[i]
		if o.Kind == consumer.OutcomeDone {
			done++
			continue
		}
		if slices.Index(ranks, o.Kind) > slices.Index(ranks, worst) {
			worst = o.Kind
		}
		final := o.Kind == consumer.OutcomeFenced || o.Kind == consumer.OutcomeFatal
		if o.Err == nil || gone && !final {
			continue // the consumer counts no attempt of it
		}
		whole := final || same(o.Err, err) // the error is not of this record alone: once is enough
		if len(told) < maxEvents && (len(told) == 0 || !whole) {
			told = append(told, o.Err)
			span.RecordError(o.Err, trace.WithAttributes(semconv.MessagingKafkaOffset(int(r.Offset)), outcomeKey.String(string(o.Kind))))
		}
	}
	outcome := string(worst)
	if gone && worst != consumer.OutcomeDone && told == nil {
		outcome = abandoned
	}
	span.SetAttributes(outcomeKey.String(outcome), doneKey.Int(done))
	if told != nil {
		span.SetAttributes(semconv.ErrorTypeKey.String(typeOf(told[0])))
		span.SetStatus(codes.Error, err.Error())
	}
}

// same tells whether two errors are one and the same value, and not only alike.
func same(a, b any) bool { return reflect.ValueOf(a).Comparable() && a == b }

// panicked notes that the handler did not return; the consumer takes that for a
// failed attempt, and logs the stack.
func panicked(span trace.Span) {
	span.SetAttributes(outcomeKey.String(string(consumer.OutcomeFailed)), doneKey.Int(0), semconv.ErrorTypeKey.String("panic"))
	span.SetStatus(codes.Error, "the handler panicked")
}

// typeOf is the type of the innermost error: what the wrappers wrap.
func typeOf(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("%T", err)
		}
		err = inner
	}
}
