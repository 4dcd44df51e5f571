package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// closedLoop reads a run as a tester would that sends its next message when the last one is done, one message at a time in
// each partition. Of the messages of an open loop it sees only those that were sent when it had nothing under way, and counts
// from the moment they were sent. A stall of a second that delays a thousand messages is to it one slow message: that is
// coordinated omission (Gil Tene, "How NOT to Measure Latency"), and why a closed loop is no measure of latency.
type closedLoop struct {
	free []time.Duration // by partition: when its message is done
}

func newClosedLoop(partitions int) *closedLoop {
	return &closedLoop{free: make([]time.Duration, partitions)}
}

func (c *closedLoop) read(w Way, h *hdrhistogram.Histogram) {
	if w.Done < 0 || w.Sent < c.free[w.Partition] {
		return
	}
	recordSpan(h, w.Done-w.Sent)
	c.free[w.Partition] = w.Done
}
