// Package metrics exports what a consumer does to Prometheus.
//
//	m := metrics.New(metrics.Config{Group: cfg.Group, Topics: cfg.Topics})
//	registry.MustRegister(m)
//	cfg.Hooks = consumer.JoinHooks(m.Hooks(), own)
//	c, err := consumer.New(cfg, handler)
//	…
//	m.Watch(c)
//	err = c.Run(ctx)
//
// What is counted comes by hooks, by topic and never by partition. What is
// measured, the lag of each partition above all, is asked of the consumer at the
// scrape: so a partition that it has given up or lost has no series any more, and
// where a value is not known there is none either, rather than a 0. All metrics are
// listed in docs/consumer-metrics.md.
package metrics

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// Config is what New needs to know.
type Config struct {
	// Group is the consumer group, Config.Group of the consumer. It is the label
	// consumergroup of every metric.
	Group string
	// Topics are the topics that the consumer reads. Their counters exist from the
	// start, with 0, so that a rate sees the first event too. Optional.
	Topics []string
	// Labels are put on every metric. Optional.
	Labels prometheus.Labels
}

// Metrics collects the metrics of the consumers of one group in this process,
// usually one. It is a [prometheus.Collector]; register it where you like. It is
// safe for concurrent use.
type Metrics struct {
	group    string
	gauges   map[string]*prometheus.Desc
	counters []prometheus.Collector

	batchRecords, handlerSeconds            *prometheus.HistogramVec
	failures, retries, poison, pauses       *prometheus.CounterVec
	assigned, revoked, lost, stalls, commit *prometheus.CounterVec
	rebalances                              prometheus.Counter
	rebalanceSeconds, commitSeconds         prometheus.Histogram

	mu      sync.Mutex
	watched []*consumer.Consumer
}

// New returns metrics to register, to hook in, and to point at a consumer.
func New(cfg Config) *Metrics {
	labels := prometheus.Labels{"consumergroup": cfg.Group}
	for name, value := range cfg.Labels {
		labels[name] = value
	}
	m := &Metrics{group: cfg.Group, gauges: make(map[string]*prometheus.Desc)}
	for _, d := range catalogue {
		if d.kind == gauge {
			m.gauges[d.name] = prometheus.NewDesc(d.name, d.help, d.labels, labels)
		}
	}
	b := builder{m, labels}
	m.batchRecords = b.histograms(batchRecords)
	m.handlerSeconds = b.histograms(handlerSeconds)
	m.failures = b.counters(handlerFailures)
	m.retries = b.counters(retries)
	m.poison = b.counters(poison)
	m.pauses = b.counters(pauses)
	m.assigned = b.counters(assignedTotal)
	m.revoked = b.counters(revokedTotal)
	m.lost = b.counters(lostTotal)
	m.stalls = b.counters(stalls)
	m.commit = b.counters(commits)
	m.rebalances = b.counters(rebalances).WithLabelValues()
	m.rebalanceSeconds = b.histograms(rebalanceSeconds).WithLabelValues().(prometheus.Histogram)
	m.commitSeconds = b.histograms(commitSeconds).WithLabelValues().(prometheus.Histogram)
	for _, topic := range cfg.Topics {
		m.prepare(topic)
	}
	return m
}

// prepare makes the series of a topic exist before their first event.
func (m *Metrics) prepare(topic string) {
	for _, v := range []*prometheus.CounterVec{m.failures, m.retries, m.pauses, m.assigned, m.revoked, m.lost, m.stalls} {
		v.WithLabelValues(topic)
	}
	m.batchRecords.WithLabelValues(topic)
	m.handlerSeconds.WithLabelValues(topic)
	for _, result := range []string{resultOK, resultRefused, resultFailed} {
		m.commit.WithLabelValues(topic, result)
	}
	for _, policy := range []consumer.PoisonPolicy{consumer.PoisonDeadLetter, consumer.PoisonSkip} {
		m.poison.WithLabelValues(topic, string(policy))
	}
}

