package tap

import (
	"slices"
	"sync"
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
// is known for group and commit APIs only; the rest pass undecoded.
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
	// ErrorCode is that of a response; of several, as in a commit, the first
	// that is not 0.
	ErrorCode int16
}

// Commit is one partition of a commit.
type Commit struct {
	Topic     string
	Partition int32
	Offset    int64 // the next offset to read
	ErrorCode int16 // of the response
}

// Rule says which calls to disturb, and how. Rules are asked in the order in which
// they were added; all that match act, until one disconnects.
type Rule struct {
	Name      string
	Member    string // "" for any
	Key       int16  // API key, or AnyKey
	Direction Direction
	// After lets so many matching calls pass first.
	After int
	// Times bounds how many calls are acted on; 0 for no bound.
	Times int
	// Match narrows the rule; nil matches. It may look at the history and at
	// the tap; it must return soon, since the call waits for it.
	Match  func(Call) bool
	Action Action
}

// Armed is a Rule in force.
type Armed struct {
	rule Rule
	tap  *Tap
	hit  chan Call

	mu       sync.Mutex
	seen     int           // matching calls
	hits     int           // of these, those acted on
	released chan struct{} // closed and replaced by Release
	removed  bool
	told     bool     // the first hit was delivered
	undo     []func() // of actions that outlast their call
}

// Add puts a rule in force. A rule without an action only counts its hits.
func (t *Tap) Add(r Rule) *Armed {
	a := &Armed{rule: r, tap: t, hit: make(chan Call, 1), released: make(chan struct{})}
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

// Hits returns how many calls the rule has acted on.
func (a *Armed) Hits() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hits
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
	a.removed = a.removed || remove
	undo := a.undo
	a.undo = nil
	close(a.released)
	a.released = make(chan struct{})
	a.mu.Unlock()
	for _, f := range undo {
		f()
	}
}

// concerns tells whether the rule may match calls of this kind at all.
func (a *Armed) concerns(member string, key int16, d Direction) bool {
	return a.rule.Direction == d && (a.rule.Key == key || a.rule.Key == AnyKey) && (a.rule.Member == "" || a.rule.Member == member)
}

// take counts a matching call. It returns whether to act on it, and what tells
// of the release.
func (a *Armed) take(c Call) (released <-chan struct{}, act bool) {
	if a.rule.Match != nil && !a.rule.Match(c) {
		return nil, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.removed {
		return nil, false
	}
	a.seen++
	if a.seen <= a.rule.After || a.rule.Times > 0 && a.hits >= a.rule.Times {
		return nil, false
	}
	a.hits++
	return a.released, true
}

// announce delivers the first hit, once its action is in effect.
func (a *Armed) announce(c Call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.told {
		a.told = true
		a.hit <- c // it has room for one
		close(a.hit)
	}
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
