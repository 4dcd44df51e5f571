package tap

import (
	"net"
	"sync"
	"sync/atomic"
)

// conn is one connection of a client and the one to the broker behind it.
type conn struct {
	m      *Member
	client net.Conn
	in     *frames // from the client

	mu     sync.Mutex
	broker net.Conn // nil until dialed

	gone      chan struct{} // closed once the client's side is dead
	goneOnce  sync.Once
	closed    chan struct{} // closed once both sides are to end
	closeOnce sync.Once

	halfOpen  atomic.Bool // the broker is not to notice that the client is gone
	pending   pending
	muteUntil atomic.Int64 // in Unix nanoseconds: when the client may be read from again; 0 if it may
	fetched   atomic.Int64 // when the last Fetch response had been passed on, as history.Event.At; 0 if there was none
	flushing  sync.Mutex   // held while answers of the tap are passed on
}

func newConn(m *Member, client net.Conn) *conn {
	return &conn{m: m, client: client, in: newFrames(client), gone: make(chan struct{}), closed: make(chan struct{})}
}

// serve runs a connection to its end.
func (c *conn) serve(to target) {
	defer c.m.dismiss(c)
	defer c.close()
	if !c.m.gate.enter(c.closed) { // a frozen member reaches no broker
		return
	}
	c.m.gate.leave()
	addr := c.m.tap.brokers.address(to)
	broker, err := c.m.tap.dial(c.m.ctx, addr)
	if err != nil {
		c.refuse()
		return
	}
	if !c.attach(broker) {
		_ = broker.Close()
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.responses(newFrames(broker)) })
	c.requests(broker)
	wg.Wait()
}

// refuse makes the end of the connection a reset. The client sees a broker that is
// down, which is the truth: a reset is as near to a refused connection as one gets after
// it was accepted. At an orderly end some clients believe that the broker wants TLS, and
// give up.
func (c *conn) refuse() {
	if tcp, ok := c.client.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func (c *conn) attach(broker net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		return false
	default:
		c.broker = broker
		return true
	}
}

// close ends both sides.
func (c *conn) close() {
	c.closeOnce.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.closed)
		_ = c.client.Close()
		if c.broker != nil {
			_ = c.broker.Close()
		}
	})
}

// interruptSplice makes a splice of a response look at the gate again.
func (c *conn) interruptSplice() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if tcp, ok := c.broker.(*net.TCPConn); ok { // others are not spliced
		wake(tcp)
	}
}

// clientDied ends the client's side, and the broker's too unless the member is half-open.
func (c *conn) clientDied() {
	c.goneOnce.Do(func() {
		close(c.gone)
		_ = c.client.Close()
	})
	if !c.halfOpen.Load() && !c.m.isHalfOpen() {
		c.close()
	}
}

// cutHalfOpen ends the client's side only.
func (c *conn) cutHalfOpen() {
	c.halfOpen.Store(true)
	c.clientDied()
}

// ended tells whether nobody waits for answers any more.
func (c *conn) ended() bool {
	select {
	case <-c.gone:
		return true
	case <-c.closed:
		return true
	default:
		return false
	}
}

// watchClient notices the client's death while its requests are held. For a held response
// the reader of requests does.
func (c *conn) watchClient(d Direction) (stop func()) {
	if d == Response {
		return func() {}
	}
	return c.in.watch(c.clientDied)
}
