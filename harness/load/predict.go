package load

import "time"

// Crash describes a crash in the middle of a batch, to predict what it repeats.
type Crash struct {
	BatchSize int           // configured bound
	BatchWait time.Duration // how long the consumer waits for a batch to fill
	Rate      float64       // messages/s over the whole topic
	// Partitions of the topic, and how many of them the member owned.
	Partitions, Owned int
	// CommitInterval is how often the member commits; 0 is after every batch.
	CommitInterval time.Duration
}

// Predict returns how many records a crash in the middle of a batch makes the
// group process again: the expected number, and the least and the most.
//
// A record is repeated if its effect was done and no commit covered it:
//
//   - The batch that the crash cuts is done up to a place that may be
//     anywhere in it, so half of it on average. A batch holds what has arrived
//     in one cycle of the partition, and at most the configured size.
//   - With a commit after every batch nothing else is open but, at worst, one batch done
//     and on its way to being committed in each other partition of the member.
//   - With a commit by the clock all that the member did since the last
//     tick comes on top: half an interval on average, a whole one at worst.
func Predict(c Crash) (expected float64, low, high int) {
	perPartition := c.Rate / float64(max(1, c.Partitions))
	batch := float64(c.BatchSize)
	if arrived := perPartition * c.BatchWait.Seconds(); c.BatchWait > 0 && arrived < batch {
		batch = max(1, arrived)
	}
	byClock := perPartition * float64(c.Owned) * c.CommitInterval.Seconds()
	expected = batch/2 + byClock/2
	return expected, 0, c.BatchSize*max(1, c.Owned) + int(byClock+0.5)
}
