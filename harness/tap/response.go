package tap

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// exchange is a request and, later, its response.
type exchange struct {
	header
	req     kmsg.Request // nil if it was passed through
	foreign bool         // of a group that is not watched
	// commits are the events that a commit wrote, for its response to refer to.
	commits map[TopicPartition][]committed
	// txn is the transaction that an EndTxn ends, and ending what it commits.
	txn    *txn
	ending []Commit
}

// committed is one partition of a commit that was passed on.
type committed struct {
	seq        int64 // of its CommitRequested
	generation int32
	offset     int64
}

// pending are the requests of a connection that are not answered yet. Brokers
// answer in order; the correlation id tells if one does not.
type pending struct {
	mu    sync.Mutex
	queue []*exchange
}

func (p *pending) put(ex *exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, ex)
}

// take removes the oldest request with that correlation id; nil if there is none.
func (p *pending) take(correlation int32) *exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.queue, func(ex *exchange) bool { return ex.correlation == correlation })
	if i < 0 {
		return nil
	}
	ex := p.queue[i]
	p.queue = slices.Delete(p.queue, i, i+1)
	return ex
}

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
		if err := c.response(from, ex, size); err != nil {
			return
		}
	}
}

// response passes one response on.
func (c *conn) response(from *frames, ex *exchange, size int) error {
	if ex.req != nil || rewrites(ex.header) {
		if size <= maxDecodedResponse {
			frame, err := from.whole(size)
			if err != nil {
				return err
			}
			return c.answer(ex, frame)
		}
		c.m.tap.problems.add("%s: a %s response of %d bytes was passed through undecoded", c.m.life, kmsg.NameForKey(ex.key), size)
	}
	if c.disturbed(ex.key, Response) && !c.ended() && c.disturb(c.call(Response, ex, nil)) == disconnect {
		return errEnded
	}
	return c.copyResponse(from, sizeBytes+size)
}

// copyResponse passes left bytes on as they come, or drops them if the client is gone.
func (c *conn) copyResponse(from *frames, left int) error {
	for left > 0 {
		if from.br.Buffered() == 0 && left >= spliceLeast && !c.ended() {
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
// the addresses of brokers replaced.
func (c *conn) answer(ex *exchange, frame []byte) error {
	resp, body := c.decodeResponse(ex.header, frame)
	var told *tidings
	if resp != nil {
		if err := c.rewrite(resp); err != nil {
			// Passing the addresses on would let the client past the tap.
			if !errors.Is(err, net.ErrClosed) { // else the member is being closed
				c.m.tap.problems.add("%s: %s: %v; the connection was closed", c.m.life, kmsg.NameForKey(ex.key), err)
			}
			return err
		}
		if rewrites(ex.header) {
			frame = encodeResponse(frame[:body], resp)
		}
		told = c.m.tap.group.answered(c.m.life, ex, resp, !c.ended())
	}
	if c.ended() {
		return nil // keep reading; if both sides ended, the next read fails
	}
	if c.disturbed(ex.key, Response) {
		switch c.disturb(c.call(Response, ex, resp)) {
		case disconnect:
			return errEnded
		case abandon:
			return nil
		case forward:
		}
	}
	if !c.m.gate.enter(c.closed) {
		return errEnded
	}
	defer c.m.gate.leave()
	if c.ended() {
		return nil
	}
	if told != nil {
		c.m.tap.group.tell(c.m.life, *told)
	}
	if _, err := c.client.Write(frame); err != nil {
		c.clientDied()
	}
	return nil
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

// encodeResponse returns a frame with the given beginning (length and header) and body.
func encodeResponse(head []byte, resp kmsg.Response) []byte {
	frame := resp.AppendTo(slices.Clip(head))
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-sizeBytes))
	return frame
}
