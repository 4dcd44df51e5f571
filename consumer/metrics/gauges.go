package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ksim-dev/ksim/consumer"
)

// collectGauges asks the consumers for their status. Without one there is nothing
// to say.
func (m *Metrics) collectGauges(ch chan<- prometheus.Metric, watched []*consumer.Consumer) {
	if len(watched) == 0 {
		return
	}
	send := func(d descriptor, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.gauges[d.name], prometheus.GaugeValue, value, labels...)
	}
	type id struct {
		topic     string
		partition int32
	}
	newest := make(map[id]consumer.PartitionStatus)
	running, stalled, oldest, live, ready := 0, 0, time.Duration(0), true, true
	at := time.Now()
	for _, c := range watched {
		s, h := c.Status(), c.Health()
		running, stalled, oldest = running+s.Calls.Running, stalled+s.Calls.Stalled, max(oldest, s.Calls.Oldest)
		live, ready = live && h.Live, ready && h.Ready
		for _, p := range s.Partitions {
			// Of two members in this process one may not know yet that it has lost the
			// partition to the other.
			tp := id{p.Topic, p.Partition}
			if other, ok := newest[tp]; !ok || p.Since.After(other.Since) {
				newest[tp] = p
			}
		}
	}
	for _, p := range newest {
		sendPartition(send, p, at)
	}
	send(assigned, float64(len(newest)))
	send(runningCalls, float64(running))
	send(stalledCalls, float64(stalled))
	send(oldestCall, oldest.Seconds())
	send(isLive, oneIf(live))
	send(isReady, oneIf(ready))
}

func sendPartition(send func(descriptor, float64, ...string), p consumer.PartitionStatus, at time.Time) {
	number := strconv.FormatInt(int64(p.Partition), 10)
	offset := func(d descriptor, n int64) {
		if n != consumer.Unknown {
			send(d, float64(n), p.Topic, number)
		}
	}
	offset(lag, p.Lag)
	offset(committedOffset, p.Committed)
	offset(processedOffset, p.Processed)
	offset(endOffset, p.End)
	if !p.EndAt.IsZero() {
		send(endAge, max(0, at.Sub(p.EndAt)).Seconds(), p.Topic, number)
	}
	if behind, ok := behind(p, at); ok {
		send(lagSeconds, behind.Seconds(), p.Topic, number)
	}
	send(inFlight, float64(p.InFlight), p.Topic, number)
	send(oldestInFlight, p.OldestInFlight.Seconds(), p.Topic, number)
	send(partitionIsPaused, oneIf(p.Paused), p.Topic, number)
}

// behind is the age of the oldest record that is not done, by its timestamp. It is
// known if that record was fetched, or if there is none.
func behind(p consumer.PartitionStatus, at time.Time) (time.Duration, bool) {
	switch {
	case p.InFlight > 0:
		return max(0, at.Sub(p.OldestRecord)), p.OldestRecord.UnixMilli() > 0
	case p.Processed != consumer.Unknown && p.End != consumer.Unknown && p.Processed >= p.End:
		return 0, true
	}
	return 0, false
}

func oneIf(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}
