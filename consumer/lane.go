package consumer

import "time"

// lane is records of one partition that wait to be handled: all of a partition,
// those of one key, those without an order, or one that is tried again on its
// own. It is guarded by the mutex of its partition.
type lane struct {
	part  *partition
	key   string
	kind  laneKind
	items fifo

	busy   bool // a batch of it is being handled (ordered lanes)
	stuck  bool // and has stalled
	queued bool // it is in the pool's queue
	ahead  bool // it is in the partition's list of lanes too far ahead
	// held: its next batch waits until a commit of this offset was answered.
	held int64
	// waiting: its timer will make it ready: a back-off, or Config.BatchWait.
	waiting bool
	timer   *time.Timer
	// returning: the worker that pushes it is about to ask the pool for work.
	returning bool
	since     time.Time // when its oldest item came, for Config.BatchWait
	// single is how many records to hand out one by one, to find the bad one.
	single int
	down   int // failures in a row that no record is to blame for
}

type laneKind uint8

const (
	lanePartition laneKind = iota
	laneKey
	laneFree  // no order: several batches at once
	laneRetry // one record without an order, tried again
)

func (l *lane) ordered() bool { return l.kind != laneFree }

// size of the next batch, given the bound. A record that is being isolated goes
// alone, and so does one on its last attempt or beyond: if an error is for the
// batch as a whole, it must not take healthy records along.
func (l *lane) size(bound, attempts int) int {
	n := min(l.items.len(), bound)
	if n > 1 && l.single > 0 {
		return 1
	}
	last := max(attempts-1, 1)
	for i := range n {
		if l.items.at(i).attempts() >= last {
			return max(i, 1)
		}
	}
	return n
}

// fifo is a queue that also takes records back at its front.
type fifo struct {
	ring  []*entry // a power of two long
	head  int
	count int
}

func (q *fifo) len() int        { return q.count }
func (q *fifo) at(i int) *entry { return q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *fifo) push(e *entry) {
	q.room(1)
	q.ring[(q.head+q.count)&(len(q.ring)-1)] = e
	q.count++
}

func (q *fifo) pushFront(e *entry) {
	q.room(1)
	q.head = (q.head - 1) & (len(q.ring) - 1)
	q.ring[q.head] = e
	q.count++
}

// putBack takes an entry back to where its offset belongs: batches without an order
// come back in any, and what is before them in the queue is a few that came back too.
func (q *fifo) putBack(e *entry) {
	q.pushFront(e)
	for i := 1; i < q.count && q.at(i).rec.Offset < e.rec.Offset; i++ {
		here, next := (q.head+i-1)&(len(q.ring)-1), (q.head+i)&(len(q.ring)-1)
		q.ring[here], q.ring[next] = q.ring[next], q.ring[here]
	}
}

func (q *fifo) pop() *entry {
	e := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.count--
	return e
}

// room makes room for n more.
func (q *fifo) room(n int) {
	if q.count+n > len(q.ring) {
		q.grow(q.count + n)
	}
}

func (q *fifo) grow(least int) {
	size := max(4, len(q.ring))
	for size < least {
		size *= 2
	}
	ring := make([]*entry, size)
	for i := range q.count {
		ring[i] = q.at(i)
	}
	q.ring, q.head = ring, 0
}