// Hooks returns the hooks that count. Put them into Config.Hooks of the consumer,
// beside your own by [consumer.JoinHooks].
func (m *Metrics) Hooks() consumer.Hooks {
	return consumer.Hooks{
		OnAssign: func(topic string, partitions []int32) {
			m.assigned.WithLabelValues(topic).Add(float64(len(partitions)))
		},
		OnRevoke: func(topic string, partitions []int32, _ bool) {
			m.revoked.WithLabelValues(topic).Add(float64(len(partitions)))
		},
		OnLost: func(topic string, partitions []int32, _ error) {
			m.lost.WithLabelValues(topic).Add(float64(len(partitions)))
		},
		OnRebalance: func(r consumer.RebalanceInfo) {
			m.rebalances.Inc()
			m.rebalanceSeconds.Observe(r.Duration.Seconds())
		},
		OnBatch: func(b consumer.BatchInfo) {
			m.batchRecords.WithLabelValues(b.Topic).Observe(float64(b.Records))
			m.handlerSeconds.WithLabelValues(b.Topic).Observe(b.Duration.Seconds())
			if b.Err != nil && !errors.Is(b.Err, consumer.ErrStopped) {
				m.failures.WithLabelValues(b.Topic).Inc()
			}
		},
		OnCommit: func(topic string, _ int32, _ int64, err error) {
			m.commit.WithLabelValues(topic, result(err)).Inc()
		},
		OnCommitRequest: func(c consumer.CommitInfo) { m.commitSeconds.Observe(c.Duration.Seconds()) },
		OnRetry:         func(r consumer.RetryInfo) { m.retries.WithLabelValues(r.Topic).Inc() },
		OnPoison: func(r *kgo.Record, _ int, _ error, policy consumer.PoisonPolicy) {
			m.poison.WithLabelValues(r.Topic, string(policy)).Inc()
		},
		OnStall: func(s consumer.StallInfo) { m.stalls.WithLabelValues(s.Topic).Inc() },
		OnPause: func(topic string, _ int32) { m.pauses.WithLabelValues(topic).Inc() },
	}
}

// Results of a commit.
const (
	resultOK      = "ok"
	resultRefused = "refused" // the group goes on without this member
	resultFailed  = "failed"
)

func result(err error) string {
	if err == nil {
		return resultOK
	}
	for _, out := range []error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.FencedMemberEpoch, kerr.FencedInstanceID} {
		if errors.Is(err, out) {
			return resultRefused
		}
	}
	return resultFailed
}

// Watch makes scrapes ask c from now on, and forgets consumers that have ended.
// It may be called for several consumers of one group. It panics if c is of
// another group than Config.Group, since its series would be mislabelled.
func (m *Metrics) Watch(c *consumer.Consumer) {
	if group := c.Status().Group; group != m.group {
		panic(fmt.Sprintf("metrics: the consumer is of group %q, these metrics are of %q", group, m.group))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watched = slices.DeleteFunc(m.watched, func(old *consumer.Consumer) bool {
		s := old.Status().State
		return old == c || s == consumer.StateStopped || s == consumer.StateFailed
	})
	m.watched = append(m.watched, c)
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.gauges {
		ch <- d
	}
	for _, c := range m.counters {
		c.Describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	watched := slices.Clone(m.watched)
	m.mu.Unlock()
	m.collectGauges(ch, watched)
	for _, c := range m.counters {
		c.Collect(ch)
	}
}

// builder makes vectors as the catalogue describes them.
type builder struct {
	m      *Metrics
	labels prometheus.Labels
}

func (b builder) counters(d descriptor) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.help, ConstLabels: b.labels}, d.labels)
	b.m.counters = append(b.m.counters, v)
	return v
}

// histograms are native ones, at a resolution of 10 %, with classic buckets beside
// for those who do not scrape native ones.
func (b builder) histograms(d descriptor) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: d.name, Help: d.help, ConstLabels: b.labels, Buckets: d.buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
	}, d.labels)
	b.m.counters = append(b.m.counters, v)
	return v
}
