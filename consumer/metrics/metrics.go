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
//
// [NewShare] does the same for a share consumer, with consumer.JoinShareHooks.
package metrics

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/ksim-dev/ksim/consumer"
)

// Config is what [New] and [NewShare] need to know.
type Config struct {
	// Group is the group, Config.Group or ShareConfig.Group of the consumer. It is
	// the label consumergroup, or sharegroup, of every metric.
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
	group string
	*collection
	work
	pauses, assigned, revoked, lost, commit *prometheus.CounterVec
	rebalances                              prometheus.Counter
	rebalanceSeconds, commitSeconds         prometheus.Histogram
	watched                                 watchlist[*consumer.Consumer]
}

// New returns metrics to register, to hook in, and to point at a consumer.
func New(cfg Config) *Metrics {
	c := newCollection(cfg, "consumergroup", catalogue)
	m := &Metrics{group: cfg.Group, collection: c, work: newWork(c, itself)}
	m.pauses = c.counter(pauses)
	m.assigned = c.counter(assignedTotal)
	m.revoked = c.counter(revokedTotal)
	m.lost = c.counter(lostTotal)
	m.commit = c.counter(commits)
	m.rebalances = c.counter(rebalances).WithLabelValues()
	m.rebalanceSeconds = c.histogram(rebalanceSeconds).WithLabelValues().(prometheus.Histogram)
	m.commitSeconds = c.histogram(commitSeconds).WithLabelValues().(prometheus.Histogram)
	for _, topic := range cfg.Topics {
		m.prepare(topic)
	}
	return m
}

func itself(d descriptor) descriptor { return d }

// prepare makes the series of a topic exist before their first event.
func (m *Metrics) prepare(topic string) {
	m.work.prepare(topic)
	for _, v := range []*prometheus.CounterVec{m.pauses, m.assigned, m.revoked, m.lost} {
		v.WithLabelValues(topic)
	}
	for _, result := range []string{resultOK, resultRefused, resultFailed} {
		m.commit.WithLabelValues(topic, result)
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
		OnBatch: m.onBatch,
		OnCommit: func(topic string, _ int32, _ int64, err error) {
			m.commit.WithLabelValues(topic, result(err)).Inc()
		},
		OnCommitRequest: func(c consumer.CommitInfo) { m.commitSeconds.Observe(c.Duration.Seconds()) },
		OnRetry:         m.onRetry,
		OnPoison:        m.onPoison,
		OnStall:         m.onStall,
		OnPause:         func(topic string, _ int32) { m.pauses.WithLabelValues(topic).Inc() },
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
	mustMatch(c.Status().Group, m.group)
	m.watched.add(c, func(c *consumer.Consumer) consumer.State { return c.Status().State })
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) { m.describe(ch) }

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.collectGauges(m.sender(ch), m.watched.all())
	m.collect(ch)
}
