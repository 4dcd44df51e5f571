package workload

import (
	"context"
	"crypto/sha256"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Entry is a message and where it is in Kafka.
type Entry struct {
	Message
	Partition int32
	Offset    int64    // -1 as long as the broker's answer is not known
	Hash      [32]byte // SHA-256 of the value; zero for a tombstone
}

// Ledger knows every message that was handed to the producer. It holds the
// values too, so a run needs memory for all it sends. All methods may be called
// from any goroutine.
type Ledger struct {
	seed   maphash.Seed
	ids    [shards]shard[string]
	hashes [shards]shard[[32]byte]
	places [shards]shard[place]

	waiting atomic.Int32 // callers of AwaitRecord
	mu      sync.Mutex
	acked   chan struct{} // closed and replaced when a place becomes known and someone waits
}

const shards = 64 // enough that two cores seldom meet

type place struct {
	partition int32
	offset    int64
}

type shard[K comparable] struct {
	mu sync.RWMutex
	m  map[K]*stored
}

// stored is an entry; its offset changes once.
type stored struct {
	entry  Entry
	offset atomic.Int64
}

func (s *stored) get() Entry {
	e := s.entry
	e.Offset = s.offset.Load()
	return e
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	l := &Ledger{seed: maphash.MakeSeed(), acked: make(chan struct{})}
	for i := range shards {
		l.ids[i].m = make(map[string]*stored)
		l.hashes[i].m = make(map[[32]byte]*stored)
		l.places[i].m = make(map[place]*stored)
	}
	return l
}

// Add makes a message known, with its place unknown. The producer does this
// before it sends, so that nobody can meet a record that is not in the ledger.
// A second message with the same id replaces the first.
func (l *Ledger) Add(m Message) { l.add(m) }

func (l *Ledger) add(m Message) *stored {
	s := &stored{entry: Entry{Message: m, Partition: m.Partition}}
	s.offset.Store(-1)
	if m.Value != nil {
		s.entry.Hash = sha256.Sum256(m.Value)
		put(l.hashShard(s.entry.Hash), s.entry.Hash, s)
	}
	put(l.idShard(m.ID), m.ID, s)
	return s
}

// Acked makes the place of a message known. It does nothing for an unknown id.
func (l *Ledger) Acked(id string, partition int32, offset int64) {
	s, ok := find(l.idShard(id), id)
	if !ok || offset < 0 {
		return
	}
	s.offset.Store(offset)
	at := place{partition, offset}
	put(l.placeShard(at), at, s)
	if l.waiting.Load() > 0 {
		l.mu.Lock()
		close(l.acked)
		l.acked = make(chan struct{})
		l.mu.Unlock()
	}
}

// ByID finds a message by its id.
func (l *Ledger) ByID(id string) (Entry, bool) { return entry(find(l.idShard(id), id)) }

// ByHash finds a message by the SHA-256 of its value. Tombstones have none.
func (l *Ledger) ByHash(sum [32]byte) (Entry, bool) { return entry(find(l.hashShard(sum), sum)) }

// ByRecord finds a message by its place in the topic. It finds nothing for one
// that the broker has not acknowledged yet: see AwaitRecord.
func (l *Ledger) ByRecord(partition int32, offset int64) (Entry, bool) {
	at := place{partition, offset}
	return entry(find(l.placeShard(at), at))
}

// AwaitRecord is ByRecord for a record that a consumer may have met before the
// producer had its answer: it waits for that answer until ctx ends.
func (l *Ledger) AwaitRecord(ctx context.Context, partition int32, offset int64) (Entry, bool) {
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	for {
		l.mu.Lock()
		acked := l.acked
		l.mu.Unlock()
		if e, ok := l.ByRecord(partition, offset); ok {
			return e, true
		}
		select {
		case <-acked:
		case <-ctx.Done():
			return Entry{}, false
		}
	}
}

func (l *Ledger) idShard(id string) *shard[string] {
	return &l.ids[maphash.String(l.seed, id)%shards]
}

func (l *Ledger) hashShard(sum [32]byte) *shard[[32]byte] { return &l.hashes[sum[0]%shards] }

func (l *Ledger) placeShard(at place) *shard[place] {
	return &l.places[(uint64(at.offset)+uint64(at.partition)*7)%shards]
}

func put[K comparable](s *shard[K], k K, v *stored) {
	s.mu.Lock()
	s.m[k] = v
	s.mu.Unlock()
}

func find[K comparable](s *shard[K], k K) (*stored, bool) {
	s.mu.RLock()
	v, ok := s.m[k]
	s.mu.RUnlock()
	return v, ok
}

func entry(s *stored, ok bool) (Entry, bool) {
	if !ok {
		return Entry{}, false
	}
	return s.get(), true
}
