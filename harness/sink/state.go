package sink

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

// member is one member in all its incarnations.
type member struct {
	name    string
	gate    *Gate
	applied atomic.Int64
}

// incarnation is one life of a member.
type incarnation struct {
	*member
	number int
	ended  chan struct{}

	// mu is held by readers while an effect changes the state of the sink,
	// so that End has a moment before which an effect was done or after which it is dropped.
	mu   sync.RWMutex
	dead bool

	active   sync.WaitGroup // attempts between receipt and end; grows only while not dead
	attempts counter
}

// enlist counts an attempt in, unless the incarnation is dead.
func (i *incarnation) enlist() bool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if i.dead {
		return false
	}
	i.active.Add(1)
	return true
}

// end marks the incarnation dead and waits until every attempt has ended:
// whatever waits is woken up, so that takes no time.
func (i *incarnation) end() {
	i.mu.Lock()
	if !i.dead {
		i.dead = true
		close(i.ended)
	}
	i.mu.Unlock()
	i.active.Wait()
}

// counter counts by id.
type counter struct {
	mu sync.Mutex
	m  map[string]int
}

func (c *counter) add(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[string]int)
	}
	c.m[id]++
	return c.m[id]
}

const shards = 64 // enough that two cores seldom meet

// records is what has happened to each record, over all members.
type records struct {
	seed   maphash.Seed
	shards [shards]struct {
		mu sync.Mutex
		m  map[string]*record
	}
}

type record struct{ applied, refused int }

func newRecords() *records {
	r := &records{seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].m = make(map[string]*record)
	}
	return r
}

// with calls f with the record locked.
func (r *records) with(id string, f func(*record)) {
	s := &r.shards[maphash.String(r.seed, id)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.m[id]
	if rec == nil {
		rec = new(record)
		s.m[id] = rec
	}
	f(rec)
}

// event makes the fields that all events of effects share.
func (s *Sink) event(kind history.Kind, inc *incarnation, e workload.Entry) history.Event {
	return history.Event{
		Kind: kind, Member: inc.name, Incarnation: inc.number, Topic: s.cfg.Topic, Partition: e.Partition, Offset: e.Offset,
		Key: string(e.Key), Message: e.ID, Poison: string(e.Poison),
	}
}

// append writes an event, unless the sink is quiet, and returns its Seq.
func (s *Sink) append(e history.Event) int64 {
	if s.cfg.Quiet {
		return 0
	}
	return s.cfg.Log.Append(e).Seq
}

func (i *incarnation) isDead() bool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.dead
}
