package tap

import (
	"cmp"
	"slices"
	"sync"

	"github.com/ksim-dev/ksim/harness/history"
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Rebalance protocols, as in group.protocol.
const (
	classic  = "classic"
	consumer = "consumer" // KIP-848
	share    = "share"    // KIP-932
)

// state is how far a consumer is in the current rebalance.
type state int

const (
	announced   state = iota // has a member id and has not joined with it (KIP-394)
	joining                  // asked to join
	synced                   // has an assignment of its generation
	rebalancing              // was told that the group rebalances
)

// seat is one consumer in the group, as far as its requests and responses
// show it. A process may run several.
type seat struct {
	life       life
	order      int // of creation
	id         string
	instance   string
	protocol   string
	foreign    bool // its protocol type is not "consumer": assignments cannot be read
	generation int32
	state      state
	held       map[TopicPartition]*holding
	// deceived: the tap has told the member that it is out, and the broker does not know.
	deceived bool
	// target and unnamed are the newest assignment of KIP-848: unnamed lists
	// what is known by topic id only so far.
	target  map[TopicPartition]bool
	unnamed map[topicID][]int32
}

// holding is a partition that a seat holds in our view.
type holding struct {
	// confirmed: the member listed it as owned (KIP-848). Before that, a list
	// without it says that the member is not that far yet.
	confirmed bool
	// releasing: the group has taken it out of the assignment and waits for
	// the member to give it up.
	releasing bool
}

type topicID = [16]byte

// group is what the wire shows of the group, over all members.
type group struct {
	log  *history.Log
	only string // the group that is watched; "" for every one

	mu      sync.Mutex
	changed chan struct{} // closed and replaced on every change
	seats   []*seat       // oldest first
	lives   map[life]*lifeState
	made    int
	topics  map[topicID]string
	txns    map[txnName]*txn // that are open
}

// lifeState is what stays known of a life when its seats are gone.
type lifeState struct {
	ended    bool
	protocol string
	instance string
}

func newGroup(log *history.Log, name string) *group {
	return &group{log: log, only: name, changed: make(chan struct{}), lives: map[life]*lifeState{}, topics: map[topicID]string{}, txns: map[txnName]*txn{}}
}

func (g *group) watches(name string) bool { return g.only == "" || g.only == name }

// touch tells those who wait that something changed, with g.mu held.
func (g *group) touch() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *group) open(l life) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lives[l] = &lifeState{}
	g.touch()
}

// end drops what a life holds, without events. Its ids stay known for eviction.
func (g *group) end(l life) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ls := g.lives[l]; ls != nil {
		ls.ended = true
	}
	for _, s := range g.seats {
		if s.life == l {
			clear(s.held)
			s.target, s.unnamed = nil, nil
		}
	}
	g.touch()
}

// topic returns the name of a topic that may be given by id only.
func (g *group) topic(name string, id topicID) string {
	if name != "" || id == (topicID{}) {
		return name
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.topics[id]
}

// find returns the seat of a life by member id or, for a static member that
// comes back without one, by instance id; nil if there is none.
func (g *group) find(l life, id string, instance *string) *seat {
	for _, s := range g.seats {
		if s.life != l {
			continue
		}
		if id != "" && s.id == id || id == "" && instance != nil && *instance != "" && s.instance == *instance {
			return s
		}
	}
	return nil
}

// seat finds or makes the seat of a consumer.
func (g *group) seat(l life, id string, instance *string, protocol string) *seat {
	s := g.find(l, id, instance)
	if s == nil {
		g.made++
		s = &seat{life: l, order: g.made, id: id, held: map[TopicPartition]*holding{}}
		g.seats = append(g.seats, s)
	}
	s.protocol = protocol
	if instance != nil {
		s.instance = *instance
	}
	if ls := g.lives[l]; ls != nil {
		ls.protocol, ls.instance = protocol, s.instance
	}
	return s
}

// ended tells whether the life of a seat is over.
func (g *group) ended(s *seat) bool {
	ls := g.lives[s.life]
	return ls != nil && ls.ended
}

func (g *group) remove(s *seat) {
	g.seats = slices.DeleteFunc(g.seats, func(other *seat) bool { return other == s })
}

// identity is who a life is in the group.
type identity struct {
	id, instance, protocol string
	generation             int32
}

func (g *group) identity(l life) identity {
	g.mu.Lock()
	defer g.mu.Unlock()
	var who identity
	if ls := g.lives[l]; ls != nil {
		who.protocol, who.instance = ls.protocol, ls.instance
	}
	for _, s := range g.seats {
		if s.life == l {
			who.id, who.instance, who.protocol, who.generation = s.id, s.instance, s.protocol, s.generation
		}
	}
	return who
}

func (g *group) ids(l life) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []string
	for _, s := range g.seats {
		if s.life == l {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// event returns an event of a seat about a partition, not yet logged.
func (s *seat) event(kind history.Kind, p TopicPartition) history.Event {
	return history.Event{Kind: kind, Member: s.life.member, Incarnation: s.life.incarnation, Generation: s.generation, Topic: p.Topic, Partition: p.Partition}
}

// note returns an event of a seat that is about no partition.
func (s *seat) note(kind history.Kind, text string) history.Event {
	return history.Event{Kind: kind, Member: s.life.member, Incarnation: s.life.incarnation, Generation: s.generation, Note: text}
}

// assign gives partitions to a seat. Whoever else holds one loses it.
func (g *group) assign(s *seat, ps []TopicPartition) []history.Event {
	var events []history.Event
	for _, p := range ps {
		if h := s.held[p]; h != nil {
			h.releasing = false
			continue
		}
		for _, other := range g.seats {
			if other != s && other.held[p] != nil {
				delete(other.held, p)
				events = append(events, other.event(history.Lost, p))
			}
		}
		s.held[p] = &holding{}
		events = append(events, s.event(history.Assigned, p))
	}
	return events
}

// give takes partitions from a seat that match: revoked, or lost.
func (s *seat) give(kind history.Kind, match func(TopicPartition, *holding) bool) []history.Event {
	var events []history.Event
	for _, p := range sorted(s.held) {
		if match(p, s.held[p]) {
			e := s.event(kind, p)
			if kind == history.Revoked && s.held[p].releasing {
				e.Note = history.Asked
			}
			delete(s.held, p)
			events = append(events, e)
		}
	}
	return events
}

func all(TopicPartition, *holding) bool { return true }

func sorted[V any](m map[TopicPartition]V) []TopicPartition {
	ps := make([]TopicPartition, 0, len(m))
	for p := range m {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, comparePartitions)
	return ps
}

func comparePartitions(a, b TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}
