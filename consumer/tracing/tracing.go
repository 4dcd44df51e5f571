// Package tracing makes OpenTelemetry traces of a consumer:
//
//	c, err := consumer.New(tracing.Wrap(cfg, tracing.Each(handle)))
//
// Each handler call is a span "process TOPIC", linked to the spans in which its
// records were sent, whose contexts the records bring along in their headers (the SDK keeps
// 128 links of a span, unless told otherwise). With
// [Each], each record has a span of its own too, a child of the one in which it was
// sent, so that a trace goes from one end to the other. The handler's context has the
// span: what it starts is a child of it, and what it sends with a traced client
// goes on in the same trace.
//
// A dead letter is sent in the trace of its record. Its headers stay byte for byte
// what they were, the trace context among them, so whoever consumes it sees where
// it came from.
//
// # What a span tells
//
// By the semantic conventions for messaging: messaging.system (kafka),
// messaging.operation.name and .type (process), messaging.destination.name and
// .partition.id, messaging.consumer.group.name, messaging.client.id,
// messaging.kafka.offset (of the first record of a batch), and messaging.batch.message_count,
// or messaging.kafka.message.key and .tombstone for one record. If records failed:
// error.type, and an event "exception" for each of the first 10.
//
// And of its own: ksim.consumer.outcome, the worst [consumer.OutcomeKind] of a record,
// or "abandoned" if the partition went away in the middle; ksim.consumer.done, how
// many records are done; ksim.consumer.attempt (see [consumer.Attempt]).
//
// A span has the status error if a record failed, and not if it was only given back.
//
// Spans of sending, and those of receiving if asked for (see [WithReceive]), come from
// franz-go's kotel, and have the names of its version of the conventions.
package tracing

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ksim-dev/ksim/consumer"
)

const scope = "github.com/ksim-dev/ksim/consumer/tracing"

// Option is a choice for [Wrap].
type Option func(*tracing)

// WithTracerProvider takes spans there, and not to the global provider.
func WithTracerProvider(p trace.TracerProvider) Option { return func(t *tracing) { t.provider = p } }

// WithPropagator reads and writes trace contexts in headers by p, and not by the
// global propagator. Unless the program sets that, it does nothing.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return func(t *tracing) { t.propagator = p }
}

// WithReceive makes a span for each record that is fetched too, from its arrival to the
// poll that took it. They are many.
func WithReceive() Option { return func(t *tracing) { t.receive = true } }

// WithoutKeys leaves the keys of records out of spans, where they tell too much.
func WithoutKeys() Option { return func(t *tracing) { t.noKeys = true } }

// tracing is what Wrap has made.
type tracing struct {
	provider        trace.TracerProvider
	propagator      propagation.TextMapPropagator
	receive, noKeys bool
	tracer          trace.Tracer
	common          []attribute.KeyValue // of every span
}

// Wrap returns cfg and handler with tracing: hooks are added to Config.ClientOpts, and
// the handler is called in a span. Both belong together; give them to [consumer.New].
func Wrap(cfg consumer.Config, handler consumer.Handler, opts ...Option) (consumer.Config, consumer.Handler) {
	t := &tracing{provider: otel.GetTracerProvider(), propagator: otel.GetTextMapPropagator()}
	for _, opt := range opts {
		opt(t)
	}
	t.tracer = t.provider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
	t.common = []attribute.KeyValue{
		semconv.MessagingSystemKafka, semconv.MessagingOperationName("process"), semconv.MessagingOperationTypeProcess,
		semconv.MessagingConsumerGroupName(cfg.Group),
	}
	if cfg.ClientID != "" {
		t.common = append(t.common, semconv.MessagingClientID(cfg.ClientID))
	}
	// A copy: the caller's slice may have room that others write to.
	cfg.ClientOpts = append(append([]kgo.Opt(nil), cfg.ClientOpts...), kgo.WithHooks(t.hooks(&cfg)...))
	return cfg, t.handler(handler)
}

// hooks are those of the Kafka clients.
func (t *tracing) hooks(cfg *consumer.Config) []kgo.Hook {
	opts := []kotel.TracerOpt{
		kotel.TracerProvider(t.provider), kotel.TracerPropagator(keeping{t.propagator}),
		kotel.ConsumerGroup(cfg.Group), kotel.ClientID(cfg.ClientID),
	}
	if t.noKeys {
		opts = append(opts, kotel.KeyFormatter(func(*kgo.Record) (string, error) { return "", errors.New("keys are left out") }))
	}
	k := kotel.NewTracer(opts...)
	if t.receive {
		return []kgo.Hook{k}
	}
	return []kgo.Hook{sending{k}, extracting{t.propagator}}
}

// sending has the hooks of kotel for producing, without those for fetching.
type sending struct{ k *kotel.Tracer }

// OnProduceRecordBuffered implements kgo.HookProduceRecordBuffered.
func (s sending) OnProduceRecordBuffered(r *kgo.Record) { s.k.OnProduceRecordBuffered(r) }

// OnProduceRecordUnbuffered implements kgo.HookProduceRecordUnbuffered.
func (s sending) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	s.k.OnProduceRecordUnbuffered(r, err)
}

// extracting puts the trace context that a record brings along into its Context.
type extracting struct{ p propagation.TextMapPropagator }

// OnFetchRecordBuffered implements kgo.HookFetchRecordBuffered.
func (e extracting) OnFetchRecordBuffered(r *kgo.Record) {
	ctx := r.Context
	if ctx == nil {
		ctx = context.Background()
	}
	r.Context = e.p.Extract(ctx, kotel.NewRecordCarrier(r))
}

// keeping is a propagator that does not touch a trace context that is there: a dead
// letter keeps the headers of its record.
type keeping struct{ propagation.TextMapPropagator }

// Inject implements propagation.TextMapPropagator.
func (k keeping) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	for _, name := range k.Fields() {
		if carrier.Get(name) != "" {
			return
		}
	}
	k.TextMapPropagator.Inject(ctx, carrier)
}
