package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	topic    = "orders"
	letters  = "dlq.billing.orders"
	patience = 30 * time.Second
)

// stage is a broker, a producer with traces, and where spans go.
type stage struct {
	*testing.T
	cluster    *kfake.Cluster
	provider   *sdktrace.TracerProvider
	spans      *tracetest.SpanRecorder
	propagator propagation.TextMapPropagator
}

func newStage(t *testing.T) *stage {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic, letters))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s := &stage{T: t, cluster: cluster, spans: tracetest.NewSpanRecorder()}
	s.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans))
	s.propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	return s
}

// send sends records, each in a trace of its own, and returns the contexts of the
// spans in which they were sent.
func (s *stage) send(values ...string) []trace.SpanContext {
	s.Helper()
	k := kotel.NewTracer(kotel.TracerProvider(s.provider), kotel.TracerPropagator(s.propagator))
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.WithHooks(k))
	if err != nil {
		s.Fatal(err)
	}
	defer cl.Close()
	var out []trace.SpanContext
	for _, v := range values {
		member, _ := baggage.NewMember("order", v)
		bag, _ := baggage.New(member)
		r := &kgo.Record{Topic: topic, Key: []byte("k" + v), Value: []byte(v), Context: baggage.ContextWithBaggage(s.Context(), bag)}
		if err := cl.ProduceSync(s.Context(), r).FirstErr(); err != nil {
			s.Fatal(err)
		}
		out = append(out, trace.SpanContextFromContext(r.Context))
	}
	return out
}

