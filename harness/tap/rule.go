package tap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
)

// Direction is the way of a call.
type Direction int

// The directions.
const (
	Request  Direction = iota // from the member to the broker, before it is passed on
	Response                  // from the broker to the member, before it is passed on
)

// AnyKey in a Rule stands for every API.
const AnyKey int16 = -1

// Call is one request or response, as a rule sees it. What stands in the body
// is known for group and commit APIs; the rest pass undecoded, unless a rule
// in force must look into them.
type Call struct {
	Member       string
	Incarnation  int
	Key, Version int16 // of the API; kmsg.OffsetCommit.Int16() and its like
	Direction    Direction

	Group      string
	MemberID   string
	Generation int32 // or member epoch (KIP-848)
	// Commits lists the partitions of OffsetCommit and TxnOffsetCommit, and
	// those that an EndTxn commits; none of one that aborts.
	Commits []Commit
	// Partitions lists the partitions that the call names, if a rule looks into calls of its
	// kind; Partition is -1 where only the topic is named.
	Partitions []TopicPartition
	// ErrorCode is that of a response; of several, as in a commit, the first
	// that is not 0.
	ErrorCode int16
	// Joins: the member asks to join, or is answered: JoinGroup, or a first heartbeat of KIP-848.
	Joins bool
	// Assigns: the response gives the member an assignment: SyncGroup, or a heartbeat of KIP-848
	// that carries one.
	Assigns bool

	places []place
}

// Commit is one partition of a commit.
type Commit struct {
	Topic     string
	Partition int32
	Offset    int64 // the next offset to read
	ErrorCode int16 // of the response
}

// Rule says which calls to disturb, and how. Rules are asked in the order in which
// they were added; all that match act, until one ends the call. The zero value
// of a field selects everything.
//
// A rule is asked when a call is at hand. What the tap answers in the broker's place is no response of a
// broker, and no rule for responses sees it.
type Rule struct {
	Name      string
	Member    string  // "" for any
	Key       int16   // API key, or AnyKey
	Also      []int16 // more API keys, where several APIs do the same in different groups
	Direction Direction
	// Topic and Partitions select calls that name one of these partitions. Topic ids are
	// named by what the members have asked for in Metadata. A call that names a topic as a
	// whole names its partitions. A Fetch within a session (KIP-227) names
	// only what has changed: see [Tap.Add].
	Topic      string
	Partitions []int32 // nil for any
	// Group selects calls that name this group; FindCoordinator does so as its key.
	Group string
	// Match narrows the rule; nil matches. It may look at the history and at
	// the tap; it must return soon, since the call waits for it.
	Match func(Call) bool

	// After lets so many matching calls pass first.
	After int
	// Every acts on each so-manieth call of those after that; 0 and 1 are all.
	Every int
	// Probability acts on a call with this chance, 0 to 1; 0 is always. The choices come
	// from Seed: the same seed and the same sequence of matching calls give the same ones.
	Probability float64
	Seed        int64
	// Times bounds how many calls are acted on; 0 for no bound.
	Times int
	// Until ends the rule for good.
	Until Until

	Action Action
}

// Until ends a rule for good, at whichever comes first. Who armed it can also remove it.
type Until struct {
	// Calls is how many matching calls the rule lives for, acted on or not; 0 for no bound.
	Calls int
	// When ends the rule before it acts on a matching call; nil never does. What was said of Match holds.
	When func(Call) bool
}

// Armed is a Rule in force.
type Armed struct {
	rule Rule
	tap  *Tap
	hit  chan Call
	done chan struct{}
	over atomic.Bool // the rule acts on no more calls
	pace *pace       // of a Throttle

	mu       sync.Mutex
	dice     *rand.Rand
	shake    *rand.Rand    // for what an action chooses
	seen     int           // matching calls
	hits     int           // of these, those acted on
	acted    int           // of these, those whose action was in effect
	by       map[life]int  // acted, by life
	more     chan struct{} // closed and replaced whenever acted grows
	released chan struct{} // closed and replaced by Release
	removed  bool
	undo     []func() // of actions that outlast their call
}

