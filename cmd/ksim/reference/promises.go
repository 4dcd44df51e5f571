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
