package tap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// life names one life of a member.
type life struct {
	member      string
	incarnation int
}

func (l life) compare(other life) int {
	return cmp.Or(cmp.Compare(l.member, other.member), cmp.Compare(l.incarnation, other.incarnation))
}

func (l life) String() string { return fmt.Sprintf("%s#%d", l.member, l.incarnation) }

// Member is the tap of one life of one member: its listeners, its
// connections and the faults that act on all of them. All its methods may be called from any
// goroutine, and after Close too.
type Member struct {
	tap  *Tap
	life life
	gate gate

	fetches fetches

	ctx    context.Context // ends dials
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	listeners []*listener // those of the seeds first
	byNode    map[node]*listener
	conns     map[*conn]struct{}
	cut       bool
	halfOpen  bool
	closed    bool
}

// listener is where a member reaches one broker.
type listener struct {
	net.Listener
	mu     sync.Mutex
	target target
}

func (l *listener) leadsTo() target {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.target
}

func newMember(t *Tap, l life) (*Member, error) {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Member{tap: t, life: l, ctx: ctx, cancel: cancel, byNode: map[node]*listener{}, conns: map[*conn]struct{}{}, fetches: fetches{at: map[fetchedFrom]int64{}}}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range t.cfg.Seeds {
		if _, err := m.listen(target{seed: i}); err != nil {
			cancel()
			for _, open := range m.listeners {
				_ = open.Close()
			}
			return nil, err
		}
	}
	t.group.open(l)
	return m, nil
}

// listen opens a listener, with m.mu held.
func (m *Member) listen(t target) (*listener, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a member: %w", err)
	}
	l := &listener{Listener: ln, target: t}
	m.listeners = append(m.listeners, l)
	m.wg.Go(func() { m.accept(l) })
	return l, nil
}

// port returns the port of the member's listener for a node, made when it is
// first asked for. A node that lives at the address of a seed shares the seed's
// listener, so that a client sees one broker there and not two.
func (m *Member) port(n node) (int32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, net.ErrClosed
	}
	l := m.byNode[n]
	if l == nil {
		if i := m.tap.brokers.seedAt(n); i >= 0 && m.listeners[i].leadsTo().seed >= 0 {
			l = m.listeners[i]
			l.mu.Lock()
			l.target = target{node: n, seed: -1}
			l.mu.Unlock()
		} else {
			var err error
			if l, err = m.listen(target{node: n, seed: -1}); err != nil {
				return 0, err
			}
		}
		m.byNode[n] = l
	}
	return portOf(l), nil
}

func portOf(l net.Listener) int32 {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return int32(a.Port)
	}
	return 0
}

// acceptRetry is the wait after an accept that failed for want of resources,
// such as file descriptors.
const acceptRetry = 50 * time.Millisecond

func (m *Member) accept(l *listener) {
	for {
		client, err := l.Accept()
		switch {
		case err == nil:
			c := newConn(m, client)
			if !m.admit(c) {
				c.close()
				continue
			}
			m.wg.Go(func() { c.serve(l.leadsTo()) })
		case errors.Is(err, net.ErrClosed):
			return
		default:
			m.tap.problems.add("%s: accept: %v", m.life, err)
			select {
			case <-time.After(acceptRetry):
			case <-m.ctx.Done():
				return
			}
		}
	}
}

// admit registers a new connection, unless there must be none.
func (m *Member) admit(c *conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut || m.closed {
		return false
	}
	m.conns[c] = struct{}{}
	return true
}

func (m *Member) dismiss(c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c)
}

// Bootstrap returns the addresses to give to the member's client, separated
// by commas: one for each seed.
func (m *Member) Bootstrap() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var addrs []string
	for _, l := range m.listeners[:len(m.tap.cfg.Seeds)] {
		addrs = append(addrs, l.Addr().String())
	}
	return strings.Join(addrs, ",")
}

// Freeze lets no bytes through either way from now on. Connections stay, and
// new ones are accepted; what either side sends waits.
func (m *Member) Freeze() {
	m.gate.shut()
	m.mu.Lock()
	for c := range m.conns {
		c.interruptSplice()
	}
	m.mu.Unlock()
	m.gate.settle()
}

// Thaw ends Freeze. What waited goes on.
func (m *Member) Thaw() { m.gate.thaw() }

// Cut closes all connections on both sides and refuses new ones: they are
// closed as soon as they are accepted.
func (m *Member) Cut() {
	m.mu.Lock()
	m.cut = true
	m.mu.Unlock()
	m.closeConns()
}

// HalfOpen makes the broker blind to the member's death: from now on, when
// the client's side of a connection dies, the broker's side stays open and
// silent until Close, as when a machine loses power.
func (m *Member) HalfOpen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.halfOpen = true
}

// Heal ends Freeze, Cut and HalfOpen. Broker sides that were left open stay so.
func (m *Member) Heal() {
	m.mu.Lock()
	m.cut, m.halfOpen = false, false
	m.mu.Unlock()
	m.gate.thaw()
}

// Close ends this life: listeners and connections close, partitions it still
// holds are dropped without an event. It returns when nothing of the member
// runs any more. It may be called again.
func (m *Member) Close() {
	m.mu.Lock()
	m.closed = true
	listeners := m.listeners
	m.mu.Unlock()
	m.cancel()
	for _, l := range listeners {
		_ = l.Close()
	}
	m.closeConns()
	m.wg.Wait()
	m.tap.group.end(m.life)
	m.tap.forget(m.life)
}

func (m *Member) closeConns() {
	m.mu.Lock()
	conns := make([]*conn, 0, len(m.conns))
	for c := range m.conns {
		conns = append(conns, c)
	}
	m.mu.Unlock()
	for _, c := range conns {
		c.close()
	}
}

func (m *Member) isHalfOpen() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.halfOpen
}

// ID returns the member id that the group knows this life by, "" if it is in
// no group (not yet, or no longer). A process with several consumers has several ids: this is the
// newest, IDs returns all. It stays known after Close, for eviction.
func (m *Member) ID() string { return m.tap.group.identity(m.life).id }

// IDs returns the member ids of all consumers in this life, oldest first.
func (m *Member) IDs() []string { return m.tap.group.ids(m.life) }

// InstanceID returns group.instance.id of a static member, else "".
func (m *Member) InstanceID() string { return m.tap.group.identity(m.life).instance }

// Generation returns the generation, or the member epoch (KIP-848), that the
// member is in; 0 before it has joined.
func (m *Member) Generation() int32 { return m.tap.group.identity(m.life).generation }

// Protocol returns the rebalance protocol that the member joined with:
// classic, consumer (KIP-848) or share; "" before it has joined.
func (m *Member) Protocol() string { return m.tap.group.identity(m.life).protocol }
