package tap

import (
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

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
		c.muted()
		if err := c.request(broker, parseHeader(b), size); err != nil {
			if !c.ended() {
				c.close()
			}
			return
		}
	}
}

// request passes one request on, or answers it.
func (c *conn) request(broker net.Conn, h header, size int) error {
	ex := &exchange{header: h}
	looked := c.looked(h.key)
	var frame []byte // the whole request if it is decoded
	var body int     // where in it the body begins
	if looked || decodesRequest(h.key) || c.follows(h.key) {
		if size > maxDecodedRequest {
			c.m.tap.problems.add("%s: a %s request of %d bytes was passed through undecoded", c.m.life, kmsg.NameForKey(h.key), size)
		} else {
			var err error
			if frame, err = c.in.whole(size); err != nil {
				c.clientDied()
				return err
			}
			ex.req, body = c.decodeRequest(h, frame)
		}
	}
	answered, err := c.isAnswered(h, frame, size)
	if err != nil {
		c.clientDied()
		return err
	}
	if looked && c.staleSession(ex) {
		return c.reply(ex, &flight{conn: c, ex: ex, reply: sessionGone(h)})
	}
	f := &flight{conn: c, ex: ex}
	if c.disturbed(h.key, Request) {
		f.call = c.call(Request, ex, nil, looked)
		switch f.disturb(c.choose(f)) {
		case forward:
		case replied:
			if !answered {
				return nil // nobody waits for it
			}
			return c.reply(ex, f)
		case disconnect, abandon:
			return errEnded
		}
	}
	if f.changed {
		frame = encodeBody(frame[:body], ex.req)
	}
	if answered {
		c.pending.put(ex) // before the broker can answer
	}
	if frame == nil {
		return c.copyRequest(broker, sizeBytes+size, f.paces)
	}
	return c.sendRequest(broker, ex, frame, f.paces)
}

// sendRequest passes on a request that was read as a whole.
func (c *conn) sendRequest(broker net.Conn, ex *exchange, frame []byte, paces []pacing) error {
	last := len(frame) - slowest(paces, len(frame)) // all but the last piece: then the broker has the request
	for sent := 0; sent < last; {
		n := min(slowest(paces, len(frame)), last-sent)
		if !c.pass(paces, n) {
			return errEnded
		}
		if err := c.write(broker, frame[sent:sent+n]); err != nil {
			return err
		}
		sent += n
	}
	if !c.pass(paces, len(frame)-last) || !c.m.gate.enter(c.closed) {
		return errEnded
	}
	defer c.m.gate.leave()
	if ex.req != nil {
		c.m.tap.group.requested(c.m.life, ex)
		if r, ok := ex.req.(*kmsg.FetchRequest); ok {
			c.m.fetched(r, time.Duration(c.fetched.Load()))
		}
	}
	_, err := broker.Write(frame[last:])
	return err
}

// staleSession tells whether a Fetch belongs to a session (KIP-227) that began
// before a rule had to know what it is about. It names only what has changed in it.
func (c *conn) staleSession(ex *exchange) bool {
	r, ok := ex.req.(*kmsg.FetchRequest)
	if !ok || r.SessionID == 0 || r.SessionEpoch <= 0 {
		return false
	}
	for _, a := range c.m.tap.armed() {
		if a.concerns(c.m.life.member, ex.key, Request) && a.rule.looks() {
			return true
		}
	}
	return false
}

// sessionGone is the answer of a broker that has dropped a fetch session.
func sessionGone(h header) kmsg.Response {
	resp := h.newRequest().ResponseKind().(*kmsg.FetchResponse)
	resp.ErrorCode = kerr.FetchSessionIDNotFound.Code
	return resp
}

// isAnswered is false for the only request without a response: Produce with acks=0.
func (c *conn) isAnswered(h header, frame []byte, size int) (bool, error) {
	if h.key != kmsg.Produce.Int16() {
		return true, nil
	}
	var b []byte
	if frame != nil {
		b = frame[sizeBytes:]
	} else {
		var err error
		// A client id or a transactional id longer than this is not met with.
		if b, err = c.in.head(min(size, 4<<10)); err != nil {
			return false, err
		}
	}
	acks, err := produceAcks(b, h.version)
	if err != nil {
		c.m.tap.problems.add("%s: Produce v%d without readable acks, taken as one with a response: %v", c.m.life, h.version, err)
		return true, nil
	}
	return acks != 0, nil
}

// decodeRequest returns the request in a frame, and where in the frame its body
// begins; nil if it cannot be decoded.
func (c *conn) decodeRequest(h header, frame []byte) (kmsg.Request, int) {
	req := h.newRequest()
	if req == nil {
		c.m.tap.problems.add("%s: %s v%d is newer than what the tap can decode", c.m.life, kmsg.NameForKey(h.key), h.version)
		return nil, 0
	}
	body, err := requestBody(frame[sizeBytes:], req.IsFlexible())
	if err == nil {
		err = req.ReadFrom(body)
	}
	if err != nil {
		c.m.tap.problems.add("%s: %s v%d request cannot be decoded: %v", c.m.life, kmsg.NameForKey(h.key), h.version, err)
		return nil, 0
	}
	return req, len(frame) - len(body)
}

// copyRequest passes left bytes on as they come.
func (c *conn) copyRequest(broker net.Conn, left int, paces []pacing) error {
	for left > 0 {
		b, err := c.in.chunk(slowest(paces, left))
		if err != nil {
			c.clientDied()
			return err
		}
		if !c.pass(paces, len(b)) {
			return errEnded
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
