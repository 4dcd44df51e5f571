package consumer

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Hooks are called at the turns of a consumer's life, for logs, metrics and
// tests. Any may be nil. They are called from many goroutines at once, must not
// block, and must not call the consumer.
type Hooks struct {
	// OnAssign: these partitions are now this consumer's.
	OnAssign func(topic string, partitions []int32)
	// OnRevoke: these partitions were given up; no effect follows. Committed
	// tells whether all that was done had been committed.
	OnRevoke func(topic string, partitions []int32, committed bool)
	// OnRebalance: a generation of the group has begun, with this consumer in it,
	// and with the partitions that OnAssign has told.
	OnRebalance func(RebalanceInfo)
	// OnLost: these partitions were taken away, and err tells why. What was not
	// committed is handled again by whoever has them now.
	OnLost func(topic string, partitions []int32, err error)
	// OnBatch: a handler call has ended.
	OnBatch func(BatchInfo)
	// OnCommit: a commit was answered. Offset is the next one to handle; err is
	// nil if the broker took it.
	OnCommit func(topic string, partition int32, offset int64, err error)
	// OnCommitRequest: a request to commit was answered; OnCommit has told for each
	// partition how.
	OnCommitRequest func(CommitInfo)
	// OnRetry: a record, or a batch by its first record, will be tried again.
	OnRetry func(RetryInfo)
	// OnPoison: a record cannot be handled and its end is settled: its dead
	// letter is acknowledged, or it was skipped.
	OnPoison func(r *kgo.Record, attempts int, err error, policy PoisonPolicy)
	// OnStall: a handler call has run for longer than Config.StallTimeout. The
	// consumer gives its partitions to others and stops.
	OnStall func(StallInfo)
	// OnPause and OnResume: fetching a partition stopped at a bound, or goes on.
	OnPause, OnResume func(topic string, partition int32)
}

// BatchInfo describes a handler call that has ended.
type BatchInfo struct {
	Topic       string
	Partition   int32
	FirstOffset int64
	Records     int
	Duration    time.Duration
	Err         error // what the handler returned
}

// RetryInfo describes an attempt that failed and will be repeated.
type RetryInfo struct {
	Topic     string
	Partition int32
	Offset    int64
	Attempts  int           // so far
	Wait      time.Duration // until the next one
	Err       error
}

// StallInfo describes a handler call that has run for longer than
// Config.StallTimeout.
type StallInfo struct {
	Topic       string
	Partition   int32
	FirstOffset int64
	Records     int
	Running     time.Duration // so far
}

// RebalanceInfo describes a generation of the group that has begun.
type RebalanceInfo struct {
	Member     string
	Generation int32 // or the member epoch, with ProtocolConsumer
	Assigned   int   // partitions that are new to this consumer
	Owned      int   // partitions that it has now
	// Duration is from the moment when this member asked to join, or began to give
	// partitions up, until now.
	Duration time.Duration
}

// CommitInfo describes a commit request that was answered, or failed.
type CommitInfo struct {
	Partitions int
	Duration   time.Duration // including the wait for a rebalance to let it through
	Err        error         // nil if the broker took all of it
}
