package consumer

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ShareHooks are called at the turns of a share consumer's life, for logs,
// metrics and tests. Any may be nil. They are called from many goroutines at
// once, must not block, and must not call the consumer.
type ShareHooks struct {
	// OnReceive: a record has come, and waits for a handler. Its DeliveryCount tells
	// how often the broker has delivered it, this time included.
	OnReceive func(r *kgo.Record)
	// OnBatch: a handler call has ended.
	OnBatch func(BatchInfo)
	// OnRetry: a record will be tried again here, after a wait.
	OnRetry func(RetryInfo)
	// OnPoison: a record cannot be handled and its end is settled: its dead
	// letter is acknowledged, or it was skipped.
	OnPoison func(r *kgo.Record, attempts int, err error, policy PoisonPolicy)
	// OnAck: the broker has taken acknowledgements.
	OnAck func(ShareAckInfo)
	// OnAckFailed: the broker did not take acknowledgements of a partition, or
	// not all of them: the records' locks had expired, or their session with the
	// broker was gone. What was accepted here in vain may be handled again, here
	// or elsewhere.
	OnAckFailed func(ShareAckInfo)
	// OnRenew: the broker has renewed the locks of this many records.
	OnRenew func(topic string, partition int32, records int)
	// OnTaken: the lock of a record was lost before it was acknowledged: err tells
	// why. The context of a handler that has it is cancelled; others get it.
	OnTaken func(topic string, partition int32, offset int64, err error)
	// OnStall: a handler call has run for longer than ShareConfig.StallTimeout. The
	// consumer gives its records to others and stops.
	OnStall func(StallInfo)
}

// ShareAckInfo describes acknowledgements that were answered. Kafka answers by
// partition: an error stands for some or all of the records.
type ShareAckInfo struct {
	Topic     string
	Partition int32
	Offsets   []int64
	Status    kgo.AckStatus
	Err       error
}

// ShareStats counts records since Run began.
type ShareStats struct {
	Accepted, Released, Rejected int64 // acknowledgements that the broker took
	Renewed                      int64 // renewals of a lock that the broker took
	AckFailed                    int64 // acknowledgements that it did not take
	Taken                        int64 // whose lock was lost before they were acknowledged
	InFlight                     int64 // held now and not done
}

type shareCounters struct {
	ends                                [4]atomic.Int64 // by kgo.AckStatus
	renewed, failed, taken, flightCount atomic.Int64
}

func (c *shareCounters) stats() ShareStats {
	return ShareStats{
		Accepted: c.ends[kgo.AckAccept].Load(), Released: c.ends[kgo.AckRelease].Load(), Rejected: c.ends[kgo.AckReject].Load(),
		Renewed: c.renewed.Load(), AckFailed: c.failed.Load(), Taken: c.taken.Load(), InFlight: c.flightCount.Load(),
	}
}
