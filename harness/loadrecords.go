package harness

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/sink"
	"github.com/ksim-dev/ksim/harness/workload"
)

// loadRecords is the sink's view of the messages of a load run: it finds them by their ids and places, and counts what is
// done, in the few bytes that load.Records has for each.
type loadRecords struct {
	*load.Records
	source *workload.Source
	start  atomic.Pointer[time.Time] // of the schedule; nil before the first message
	// news holds a token when something was done since it was last taken.
	news chan struct{}
}

var _ sink.Ledger = (*loadRecords)(nil)

func newLoadRecords(source *workload.Source, partitions int32, due func(int) time.Duration) *loadRecords {
	return &loadRecords{Records: load.NewRecords(partitions, due), source: source, news: make(chan struct{}, 1)}
}

// ByID implements sink.Ledger.
func (l *loadRecords) ByID(id string) (workload.Entry, bool) {
	seq, ok := l.source.SeqOf(id)
	if !ok {
		return workload.Entry{}, false
	}
	return l.entry(seq - 1)
}

// ByHash implements sink.Ledger. A load run has no hashes: whoever posts values that have no id in them names the record.
func (l *loadRecords) ByHash([32]byte) (workload.Entry, bool) { return workload.Entry{}, false }

// ByRecord implements sink.Ledger.
func (l *loadRecords) ByRecord(partition int32, offset int64) (workload.Entry, bool) {
	i, ok := l.At(partition, offset)
	if !ok {
		return workload.Entry{}, false
	}
	return l.entry(i)
}

// AwaitRecord implements sink.Ledger.
func (l *loadRecords) AwaitRecord(ctx context.Context, partition int32, offset int64) (workload.Entry, bool) {
	i, ok := l.AwaitAt(ctx, partition, offset)
	if !ok {
		return workload.Entry{}, false
	}
	return l.entry(i)
}

func (l *loadRecords) entry(i int) (workload.Entry, bool) {
	partition, ok := l.Known(i)
	if !ok {
		return workload.Entry{}, false
	}
	return workload.Entry{Message: workload.Message{ID: l.source.ID(i + 1), Seq: i + 1, Partition: partition}, Partition: partition, Offset: -1}, true
}

// count is what the sink tells of every effect.
func (l *loadRecords) count(o sink.Observation) (repeat int) {
	start := l.start.Load()
	if start == nil {
		return 0 // of a message that was not sent; cannot be
	}
	repeat = l.Done(o.Entry.Seq-1, memberNumber(o.Member), o.Begun.Sub(*start), o.At.Sub(*start))
	select {
	case l.news <- struct{}{}:
	default:
	}
	return repeat
}

// memberNumber is the n of the member "mn", 0 if that does not fit.
func memberNumber(name string) uint8 {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, "m"), 10, 8)
	if err != nil {
		return 0
	}
	return uint8(n)
}

// open is how many messages are acknowledged, or on their way, and not done.
func (l *loadRecords) open() int {
	sent, _, failed, done := l.Count()
	return sent - failed - done
}

// awaitOpen waits until at most n messages are open.
func (l *loadRecords) awaitOpen(ctx context.Context, n int) error {
	for l.open() > n {
		select {
		case <-l.news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// loadSource numbers messages from 0, as load does; a workload.Source from 1.
type loadSource struct{ *workload.Source }

// Next implements load.Source.
func (s loadSource) Next(i int, due time.Duration) (key, value []byte, partition int32, err error) {
	return s.Source.Next(i+1, due)
}

// ID implements load.Source.
func (s loadSource) ID(i int) string { return s.Source.ID(i + 1) }
