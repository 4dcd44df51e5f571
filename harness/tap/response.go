package tap

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// responses passes responses on until the broker's side ends. With the client
// gone, and the member half-open, it goes on reading: the broker must not
// notice, and what it says about commits is still true.
func (c *conn) responses(from *frames) {
	defer c.close()
	for first := true; ; first = false {
		size, err := from.next(minResponse, math.MaxInt32)
		if err != nil {
			if first { // who accepts for a container takes connections for a broker that is down, and ends them
				c.refuse()
			}
			return
		}
		b, err := from.head(minResponse)
		if err != nil {
			return
		}
		correlation := int32(binary.BigEndian.Uint32(b))
		ex := c.pending.take(correlation)
		if ex == nil {
			c.m.tap.problems.add("%s: a broker answered what was not asked; passed through", c.m.life)
			ex = &exchange{header: header{key: math.MinInt16, correlation: correlation}}
		}
		c.fetchAnswered(ex) // in case the client is faster with its next request than this loop
		if err := c.response(from, ex, size); err != nil {
			return
		}
		c.fetchAnswered(ex)
		c.pending.done(ex)
		if err := c.flush(); err != nil {
			return
		}
	}
}

// fetchAnswered notes the time of a Fetch response, for the positions that the next request tells.
func (c *conn) fetchAnswered(ex *exchange) {
	if ex.key == kmsg.Fetch.Int16() {
		c.fetched.Store(int64(c.m.tap.cfg.Log.Now()))
	}
}

// response passes one response on.
func (c *conn) response(from *frames, ex *exchange, size int) error {
	looked := c.looked(ex.key)
	if ex.req != nil && decodesRequest(ex.key) || rewrites(ex.header) || looked || len(ex.altered) > 0 {
		if size <= maxDecodedResponse {
			frame, err := from.whole(size)
			if err != nil {
				return err
			}
			return c.answer(ex, frame, looked)
		}
		c.m.tap.problems.add("%s: a %s response of %d bytes was passed through undecoded", c.m.life, kmsg.NameForKey(ex.key), size)
	}
	f := &flight{conn: c, ex: ex}
	if c.disturbed(ex.key, Response) && !c.ended() {
		f.call = c.call(Response, ex, nil, false)
		if f.disturb(c.choose(f)) == disconnect {
			return errEnded
		}
	}
	return c.copyResponse(from, sizeBytes+size, f.paces)
}

// copyResponse passes left bytes on as they come, or drops them if the client is gone.
func (c *conn) copyResponse(from *frames, left int, paces []pacing) error {
	for left > 0 {
		if len(paces) == 0 && from.br.Buffered() == 0 && left >= spliceLeast && !c.ended() {
			n, err := c.splice(from, left)
			left -= n
			if err != nil {
				return err
			}
			if n > 0 {
				continue
			}
		}
		b, err := from.chunk(left)
		if err != nil {
			return err
		}
		if len(paces) > 0 && !c.ended() {
			b = b[:slowest(paces, len(b))]
			if !c.pass(paces, len(b)) {
				return errEnded
			}
		}
		if !c.ended() && c.write(c.client, b) != nil {
			c.clientDied()
		}
		left -= len(b)
		if _, err := from.br.Discard(len(b)); err != nil {
			return err
		}
	}
	return nil
}

// answer decodes a response, writes down what it says, and passes it on with
// the addresses of brokers replaced, and whatever rules make of it.
func (c *conn) answer(ex *exchange, frame []byte, looked bool) error {
	resp, body := c.decodeResponse(ex.header, frame)
	f := &flight{conn: c, ex: ex, resp: resp}
	d := &delivery{}
	if resp != nil {
		if err := c.rewrite(resp); err != nil {
			// Passing the addresses on would let the client past the tap.
			if !errors.Is(err, net.ErrClosed) { // else the member is being closed
				c.m.tap.problems.add("%s: %s: %v; the connection was closed", c.m.life, kmsg.NameForKey(ex.key), err)
			}
			return err
		}
		f.changed = rewrites(ex.header)
	}
	chosen := c.learn(f, d, looked)
	if c.ended() {
		return nil // keep reading; if both sides ended, the next read fails
	}
	switch f.disturb(chosen) {
	case disconnect:
		return errEnded
	case abandon:
		return nil
	case forward, replied:
	}
	if resp != nil {
		for _, alter := range ex.altered {
			alter(resp)
			f.changed, f.lie = true, true
		}
	}
	if f.lie {
		d.lie, d.told = c.lieOf(c.call(Response, ex, resp, false))
	}
	if f.changed {
		frame = encodeBody(frame[:body], resp)
	}
	d.frame, d.paces, d.mute = frame, f.paces, f.mute
	return c.deliver(d)
}

// learn writes down what a response says, and asks the rules about it. What the broker did with a
// commit is true whatever becomes of the answer, and rules may look for it in the history. What
// the group gives a member, though, it has only if the answer reaches it: so the rules are
// asked before that is written down.
func (c *conn) learn(f *flight, d *delivery, looked bool) (chosen []acting) {
	ex, alive := f.ex, !c.ended()
	seats := f.resp != nil && givesSeat(ex.key)
	if f.resp != nil && !seats {
		d.told = c.m.tap.group.answered(c.m.life, ex, f.resp, alive)
	}
	if alive && c.disturbed(ex.key, Response) {
		f.call = c.call(Response, ex, f.resp, looked)
		chosen = c.choose(f)
	}
	if seats {
		d.told = c.m.tap.group.answered(c.m.life, ex, f.resp, alive && !withholds(chosen))
	}
	return chosen
}

// givesSeat tells whether responses of an API give members their places in a group, and partitions.
func givesSeat(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.ConsumerGroupHeartbeat, kmsg.ShareGroupHeartbeat:
		return true
	}
	return false
}

// decodeResponse returns the response in a frame, and where in the frame its
// body begins; nil if it cannot be decoded.
func (c *conn) decodeResponse(h header, frame []byte) (kmsg.Response, int) {
	resp, rest, err := readResponse(h, frame[sizeBytes:])
	if err != nil {
		c.m.tap.problems.add("%s: %s v%d response cannot be decoded: %v", c.m.life, kmsg.NameForKey(h.key), h.version, err)
		return nil, 0
	}
	if resp == nil {
		c.m.tap.problems.add("%s: %s v%d is newer than what the tap can decode", c.m.life, kmsg.NameForKey(h.key), h.version)
		return nil, 0
	}
	return resp, len(frame) - rest
}

// readResponse decodes a response without its length. rest is the size of the
// body. A nil response is of a version that kmsg does not know.
func readResponse(h header, b []byte) (resp kmsg.Response, rest int, err error) {
	req := h.newRequest()
	if h.key == kmsg.ApiVersions.Int16() && len(b) >= minResponse+2 && int16(binary.BigEndian.Uint16(b[minResponse:])) == unsupportedVersion {
		// A broker that does not know the version of an ApiVersions request
		// answers in version 0, whatever was asked (KIP-511).
		h.version = 0
		req = h.newRequest()
	}
	if req == nil {
		return nil, 0, nil
	}
	body, err := responseBody(b, h.key, req.IsFlexible())
	if err != nil {
		return nil, 0, err
	}
	resp = req.ResponseKind()
	if err := resp.ReadFrom(body); err != nil {
		return nil, 0, err
	}
	return resp, len(body), nil
}

// encodeBody returns a frame with the given beginning (length and header) and body.
func encodeBody(head []byte, body interface{ AppendTo([]byte) []byte }) []byte {
	frame := body.AppendTo(slices.Clip(head))
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-sizeBytes))
	return frame
}
