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
	p.IncrementalRebalance = true
	p.Independent = history.IndependentPartitions
	p.LagMetric, p.LagWindow = "kafka_consumergroup_lag", 3*time.Second
	p.Isolation = history.ReadCommitted
	// It commits after every batch, so that a crash repeats at most one batch
	// of each partition that the member had.
	p.MaxReprocessed = batchSize * int(partitions)
	return p
}

// InOrder turns promises of order by partition into those of another order. A
// batch then waits for the commit of the last one of its own key only, so a crash
// while a commit is under way repeats a batch of each key, and there is no bound
// that could be told beforehand.
func InOrder(p history.Promises, order string) history.Promises {
	if p.Order = order; order != history.OrderPartition {
		p.MaxReprocessed = 0
	}
	if order == history.OrderKey {
		p.Independent = history.IndependentKeys // without an order a batch has many keys, and they wait for each other
	}
	return p
}

// Eager turns promises into those with the eager assignor, by which every rebalance takes all
// partitions away for a moment.
func Eager(p history.Promises) history.Promises {
	p.IncrementalRebalance = false
	return p
}

// transactionBatches is how many batches a transaction has at most.
const transactionBatches = 4

// SQLPromises is what it promises with positions and outputs in a database.
func SQLPromises(batchSize int, partitions int32) history.Promises {
	p := Promises(batchSize, partitions)
	p.Delivery = history.ExactlyOnce
	p.LagMetric = "" // its position is the database's, and what Kafka has of it only follows
	return p
}

// TransactionPromises is what it promises with transactions. A rebalance may abort the transaction
// that is under way: what was done in it is then done again, so it does not
// promise to drain. What it promises of repeats is about effects at the sink; its
// outputs are there once.
func TransactionPromises(batchSize int, partitions int32) history.Promises {
	p := Promises(batchSize, partitions)
	p.Delivery, p.Drain = history.ExactlyOnce, false
	p.Independent = "" // the next poll waits for all of a transaction
	p.MaxReprocessed = max(p.MaxReprocessed, transactionBatches*batchSize)
	return p
}
