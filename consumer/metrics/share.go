package metrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// ofShare is a metric of a Consumer for a share consumer.
func ofShare(d descriptor) descriptor {
	d.name = strings.Replace(d.name, "ksim_consumer_", "ksim_share_consumer_", 1)
	return d
}

// Gauges of a share consumer.
var (
	shareInFlight = descriptor{name: "ksim_share_consumer_in_flight_records", kind: gauge, help: "Records that were taken over from the Kafka client and are not done."}
	shareBuffered = descriptor{name: "ksim_share_consumer_buffered_records", kind: gauge, help: "Records that the Kafka client has fetched and not handed over; they are locked too."}
	shareOldest   = descriptor{name: "ksim_share_consumer_oldest_held_seconds", kind: gauge, help: "Time since the oldest record that is held and not done was fetched; 0 if none is held."}
)

// Counters of a share consumer.
var (
	shareRecords     = descriptor{name: "ksim_share_consumer_records_total", kind: counter, labels: byTopic, help: "Records that came, each delivery counted."}
	shareRedelivered = descriptor{name: "ksim_share_consumer_redelivered_records_total", kind: counter, labels: byTopic, help: "Of them, those that the broker had delivered before, here or elsewhere."}
	shareAcks        = descriptor{name: "ksim_share_consumer_acknowledgements_total", kind: counter, labels: []string{"topic", "status", "result"}, help: "Records acknowledged, by status: accept (done, or dead-lettered), release (given back), reject (skipped); and by result: ok, failed (the broker did not take it, and the record comes again)."}
	shareRenewals    = descriptor{name: "ksim_share_consumer_renewals_total", kind: counter, labels: byTopic, help: "Locks of records renewed."}
	shareTaken       = descriptor{name: "ksim_share_consumer_taken_records_total", kind: counter, labels: byTopic, help: "Records whose lock was lost before they were acknowledged: others get them too."}
)

// shareCatalogue is every metric of a share consumer, in the order of the
// documentation.
var shareCatalogue = []descriptor{
	shareInFlight, shareBuffered, shareOldest,
	ofShare(runningCalls), ofShare(stalledCalls), ofShare(oldestCall), ofShare(isLive), ofShare(isReady),
	shareRecords, shareRedelivered,
	ofShare(batchRecords), ofShare(handlerSeconds), ofShare(handlerFailures), ofShare(retries), ofShare(poison),
	shareAcks, shareRenewals, shareTaken, ofShare(stalls),
}

// ShareMetrics is [Metrics] for the share consumers of one group in this process.
// Every metric has the label sharegroup.
type ShareMetrics struct {
	group string
	*collection
	work
	records, redelivered, acks, renewals, taken *prometheus.CounterVec
	watched                                     watchlist[*consumer.ShareConsumer]
}

// NewShare returns metrics to register, to hook in, and to point at a share
// consumer.
func NewShare(cfg Config) *ShareMetrics {
	c := newCollection(cfg, "sharegroup", shareCatalogue)
	m := &ShareMetrics{group: cfg.Group, collection: c, work: newWork(c, ofShare)}
	m.records = c.counter(shareRecords)
	m.redelivered = c.counter(shareRedelivered)
	m.acks = c.counter(shareAcks)
	m.renewals = c.counter(shareRenewals)
	m.taken = c.counter(shareTaken)
	for _, topic := range cfg.Topics {
		m.prepare(topic)
	}
	return m
}

// prepare makes the series of a topic exist before their first event.
func (m *ShareMetrics) prepare(topic string) {
	m.work.prepare(topic)
	for _, v := range []*prometheus.CounterVec{m.records, m.redelivered, m.renewals, m.taken} {
		v.WithLabelValues(topic)
	}
	for _, status := range []kgo.AckStatus{kgo.AckAccept, kgo.AckRelease, kgo.AckReject} {
		for _, result := range []string{resultOK, resultFailed} {
			m.acks.WithLabelValues(topic, status.String(), result)
		}
	}
}

// Hooks returns the hooks that count. Put them into ShareConfig.Hooks of the
// consumer, beside your own by [consumer.JoinShareHooks].
func (m *ShareMetrics) Hooks() consumer.ShareHooks {
	acked := func(a consumer.ShareAckInfo, result string) {
		m.acks.WithLabelValues(a.Topic, a.Status.String(), result).Add(float64(len(a.Offsets)))
	}
	return consumer.ShareHooks{
		OnReceive: func(r *kgo.Record) {
			m.records.WithLabelValues(r.Topic).Inc()
			if r.DeliveryCount() > 1 {
				m.redelivered.WithLabelValues(r.Topic).Inc()
			}
		},
		OnBatch:     m.onBatch,
		OnRetry:     m.onRetry,
		OnPoison:    m.onPoison,
		OnAck:       func(a consumer.ShareAckInfo) { acked(a, resultOK) },
		OnAckFailed: func(a consumer.ShareAckInfo) { acked(a, resultFailed) },
		OnRenew: func(topic string, _ int32, records int) {
			m.renewals.WithLabelValues(topic).Add(float64(records))
		},
		OnTaken: func(topic string, _ int32, _ int64, _ error) { m.taken.WithLabelValues(topic).Inc() },
		OnStall: m.onStall,
	}
}

// Watch makes scrapes ask c from now on, and forgets consumers that have ended.
// It may be called for several consumers of one group. It panics if c is of
// another group than Config.Group, since its series would be mislabelled.
func (m *ShareMetrics) Watch(c *consumer.ShareConsumer) {
	mustMatch(c.Status().Group, m.group)
	m.watched.add(c, func(c *consumer.ShareConsumer) consumer.State { return c.Status().State })
}

func mustMatch(group, of string) {
	if group != of {
		panic(fmt.Sprintf("metrics: the consumer is of group %q, these metrics are of %q", group, of))
	}
}

// Describe implements [prometheus.Collector].
func (m *ShareMetrics) Describe(ch chan<- *prometheus.Desc) { m.describe(ch) }

// Collect implements [prometheus.Collector].
func (m *ShareMetrics) Collect(ch chan<- prometheus.Metric) {
	m.collectGauges(m.sender(ch), m.watched.all())
	m.collect(ch)
}

func (m *ShareMetrics) collectGauges(send sender, watched []*consumer.ShareConsumer) {
	if len(watched) == 0 {
		return
	}
	var all condition
	held, buffered, oldest := int64(0), 0, time.Duration(0)
	for _, c := range watched {
		s := c.Status()
		all.add(s.Calls, c.Health())
		held, buffered, oldest = held+s.Stats.InFlight, buffered+s.Buffered, max(oldest, s.OldestHeld)
	}
	send(shareInFlight, float64(held))
	send(shareBuffered, float64(buffered))
	send(shareOldest, oldest.Seconds())
	all.send(send, ofShare)
}
