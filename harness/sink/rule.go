package sink

import (
	"slices"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness/workload"
)

// Rule makes an Action happen to certain attempts.
type Rule struct {
	Member string // "" is any
	// Match chooses records; nil is any. It is called while the gate of the member stands still:
	// it must be quick and must not call the sink.
	Match func(workload.Entry) bool
	Batch bool // only effects that come in a batch
	After int  // lets so many matching attempts pass first
	Times int  // acts on so many, then never again; 0 is for ever
	// Action is what happens: one of the action types of this package.
	Action Action
}

// Action is what a rule does to an attempt. The set is closed.
type Action interface{ action() }

type (
	// Refuse answers Status (400 to 599; anything else is taken for 503) and
	// does not apply the effect. RetryAfter, rounded up to whole seconds, becomes the header of
	// that name; with 429 and 503 the header is there even if it is 0. Error is what the body
	// says; "" is what is usual for the status.
	Refuse struct {
		Status     int
		RetryAfter time.Duration
		Error      string
	}
	// Delay waits before the effect is applied. Other effects of the member go on.
	Delay struct{ For time.Duration }
	// Hold holds the effect, not applied, and with it the whole member, until
	// Armed.Release (it is then applied and answered) or Sink.End (it is dropped).
	// That the client gives up does not end the hold.
	Hold struct{}
	// Hang keeps this one request waiting, and nothing else of the member,
	// until Armed.Release (it then goes on), until the client gives up, or until Sink.End.
	Hang struct{}
	// ResetBefore resets the connection; the effect is not applied.
	ResetBefore struct{}
	// ResetAfter applies the effect and resets the connection instead of answering.
	ResetAfter struct{}
	// Silence applies the effect and does not answer, while everything else of the member goes on. It
	// ends with a reset after the time For (0: never), at Armed.Release, when the client gives up, or at Sink.End.
	Silence struct{ For time.Duration }
	// Garbage answers with what is not HTTP; the effect is not applied.
	Garbage struct{}
	// Truncate applies the effect and closes the connection in the middle of the
	// answer, after its status (200).
	Truncate struct{}
)

func (Refuse) action()      {}
func (Delay) action()       {}
func (Hold) action()        {}
func (Hang) action()        {}
func (ResetBefore) action() {}
func (ResetAfter) action()  {}
func (Silence) action()     {}
func (Garbage) action()     {}
func (Truncate) action()    {}

// last tells whether no later rule sees an attempt that a has acted on.
func last(a Action) bool {
	switch a.(type) {
	case Refuse, ResetBefore, ResetAfter, Silence, Garbage, Truncate:
		return true
	}
	return false
}

// Armed is a rule in force.
type Armed struct {
	rule  Rule
	rules *rules
	hit   chan struct{}

	// Guarded by rules.mu.
	seen, fired, hits int
	removed           bool
	released          chan struct{} // closed and replaced by Release
}

// Hit is closed when the rule has acted for the first time: a Hold then holds,
// and everything else of the member stands still; a Delay, a Hang or a Silence has begun; a refusal, a
// reset or a bad answer is decided and in the history, though its answer may still be on its way.
func (a *Armed) Hit() <-chan struct{} { return a.hit }

// Hits is how often the rule has acted.
func (a *Armed) Hits() int {
	a.rules.mu.Lock()
	defer a.rules.mu.Unlock()
	return a.hits
}

// Release lets what the rule holds, delays or hangs now go on. What it catches later it holds again.
func (a *Armed) Release() {
	a.rules.mu.Lock()
	defer a.rules.mu.Unlock()
	close(a.released)
	a.released = make(chan struct{})
}

// Remove disarms the rule and releases what it holds. It may be called again.
func (a *Armed) Remove() {
	a.rules.remove(a)
	a.Release()
}

// act notes that the rule acts now. It returns what ends its waiting; closed
// if the rule has been removed meanwhile.
func (a *Armed) act() <-chan struct{} {
	a.rules.mu.Lock()
	defer a.rules.mu.Unlock()
	if a.hits++; a.hits == 1 {
		close(a.hit)
	}
	if a.removed {
		over := make(chan struct{})
		close(over)
		return over
	}
	return a.released
}

// rules are those in force, in order of their addition.
type rules struct {
	mu  sync.Mutex
	all []*Armed
}

func (r *rules) add(rule Rule) *Armed {
	a := &Armed{rule: rule, rules: r, hit: make(chan struct{}), released: make(chan struct{})}
	r.mu.Lock()
	r.all = append(r.all, a)
	r.mu.Unlock()
	return a
}

func (r *rules) remove(a *Armed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.removed = true
	r.all = slices.DeleteFunc(r.all, func(b *Armed) bool { return a == b })
}

// choose returns the rules that act on an attempt, and whether one of them is a Hold.
func (r *rules) choose(member string, e workload.Entry, batch bool) (chosen []*Armed, hold bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.all {
		if a.rule.Action == nil || a.rule.Batch && !batch || a.rule.Member != "" && a.rule.Member != member || a.rule.Match != nil && !a.rule.Match(e) {
			continue
		}
		if a.seen++; a.seen <= a.rule.After || a.rule.Times > 0 && a.fired >= a.rule.Times {
			continue
		}
		a.fired++
		chosen = append(chosen, a)
		if _, ok := a.rule.Action.(Hold); ok {
			hold = true
		}
		if last(a.rule.Action) {
			break
		}
	}
	return chosen, hold
}

// giveBack undoes choose for rules that did not come to act, since the attempt ended first.
func (r *rules) giveBack(chosen []*Armed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range chosen {
		a.fired--
	}
}
