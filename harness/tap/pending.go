package tap

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

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

	taken   bool                  // the broker's response is being passed on
	answer  *delivery             // of the tap, in the broker's place; nil if the broker answers
	altered []func(kmsg.Response) // what rules make of the broker's response
}

// alter has the response changed before it is passed on.
func (ex *exchange) alter(f func(kmsg.Response)) { ex.altered = append(ex.altered, f) }

// committed is one partition of a commit that was passed on.
type committed struct {
	seq        int64 // of its CommitRequested
	generation int32
	offset     int64
}

// pending are the requests of a connection that are not answered yet, in the order in which
// they came. Brokers answer in order, and clients insist on it, so an answer of the tap waits
// until what was asked before it is answered. The correlation id tells if a broker does not.
type pending struct {
	mu    sync.Mutex
	queue []*exchange
}

func (p *pending) put(ex *exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, ex)
}

// take finds the oldest request with that correlation id that waits for the broker; nil if
// there is none. It stays in its place until its response has been passed on.
func (p *pending) take(correlation int32) *exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ex := range p.queue {
		if ex.correlation == correlation && !ex.taken && ex.answer == nil {
			ex.taken = true
			return ex
		}
	}
	return nil
}

// done removes a request whose response has been passed on.
func (p *pending) done(ex *exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.queue, ex); i >= 0 {
		p.queue = slices.Delete(p.queue, i, i+1)
	}
}

// next returns the request that is to be answered next, if the tap answers it; else nil.
func (p *pending) next() *exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) > 0 && p.queue[0].answer != nil {
		return p.queue[0]
	}
	return nil
}

// delivery is a response on its last steps to the client.
type delivery struct {
	frame []byte
	told  *tidings
	lie   *lie // what the member is told, and the broker did not say
	paces []pacing
	mute  time.Duration
}

// reply answers a request in the broker's place.
func (c *conn) reply(ex *exchange, f *flight) error {
	d := &delivery{frame: replyFrame(ex.header, f.reply), paces: f.paces, mute: f.mute}
	if f.lie {
		d.lie, d.told = c.lieOf(c.call(Response, ex, f.reply, false))
	}
	ex.answer = d
	c.pending.put(ex)
	return c.flush()
}

// flush passes on the answers of the tap that are next.
func (c *conn) flush() error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	for ex := c.pending.next(); ex != nil; ex = c.pending.next() {
		if err := c.deliver(ex.answer); err != nil {
			return err
		}
		c.pending.done(ex)
	}
	return nil
}

// deliver passes a response on to the client, if there is one.
func (c *conn) deliver(d *delivery) error {
	last := len(d.frame) - slowest(d.paces, len(d.frame)) // all but the last piece: then the client has it
	for sent := 0; sent < last && !c.ended(); {
		n := min(slowest(d.paces, len(d.frame)), last-sent)
		if !c.pass(d.paces, n) {
			return errEnded
		}
		if c.write(c.client, d.frame[sent:sent+n]) != nil {
			c.clientDied()
		}
		sent += n
	}
	if !c.pass(d.paces, len(d.frame)-last) || !c.m.gate.enter(c.closed) {
		return errEnded
	}
	defer c.m.gate.leave()
	if c.ended() {
		return nil
	}
	if d.lie != nil {
		c.m.tap.group.believe(c.m.life, *d.lie)
	}
	if d.told != nil {
		c.m.tap.group.tell(c.m.life, *d.told)
	}
	if d.mute > 0 {
		c.muteUntil.Store(time.Now().Add(d.mute).UnixNano())
	}
	if _, err := c.client.Write(d.frame[last:]); err != nil {
		c.clientDied()
	}
	return nil
}

// muted waits until the connection may be read from again. A broker that throttles a client does not
// read from it, nor notice that it is gone.
func (c *conn) muted() {
	until := c.muteUntil.Load()
	if until == 0 {
		return
	}
	t := time.NewTimer(time.Until(time.Unix(0, until)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.gone:
	case <-c.closed:
	}
}

// replyFrame is a response of the tap itself.
func replyFrame(h header, resp kmsg.Response) []byte {
	head := binary.BigEndian.AppendUint32(make([]byte, sizeBytes), uint32(h.correlation))
	if resp.IsFlexible() && h.key != kmsg.ApiVersions.Int16() {
		head = append(head, 0) // no tags
	}
	return encodeBody(head, resp)
}
