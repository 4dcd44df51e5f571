package reference

import (
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// Promises is what the reference consumer promises: all there is to promise.
func Promises(batchSize int, partitions int32) history.Promises {
	p := history.DefaultPromises()
	p.Drain = true
	p.MaxAttempts, p.MinBackoff = 5, MinBackoff
	p.DeadLetterHeaders = "kip-1191"
	p.Recovery = time.Minute
	// It commits after every batch, so that a crash repeats at most one batch
	// of each partition that the member had.
	p.MaxReprocessed = batchSize * int(partitions)
	return p
}

// ExactlyOnce turns what the reference consumer promises into what it promises
// with transactions. A rebalance may abort the transaction that is under way:
// what was done in it is then done again, so it does not promise to drain.
func ExactlyOnce(p history.Promises) history.Promises {
	p.Delivery, p.Drain = history.ExactlyOnce, false
	return p
}
