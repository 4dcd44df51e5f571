package tap

import (
	"errors"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
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

	pending pending
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
	if !c.m.isHalfOpen() {
		c.close()
	}
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

// errEnded ends a pump whose connection is over.
var errEnded = errors.New("the connection has ended")

// requests passes requests on until a side ends.
func (c *conn) requests(broker net.Conn) {
	for {
		size, err := c.in.next(minRequest, maxRequest)
		var b []byte
		if err == nil {
			b, err = c.in.head(minRequest)
		}
		if errors.Is(err, errMalformed) {
			c.m.tap.problems.add("%s: a client sent what is no Kafka request; its connection was closed: %v", c.m.life, err)
			c.close()
			return
		}
		if err != nil {
			c.clientDied()
			return
		}
		if err := c.request(broker, parseHeader(b), size); err != nil {
			if !c.ended() {
				c.close()
			}
			return
		}
	}
}

// request passes one request on.
func (c *conn) request(broker net.Conn, h header, size int) error {
	ex := &exchange{header: h}
	var frame []byte // the whole request if it is decoded
	if decodesRequest(h.key) {
		if size > maxDecodedRequest {
			c.m.tap.problems.add("%s: a %s request of %d bytes was passed through undecoded", c.m.life, kmsg.NameForKey(h.key), size)
		} else {
			var err error
			if frame, err = c.in.whole(size); err != nil {
				c.clientDied()
				return err
			}
			ex.req = c.decodeRequest(h, frame[sizeBytes:])
		}
	}
	answered, err := c.isAnswered(h, size)
	if err != nil {
		c.clientDied()
		return err
	}
	if c.disturbed(h.key, Request) {
		if c.disturb(c.call(Request, ex, nil)) != forward {
			return errEnded
		}
	}
	if answered {
		c.pending.put(ex) // before the broker can answer
	}
	if frame == nil {
		return c.copyRequest(broker, sizeBytes+size)
	}
	if !c.m.gate.enter(c.closed) {
		return errEnded
	}
	defer c.m.gate.leave()
	if ex.req != nil {
		c.m.tap.group.requested(c.m.life, ex)
	}
	_, err = broker.Write(frame)
	return err
}

// isAnswered is false for the only request without a response: Produce with acks=0.
func (c *conn) isAnswered(h header, size int) (bool, error) {
	if h.key != kmsg.Produce.Int16() {
		return true, nil
	}
	// A client id or a transactional id longer than this is not met with.
	b, err := c.in.head(min(size, 4<<10))
	if err != nil {
		return false, err
	}
	acks, err := produceAcks(b, h.version)
	if err != nil {
		c.m.tap.problems.add("%s: Produce v%d without readable acks, taken as one with a response: %v", c.m.life, h.version, err)
		return true, nil
	}
	return acks != 0, nil
}

func (c *conn) decodeRequest(h header, b []byte) kmsg.Request {
	req := h.newRequest()
	if req == nil {
		c.m.tap.problems.add("%s: %s v%d is newer than what the tap can decode", c.m.life, kmsg.NameForKey(h.key), h.version)
		return nil
	}
	body, err := requestBody(b, req.IsFlexible())
	if err == nil {
		err = req.ReadFrom(body)
	}
	if err != nil {
		c.m.tap.problems.add("%s: %s v%d request cannot be decoded: %v", c.m.life, kmsg.NameForKey(h.key), h.version, err)
		return nil
	}
	return req
}

// copyRequest passes left bytes on as they come.
func (c *conn) copyRequest(broker net.Conn, left int) error {
	for left > 0 {
		b, err := c.in.chunk(left)
		if err != nil {
			c.clientDied()
			return err
		}
		if err := c.write(broker, b); err != nil {
			return err
		}
		left -= len(b)
		if _, err := c.in.br.Discard(len(b)); err != nil {
			return err
		}
	}
	return nil
}

// write passes bytes on, through the gate.
func (c *conn) write(to net.Conn, b []byte) error {
	if !c.m.gate.enter(c.closed) {
		return errEnded
	}
	defer c.m.gate.leave()
	_, err := to.Write(b)
	return err
}
