package tap

// Action is what a Rule does to a call. The set is closed: Hold, Cut, FreezeMember.
type Action interface {
	// act disturbs the call. It announces the hit when the disturbance is in
	// effect, and returns what is to become of the call.
	act(*flight) outcome
}

type outcome int

const (
	forward    outcome = iota // pass the call on
	disconnect                // close the connection instead, on both sides
	abandon                   // the connection ended meanwhile: there is nothing to pass on, or nobody to pass it to
)

// flight is a call on its way, as an action sees it.
type flight struct {
	conn     *conn
	armed    *Armed
	call     Call
	released <-chan struct{}
}

// Hold stops a call until the rule is released or removed, or its connection
// ends; a call whose connection ends is never passed on. A held request has not
// reached the broker, and the history does not have it. A held response has
// been answered by the broker, and the history has it. Later calls on the same
// connection wait behind it.
type Hold struct{}

func (Hold) act(f *flight) outcome {
	stop := f.conn.watchClient(f.call.Direction)
	defer stop()
	f.armed.announce(f.call)
	select {
	case <-f.released:
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
// although the broker has done the work. New connections are welcome.
type Cut struct{}

func (Cut) act(f *flight) outcome {
	f.conn.close()
	f.armed.announce(f.call)
	return disconnect
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

// disturb applies the rules to a call.
func (c *conn) disturb(call Call) outcome {
	for _, a := range c.m.tap.armed() {
		if !a.concerns(call.Member, call.Key, call.Direction) {
			continue
		}
		released, act := a.take(call)
		switch {
		case !act:
		case a.rule.Action == nil:
			a.announce(call)
		default:
			if out := a.rule.Action.act(&flight{conn: c, armed: a, call: call, released: released}); out != forward {
				return out
			}
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
