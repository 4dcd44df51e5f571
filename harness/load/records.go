package load

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Records holds what is seen of each message of a load run: 16 bytes each, and 4 more for where it is in Kafka, so that
// ten million fit where a run of the catalogue keeps some hundred thousand. Nothing is computed while the load runs: a
// method stores a word or two, and Measure looks at all of them afterwards.
//
// Messages have numbers from 0, in the order of the schedule. Times count from the start of the schedule. All methods may be
// called from any goroutine; those that tell of a message only after Sent has told of it.
type Records struct {
	due    func(i int) time.Duration
	chunks [maxChunks]atomic.Pointer[chunk]
	grow   sync.Mutex
	sent   atomic.Int64 // messages, from 0 on without gaps
	ended  atomic.Int64 // of them: acknowledged, or failed, or given up
	failed atomic.Int64
	done   atomic.Int64 // done at least once

	places []places // by partition

	mu       sync.Mutex
	repeats  []Repeat
	repeated int
}

const (
	chunkSize = 1 << 16
	maxChunks = 1 << 14 // a thousand million messages
	// MaxMessages bounds a load run.
	MaxMessages = chunkSize * maxChunks
	// maxRepeats bounds the repeats that are kept one by one; beyond that they are counted.
	maxRepeats = 1 << 20
)

// chunk is the part of the messages from a multiple of chunkSize on.
type chunk [chunkSize]record

// record is one message in two words.
type record struct {
	// way: 16 bits each of sent - due and of acknowledged - sent, both as short; of partition; and of state.
	way atomic.Uint64
	// effect: 32 bits of first done - due in µs, plus 1, so that 0 is not done; 16 of done - begun as short; 8 of the member; 8 of repeats.
	effect atomic.Uint64
}

// State of a message, in the last 16 bits of way.
const (
	stateSent = 1 << iota
	stateAcked
	stateFailed
)

// Repeat is an effect that was done again.
type Repeat struct {
	Message   int
	Partition int32
	Member    uint8
	At        time.Duration // of the repeat
	After     time.Duration // since it was first done
}

// NewRecords returns the records of a run with that many partitions, of which message i is due at due(i).
func NewRecords(partitions int32, due func(i int) time.Duration) *Records {
	return &Records{due: due, places: make([]places, partitions)}
}

// record finds message i, and makes room for it if there is none.
func (r *Records) record(i int) *record {
	c := r.chunks[i/chunkSize].Load()
	if c == nil {
		r.grow.Lock()
		if c = r.chunks[i/chunkSize].Load(); c == nil {
			c = new(chunk)
			r.chunks[i/chunkSize].Store(c)
		}
		r.grow.Unlock()
	}
	return &c[i%chunkSize]
}

// Sent tells that message i is handed to the client, for that partition. Messages are told of in their order, by one goroutine.
func (r *Records) Sent(i int, partition int32, at time.Duration) {
	late := shorten(at - r.due(i))
	r.record(i).way.Store(uint64(late)<<48 | uint64(uint16(partition))<<16 | stateSent)
	r.sent.Store(int64(i) + 1)
}

// Acked tells that the broker has acknowledged message i at an offset.
func (r *Records) Acked(i int, offset int64, at time.Duration) {
	rec := r.record(i)
	way := rec.way.Load()
	took := shorten(at - r.due(i) - short(way>>48).span())
	rec.way.Store(way | uint64(took)<<32 | stateAcked)
	r.places[partitionOf(way)].put(offset, i)
	r.ended.Add(1)
}

// Failed tells that message i was not acknowledged: it may be in the topic all the same.
func (r *Records) Failed(i int) {
	rec := r.record(i)
	rec.way.Store(rec.way.Load() | stateFailed)
	r.failed.Add(1)
	r.ended.Add(1)
}

// Done tells that the effect of message i was done by a member, and returns how often it had been before.
func (r *Records) Done(i int, member uint8, begun, at time.Duration) (repeat int) {
	rec := r.record(i)
	us := min(uint64(max(0, (at-r.due(i))/time.Microsecond)), math.MaxUint32-1)
	first := (us+1)<<32 | uint64(shorten(at-begun))<<16 | uint64(member)<<8
	for {
		was := rec.effect.Load()
		if was == 0 {
			if rec.effect.CompareAndSwap(0, first) {
				r.done.Add(1)
				return 0
			}
			continue
		}
		n := was & 0xff
		if n < 0xff && !rec.effect.CompareAndSwap(was, was+1) {
			continue
		}
		after := at - r.due(i) - doneOf(was)
		r.again(Repeat{Message: i, Partition: partitionOf(rec.way.Load()), Member: member, At: at, After: after})
		return int(n) + 1
	}
}

func (r *Records) again(again Repeat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.repeated++; len(r.repeats) < maxRepeats {
		r.repeats = append(r.repeats, again)
	}
}

// Repeats returns the effects that were done again, in the order they were, and how many there were: more than are
// listed, if there were more than a million.
func (r *Records) Repeats() ([]Repeat, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.repeats[:len(r.repeats):len(r.repeats)], r.repeated
}

// Count is how many messages were sent, how many of these were acknowledged or failed, how many failed, and how many were done at
// least once.
func (r *Records) Count() (sent, ended, failed, done int) {
	return int(r.sent.Load()), int(r.ended.Load()), int(r.failed.Load()), int(r.done.Load())
}

// Known tells whether message i was sent, and to which partition.
func (r *Records) Known(i int) (partition int32, ok bool) {
	if i < 0 || int64(i) >= r.sent.Load() {
		return 0, false
	}
	return partitionOf(r.record(i).way.Load()), true
}

func partitionOf(way uint64) int32 { return int32(uint16(way >> 16)) }

// doneOf is when a message was first done, after it was due.
func doneOf(effect uint64) time.Duration {
	return time.Duration(effect>>32-1) * time.Microsecond
}
