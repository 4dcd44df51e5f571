package tap

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Action is what a Rule does to a call. The set is closed: Error, Hold, Delay, Throttle, Quota,
// Corrupt, Cut, CutHalfOpen, FreezeMember.
type Action interface {
	// act disturbs the call. It announces the hit when the disturbance is in
	// effect, and returns what is to become of the call.
	act(*flight) outcome
	// String is the text form that ParseAction reads.
	String() string
}

// changer is an action that changes what a call says, and so must see it.
type changer interface {
	// applies tells whether there is something to change in what the rule selects.
	applies(*flight, selection) bool
}

type outcome int

const (
	forward    outcome = iota // pass the call on
	disconnect                // close the connection instead, on both sides
	abandon                   // the connection ended meanwhile: there is nothing to pass on, or nobody to pass it to
	replied                   // flight.reply answers it, the broker never sees it
)

// flight is a call on its way, as actions see it.
type flight struct {
	conn *conn
	ex   *exchange
	call Call
	resp kmsg.Response // nil for a request, and for a response that was not decoded

	// What the actions have made of it.
	changed bool          // the request or the response is to be encoded anew
	lie     bool          // it does not say what the broker said
	reply   kmsg.Response // with the outcome replied
	paces   []pacing
	mute    time.Duration // how long the connection is not read from, once the response is passed on

	// Of the rule whose action is asked.
	armed    *Armed
	released <-chan struct{}
}

// cuts tells whether an action always ends the connection.
func cuts(a Action) bool {
	switch a.(type) {
	case Cut, CutHalfOpen:
		return true
	}
	return false
}

// Hold stops a call until the rule is released or removed, or its connection
// ends; a call whose connection ends is never passed on. A held request has not
// reached the broker, and the history does not have it. A held response has
// been answered by the broker, and the history has it. Later calls on the same
// connection wait behind it.
type Hold struct{}

func (Hold) act(f *flight) outcome {
	f.armed.announce(f.call)
	return f.wait(nil)
}

// wait stops a call until the rule is released, or the time has come; nil never does.
func (f *flight) wait(timer <-chan time.Time) outcome {
	stop := f.conn.watchClient(f.call.Direction)
	defer stop()
	select {
	case <-f.released:
	case <-timer:
	case <-f.conn.gone:
	case <-f.conn.closed:
	}
	if f.conn.ended() { // first, even if it was released too
		return abandon
	}
	return forward
}

// Cut closes the connection on both sides instead of passing the call on: of a
// request the broker never learns, of a response the member never learns
// although the broker has done the work. New connections are welcome. The client sees a reset, as when a link
// breaks. At an orderly end before a first answer franz-go takes SASL to be missing, and gives up its
// place in the group without a word on the wire.
type Cut struct{}

func (Cut) act(f *flight) outcome {
	f.conn.refuse()
	f.conn.close()
	f.armed.announce(f.call)
	return disconnect
}

// CutHalfOpen resets the client's side of the connection instead of passing the call
// on. The broker is not told: its side stays open and silent until the member is
// closed, as when a firewall forgets a connection. New connections are welcome.
type CutHalfOpen struct{}

func (CutHalfOpen) act(f *flight) outcome {
	f.conn.refuse()
	f.conn.cutHalfOpen()
	f.armed.announce(f.call)
	return abandon
}

// FreezeMember freezes the member of the call, this call included, until the
// rule is released or removed, or the member is thawed.
type FreezeMember struct{}

func (FreezeMember) act(f *flight) outcome {
	m := f.conn.m
	m.Freeze()
	f.armed.onRelease(m.Thaw)
	f.armed.announce(f.call)
	return forward
}

// acting is a rule that acts on a call.
type acting struct {
	armed    *Armed
	released <-chan struct{}
}

// choose asks the rules about a call, up to the first whose action ends it.
func (c *conn) choose(f *flight) (chosen []acting) {
	for _, a := range c.m.tap.armed() {
		if !a.concerns(f.call.Member, f.call.Key, f.call.Direction) {
			continue
		}
		released, act := a.take(f)
		if !act {
			continue
		}
		chosen = append(chosen, acting{a, released})
		if cuts(a.rule.Action) {
			break
		}
	}
	return chosen
}

// withholds tells whether the member does not get what the broker said in a response.
func withholds(chosen []acting) bool {
	for _, x := range chosen {
		if _, lies := x.armed.rule.Action.(Error); lies || cuts(x.armed.rule.Action) {
			return true
		}
	}
	return false
}

// disturb lets the chosen rules act, one after the other.
func (f *flight) disturb(chosen []acting) outcome {
	for i, x := range chosen {
		f.armed, f.released = x.armed, x.released
		action := x.armed.rule.Action
		if action == nil {
			x.armed.announce(f.call)
			continue
		}
		if out := action.act(f); out != forward {
			for _, later := range chosen[i+1:] {
				later.armed.untake()
			}
			return out
		}
	}
	return forward
}

// disturbed tells whether any rule may act on such calls, without looking into one.
func (c *conn) disturbed(key int16, d Direction) bool {
	for _, a := range c.m.tap.armed() {
		if a.concerns(c.m.life.member, key, d) {
			return true
		}
	}
	return false
}

// looked tells whether any rule in force must see the bodies of such calls. A rule for
// responses may need the request too, for the group.
func (c *conn) looked(key int16) bool {
	for _, a := range c.m.tap.armed() {
		if a.mayConcern(c.m.life.member, key) && a.rule.looks() {
			return true
		}
	}
	return false
}

func (Hold) String() string         { return nameHold }
func (Cut) String() string          { return nameCut }
func (CutHalfOpen) String() string  { return nameCutHalfOpen }
func (FreezeMember) String() string { return nameFreeze }