func (s *stage) config() consumer.Config {
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.ClientID = s.cluster.ListenAddrs(), []string{topic}, "billing", "c"
	cfg.Retry.Initial, cfg.Retry.Max, cfg.CommitInterval = time.Millisecond, time.Millisecond, 10*time.Millisecond
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// run consumes until n records have reached their end.
func (s *stage) run(cfg consumer.Config, handler consumer.Handler, n int64, opts ...tracing.Option) {
	s.Helper()
	ended := make(chan struct{})
	var once sync.Once
	cfg.Hooks.OnCommit = func(_ string, _ int32, offset int64, err error) {
		if err == nil && offset >= n {
			once.Do(func() { close(ended) })
		}
	}
	opts = append([]tracing.Option{tracing.WithTracerProvider(s.provider), tracing.WithPropagator(s.propagator)}, opts...)
	c, err := consumer.New(tracing.Wrap(cfg, handler, opts...))
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	select {
	case <-ended:
	case <-ctx.Done():
		s.Error("the records did not come to their end")
	}
	cancel()
	if err := <-done; err != nil {
		s.Error(err)
	}
}

// named returns the spans of a name, in the order in which they began.
func (s *stage) named(name string) []sdktrace.ReadOnlySpan {
	var out []sdktrace.ReadOnlySpan
	for _, span := range s.spans.Ended() {
		if span.Name() == name {
			out = append(out, span)
		}
	}
	slices.SortStableFunc(out, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	return out
}

// attr is an attribute of a span as text; "-" if it has none of that name.
func attr(span sdktrace.ReadOnlySpan, name string) string {
	for _, a := range span.Attributes() {
		if a.Key == attribute.Key(name) {
			return a.Value.String()
		}
	}
	return "-"
}

func batches(spans []sdktrace.ReadOnlySpan) (of, single []sdktrace.ReadOnlySpan) {
	for _, span := range spans {
		if attr(span, "messaging.batch.message_count") != "-" {
			of = append(of, span)
		} else {
			single = append(single, span)
		}
	}
	return of, single
}

// From the producer's span to that of the work there is one trace, and what the
// handler starts is in it; the batch's span is linked to all of them.
func TestOneTraceFromEndToEnd(t *testing.T) {
	s := newStage(t)
	sent := s.send("0", "1", "2")
	var mu sync.Mutex
	bags := map[string]bool{}
	s.run(s.config(), tracing.Each(func(ctx context.Context, r *kgo.Record) error {
		mu.Lock()
		bags[string(r.Value)+baggage.FromContext(ctx).Member("order").Value()] = true
		mu.Unlock()
		if _, limited := ctx.Deadline(); !limited || consumer.Stopping(ctx) == nil || consumer.Attempt(ctx) != 1 {
			t.Error("the context is not the handler's")
		}
		_, span := s.provider.Tracer("test").Start(ctx, "charge")
		span.End()
		return nil
	}), 3)
	of, single := batches(s.named("process orders"))
	if len(single) != 3 || len(of) == 0 || !bags["00"] || !bags["11"] || !bags["22"] {
		t.Fatalf("%d spans of records, %d of batches, %v", len(single), len(of), bags)
	}
	charges := s.named("charge")
	for i, span := range single {
		if span.Parent().SpanID() != sent[i].SpanID() || span.SpanContext().TraceID() != sent[i].TraceID() || charges[i].Parent().SpanID() != span.SpanContext().SpanID() {
			t.Errorf("record %d: the trace is not connected", i)
		}
		if len(span.Links()) != 1 || !slices.ContainsFunc(of, func(b sdktrace.ReadOnlySpan) bool {
			return b.SpanContext().SpanID() == span.Links()[0].SpanContext.SpanID()
		}) {
			t.Errorf("record %d is not linked to its batch", i)
		}
		for name, want := range map[string]string{
			"messaging.system": "kafka", "messaging.operation.name": "process", "messaging.operation.type": "process", "messaging.destination.name": topic,
			"messaging.destination.partition.id": "0", "messaging.kafka.offset": fmt.Sprint(i), "messaging.consumer.group.name": "billing", "messaging.client.id": "c",
			"messaging.kafka.message.key": fmt.Sprintf("k%d", i), "messaging.kafka.message.tombstone": "-", "ksim.consumer.outcome": "done", "ksim.consumer.done": "1", "error.type": "-",
		} {
			if got := attr(span, name); got != want {
				t.Errorf("record %d: %s is %s, want %s", i, name, got, want)
			}
		}
		if span.SpanKind() != trace.SpanKindConsumer || span.Status().Code != codes.Unset {
			t.Errorf("record %d: %v %v", i, span.SpanKind(), span.Status())
		}
	}
	linked, count := 0, 0
	for _, span := range of {
		for _, l := range span.Links() {
			if l.SpanContext.SpanID() == sent[linked].SpanID() && l.SpanContext.IsRemote() {
				linked++
			}
		}
		var n int
		_, _ = fmt.Sscan(attr(span, "messaging.batch.message_count"), &n)
		count += n
		if attr(span, "ksim.consumer.attempt") != "1" || attr(span, "ksim.consumer.done") != fmt.Sprint(n) || span.Parent().IsValid() {
			t.Errorf("a batch: %v", span.Attributes())
		}
	}
	if linked != 3 || count != 3 {
		t.Errorf("%d links, %d records", linked, count)
	}
}

// A dead letter is sent in the trace of its record, and keeps its headers.
func TestDeadLetterKeepsItsTrace(t *testing.T) {
	for _, receive := range []bool{false, true} {
		s := newStage(t)
		sent := s.send("0")[0]
		cfg := s.config()
		cfg.Poison.Topic, cfg.Retry.Attempts = letters, 2
		var opts []tracing.Option
		if receive {
			opts = append(opts, tracing.WithReceive())
		}
		s.run(cfg, tracing.Each(func(context.Context, *kgo.Record) error { return fmt.Errorf("x: %w", io.ErrNoProgress) }), 1, append(opts, tracing.WithoutKeys())...)

		cl, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.ConsumeTopics(letters))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		f := cl.PollFetches(ctx)
		cancel()
		cl.Close()
		if f.NumRecords() != 1 {
			t.Fatalf("%d dead letters: %v", f.NumRecords(), f.Errors())
		}
		letter := f.Records()[0]
		parents := 0
		for _, h := range letter.Headers {
			if h.Key == "traceparent" {
				parents++
				if !strings.Contains(string(h.Value), sent.SpanID().String()) {
					t.Errorf("traceparent is %s, and was of %s", h.Value, sent.SpanID())
				}
			}
		}
		publish := s.named(letters + " publish")
		if parents != 1 || len(publish) != 1 || publish[0].SpanContext().TraceID() != sent.TraceID() {
			t.Errorf("%d headers, %d spans of sending: %v", parents, len(publish), publish)
		}
		if got := len(s.named("orders receive")); (got > 0) != receive {
			t.Errorf("%d spans of receiving", got)
		}
		of, single := batches(s.named("process orders"))
		if len(of) != 2 || len(single) != 2 {
			t.Fatalf("%d, %d spans", len(of), len(single))
		}
		for i := range of {
			if attr(of[i], "ksim.consumer.attempt") != fmt.Sprint(i+1) {
				t.Errorf("attempt %d is %s", i+1, attr(of[i], "ksim.consumer.attempt"))
			}
			for _, span := range []sdktrace.ReadOnlySpan{of[i], single[i]} {
				if attr(span, "ksim.consumer.outcome") != "failed" || attr(span, "error.type") != "*errors.errorString" || span.Status().Code != codes.Error ||
					len(span.Events()) != 1 || attr(span, "messaging.kafka.message.key") != "-" {
					t.Errorf("%v %v %v", span.Attributes(), span.Status(), span.Events())
				}
			}
		}
	}
}

// Each error is told as the consumer takes it.
func TestOutcomes(t *testing.T) {
	boom := errors.New("boom")
	live := context.Background()
	gone, cancel := context.WithCancel(live)
	cancel()
	many := map[int]error{}
	for i := range 20 {
		many[i] = boom
	}
	for name, c := range map[string]struct {
		ctx     context.Context
		err     error
		outcome string
		done    string
		events  int
		failed  bool
	}{
		"done":                {live, nil, "done", "20", 0, false},
		"whole":               {live, boom, "failed", "0", 1, true},
		"at":                  {live, consumer.FailedAt(3, consumer.Permanent(boom)), "permanent", "3", 1, true},
		"some":                {live, consumer.Failed(map[int]error{1: boom, 2: consumer.Unavailable(boom)}), "failed", "18", 2, true},
		"many":                {live, consumer.Failed(many), "failed", "0", 10, true},
		"unavailable":         {live, consumer.Unavailable(boom), "unavailable", "0", 1, true},
		"fenced":              {live, consumer.FailedAt(3, consumer.Fenced(boom)), "fenced", "0", 1, true},
		"fatal":               {gone, consumer.Fatal(boom), "fatal", "0", 1, true},
		"stopped":             {live, consumer.FailedAt(3, consumer.ErrStopped), "untried", "3", 0, false},
		"abandoned":           {gone, consumer.FailedAt(3, context.Canceled), "abandoned", "3", 0, false},
		"done before it went": {gone, nil, "done", "20", 0, false},
	} {
		spans := tracetest.NewSpanRecorder()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
		_, handler := tracing.Wrap(consumer.Config{}, func(context.Context, consumer.Batch) error { return c.err }, tracing.WithTracerProvider(provider))
		records := make([]*kgo.Record, 20)
		for i := range records {
			records[i] = &kgo.Record{Topic: topic, Offset: int64(i)}
		}
		if err := handler(c.ctx, consumer.Batch{Topic: topic, Records: records}); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		span := spans.Ended()[0]
		if attr(span, "ksim.consumer.outcome") != c.outcome || attr(span, "ksim.consumer.done") != c.done || len(span.Events()) != c.events || (span.Status().Code == codes.Error) != c.failed {
			t.Errorf("%s: %v %v %v", name, span.Attributes(), span.Events(), span.Status())
		}
	}
}

// A panic passes through, and its span ends.
func TestPanic(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	_, handler := tracing.Wrap(consumer.Config{}, tracing.Each(func(context.Context, *kgo.Record) error { panic("boom") }), tracing.WithTracerProvider(provider))
	func() {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = handler(t.Context(), consumer.Batch{Records: []*kgo.Record{{}}})
	}()
	for _, span := range spans.Ended() {
		if span.Status().Description != "the handler panicked" || attr(span, "error.type") != "panic" {
			t.Errorf("%v %v", span.Status(), span.Attributes())
		}
	}
	if len(spans.Ended()) != 2 {
		t.Errorf("%d spans", len(spans.Ended()))
	}
}

// Without Wrap, Each is consumer.Each.
func TestEachWithoutWrap(t *testing.T) {
	calls := 0
	err := tracing.Each(func(context.Context, *kgo.Record) error { calls++; return nil })(t.Context(), consumer.Batch{Records: make([]*kgo.Record, 3)})
	if err != nil || calls != 3 {
		t.Errorf("%v after %d", err, calls)
	}
}
