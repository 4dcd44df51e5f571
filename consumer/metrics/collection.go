package metrics

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// collection is metrics as a catalogue describes them.
type collection struct {
	labels  prometheus.Labels
	gauges  map[string]*prometheus.Desc // made at the scrape
	vectors []prometheus.Collector
}

// newCollection gives every metric a label with the group, and those of cfg.
func newCollection(cfg Config, groupLabel string, catalogue []descriptor) *collection {
	c := &collection{labels: prometheus.Labels{groupLabel: cfg.Group}, gauges: make(map[string]*prometheus.Desc)}
	for name, value := range cfg.Labels {
		c.labels[name] = value
	}
	for _, d := range catalogue {
		if d.kind == gauge {
			c.gauges[d.name] = prometheus.NewDesc(d.name, d.help, d.labels, c.labels)
		}
	}
	return c
}

func (c *collection) describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.gauges {
		ch <- d
	}
	for _, v := range c.vectors {
		v.Describe(ch)
	}
}

func (c *collection) collect(ch chan<- prometheus.Metric) {
	for _, v := range c.vectors {
		v.Collect(ch)
	}
}

// sender sends the value of a gauge.
type sender func(d descriptor, value float64, labels ...string)

func (c *collection) sender(ch chan<- prometheus.Metric) sender {
	return func(d descriptor, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.gauges[d.name], prometheus.GaugeValue, value, labels...)
	}
}

func (c *collection) counter(d descriptor) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.help, ConstLabels: c.labels}, d.labels)
	c.vectors = append(c.vectors, v)
	return v
}

// histogram is a native one, at a resolution of 10 %, with classic buckets beside
// for those who do not scrape native ones.
func (c *collection) histogram(d descriptor) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: d.name, Help: d.help, ConstLabels: c.labels, Buckets: d.buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
	}, d.labels)
	c.vectors = append(c.vectors, v)
	return v
}

// work is what both kinds of consumer count of their handlers.
type work struct {
	batchRecords, handlerSeconds      *prometheus.HistogramVec
	failures, retries, poison, stalls *prometheus.CounterVec
}

// newWork makes the metrics, each by the descriptor that called makes of that of a
// Consumer.
func newWork(c *collection, called func(descriptor) descriptor) work {
	return work{
		batchRecords: c.histogram(called(batchRecords)), handlerSeconds: c.histogram(called(handlerSeconds)),
		failures: c.counter(called(handlerFailures)), retries: c.counter(called(retries)),
		poison: c.counter(called(poison)), stalls: c.counter(called(stalls)),
	}
}

// prepare makes the series of a topic exist before their first event.
func (w work) prepare(topic string) {
	for _, v := range []*prometheus.CounterVec{w.failures, w.retries, w.stalls} {
		v.WithLabelValues(topic)
	}
	w.batchRecords.WithLabelValues(topic)
	w.handlerSeconds.WithLabelValues(topic)
	for _, policy := range []consumer.PoisonPolicy{consumer.PoisonDeadLetter, consumer.PoisonSkip} {
		w.poison.WithLabelValues(topic, string(policy))
	}
}

func (w work) onBatch(b consumer.BatchInfo) {
	w.batchRecords.WithLabelValues(b.Topic).Observe(float64(b.Records))
	w.handlerSeconds.WithLabelValues(b.Topic).Observe(b.Duration.Seconds())
	if b.Err != nil && !errors.Is(b.Err, consumer.ErrStopped) {
		w.failures.WithLabelValues(b.Topic).Inc()
	}
}

func (w work) onRetry(r consumer.RetryInfo) { w.retries.WithLabelValues(r.Topic).Inc() }

func (w work) onPoison(r *kgo.Record, _ int, _ error, policy consumer.PoisonPolicy) {
	w.poison.WithLabelValues(r.Topic, string(policy)).Inc()
}

func (w work) onStall(s consumer.StallInfo) { w.stalls.WithLabelValues(s.Topic).Inc() }

// condition is how the consumers that are watched are, taken together.
type condition struct {
	running, stalled int
	oldest           time.Duration
	sick, unready    bool
}

func (c *condition) add(calls consumer.CallStatus, h consumer.Health) {
	c.running, c.stalled = c.running+calls.Running, c.stalled+calls.Stalled
	c.oldest = max(c.oldest, calls.Oldest)
	c.sick, c.unready = c.sick || !h.Live, c.unready || !h.Ready
}

func (c *condition) send(send sender, called func(descriptor) descriptor) {
	send(called(runningCalls), float64(c.running))
	send(called(stalledCalls), float64(c.stalled))
	send(called(oldestCall), c.oldest.Seconds())
	send(called(isLive), oneIf(!c.sick))
	send(called(isReady), oneIf(!c.unready))
}

// watchlist is the consumers that scrapes ask.
type watchlist[C comparable] struct {
	mu   sync.Mutex
	list []C
}

// add adds a consumer, and forgets those that have ended.
func (w *watchlist[C]) add(c C, state func(C) consumer.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = slices.DeleteFunc(w.list, func(old C) bool {
		s := state(old)
		return old == c || s == consumer.StateStopped || s == consumer.StateFailed
	})
	w.list = append(w.list, c)
}

func (w *watchlist[C]) all() []C {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}
