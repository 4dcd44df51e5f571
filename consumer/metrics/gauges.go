package metrics

import (
	"strconv"
	"time"

	"github.com/ksim-dev/ksim/consumer"
)

// collectGauges asks the consumers for their status. Without one there is nothing
// to say.
func (m *Metrics) collectGauges(send sender, watched []*consumer.Consumer) {
	if len(watched) == 0 {
		return
	}
	type id struct {
		topic     string
		partition int32
	}
	newest := make(map[id]consumer.PartitionStatus)
	var all condition
	at := time.Now()
	for _, c := range watched {
		s := c.Status()
		all.add(s.Calls, c.Health())
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
	all.send(send, itself)
}

func sendPartition(send sender, p consumer.PartitionStatus, at time.Time) {
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