// Add puts a rule in force. A rule without an action only counts its hits. It
// panics if the rule is wrong: have what a user wrote looked at by [Rule.Validate] first.
//
// While a rule is in force that must know what a Fetch asks for, the tap ends fetch
// sessions (KIP-227) that began before, as a broker short of memory does: the client
// then names all its partitions again. Such a request counts only then.
func (t *Tap) Add(r Rule) *Armed {
	if err := r.Validate(); err != nil {
		panic("tap: " + err.Error())
	}
	a := &Armed{
		rule: r, tap: t, hit: make(chan Call, 1), done: make(chan struct{}), released: make(chan struct{}),
		dice: rand.New(rand.NewPCG(uint64(r.Seed), 1)), shake: rand.New(rand.NewPCG(uint64(r.Seed), 2)),
		by: map[life]int{}, more: make(chan struct{}),
	}
	if th, ok := r.Action.(Throttle); ok {
		a.pace = &pace{rate: float64(th.BytesPerSecond)}
	}
	t.rulesMu.Lock()
	defer t.rulesMu.Unlock()
	rules := append(slices.Clone(t.armed()), a)
	t.rules.Store(&rules)
	return a
}

func (t *Tap) armed() []*Armed {
	if p := t.rules.Load(); p != nil {
		return *p
	}
	return nil
}

// Hit delivers the first call that the rule acted on, and is then closed.
func (a *Armed) Hit() <-chan Call { return a.hit }

// Done is closed once the rule acts on no more calls: it has acted Times times,
// has met its Until, or was removed.
func (a *Armed) Done() <-chan struct{} { return a.done }

// Hits returns how many calls the rule has acted on.
func (a *Armed) Hits() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hits
}

// HitsBy returns how many calls of each member the rule has acted on, by name.
func (a *Armed) HitsBy() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	by := map[string]int{}
	for l, n := range a.by {
		by[l.member] += n
	}
	return by
}

// AwaitHits waits until the actions on n calls have been in effect. It ends with the
// error of ctx, or once the rule can act no more.
func (a *Armed) AwaitHits(ctx context.Context, n int) error {
	for {
		a.mu.Lock()
		acted, more, done := a.acted, a.more, a.done
		if a.acted < a.hits {
			done = nil // one of the last calls is being acted on
		}
		a.mu.Unlock()
		if acted >= n {
			return nil
		}
		select {
		case <-more:
		case <-done:
			if a.Hits() == acted {
				return fmt.Errorf("the rule ended after %d of %d hits", acted, n)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Release lets everything go on that the rule holds now. The rule stays in
// force for later calls.
func (a *Armed) Release() { a.release(false) }

// Remove takes the rule out of force and releases what it holds.
func (a *Armed) Remove() {
	a.tap.rulesMu.Lock()
	rules := slices.DeleteFunc(slices.Clone(a.tap.armed()), func(other *Armed) bool { return other == a })
	a.tap.rules.Store(&rules)
	a.tap.rulesMu.Unlock()
	a.release(true)
}

func (a *Armed) release(remove bool) {
	a.mu.Lock()
	if remove {
		a.removed = true
		a.end()
	}
	undo := a.undo
	a.undo = nil
	close(a.released)
	a.released = make(chan struct{})
	a.mu.Unlock()
	for _, f := range undo {
		f()
	}
}

// end notes that the rule acts no more, with a.mu held.
func (a *Armed) end() {
	if a.over.CompareAndSwap(false, true) {
		close(a.done)
	}
}

// announce notes that the action on a call is in effect.
func (a *Armed) announce(c Call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.acted == 0 {
		a.hit <- c // it has room for one
		close(a.hit)
	}
	a.acted++
	a.by[life{c.Member, c.Incarnation}]++
	close(a.more)
	a.more = make(chan struct{})
}

// onRelease keeps what must be undone when the rule is released.
func (a *Armed) onRelease(undo func()) {
	a.mu.Lock()
	removed := a.removed
	if !removed {
		a.undo = append(a.undo, undo)
	}
	a.mu.Unlock()
	if removed {
		undo()
	}
}
