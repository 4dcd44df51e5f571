package tap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// Config says where the brokers are and what to watch.
type Config struct {
	// Log receives what is seen. Required.
	Log *history.Log
	// Dial opens a connection to the broker at addr (host:port) that is ready
	// for requests: TLS and SASL, if any, are done. The default is plain TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Seeds are addresses (host:port) of brokers to start from; at least one.
	Seeds []string
	// Group is the consumer group that is written to the history; "" for
	// every group that is seen.
	Group string
	// Fetches has the positions that members fetch from written to the history. Their Fetch
	// requests are decoded for it, responses are not.
	Fetches bool
}

// dialTimeout bounds Config.Dial. It is long enough for a broker that is just
// starting and short enough that a client notices one that is gone.
const dialTimeout = 10 * time.Second

// Tap is the proxy of one run. All its methods may be called from any goroutine.
type Tap struct {
	cfg      Config
	brokers  *brokers
	group    *group
	problems problems

	rulesMu sync.Mutex
	rules   atomic.Pointer[[]*Armed] // copied on write: read for every frame

	mu      sync.Mutex
	members map[life]*Member
	closed  bool
}

// ErrClosed is returned by Open once the tap is closed.
var ErrClosed = errors.New("the tap is closed")

// New returns a tap without members. Nothing listens until Open.
func New(cfg Config) *Tap {
	if cfg.Dial == nil {
		var d net.Dialer
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	return &Tap{
		cfg:     cfg,
		brokers: &brokers{seeds: cfg.Seeds, nodes: map[node]string{}},
		group:   newGroup(cfg.Log, cfg.Group),
		members: map[life]*Member{},
	}
}

// Open makes the listeners of one life of a member. They accept at once. An
// earlier life of the same member may still be open: it is another.
func (t *Tap) Open(ctx context.Context, member string, incarnation int) (*Member, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open the tap for %s: %w", member, err)
	}
	if len(t.cfg.Seeds) == 0 {
		return nil, errors.New("open the tap: no seed brokers; set Config.Seeds to at least one host:port")
	}
	l := life{member, incarnation}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if t.members[l] != nil {
		return nil, fmt.Errorf("open the tap for %s: incarnation %d is open already", member, incarnation)
	}
	m, err := newMember(t, l)
	if err != nil {
		return nil, fmt.Errorf("open the tap for %s: %w", member, err)
	}
	t.members[l] = m
	return m, nil
}

// Close closes every member and waits for all connections to end. It may be
// called again.
func (t *Tap) Close() {
	t.mu.Lock()
	t.closed = true
	members := make([]*Member, 0, len(t.members))
	for _, m := range t.members {
		members = append(members, m)
	}
	t.mu.Unlock()
	for _, m := range members {
		m.Close()
	}
}

func (t *Tap) forget(l life) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.members, l)
}

func (t *Tap) dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return t.cfg.Dial(ctx, addr)
}

// Problems lists what the tap could not understand or do, each kind once with
// its number of times. Such bytes were passed through untouched, and the
// history lacks what was in them: a verdict over a run with problems needs a look.
func (t *Tap) Problems() []string { return t.problems.list() }

// problems collects messages; there are at most maxProblems different ones.
type problems struct {
	mu     sync.Mutex
	order  []string
	counts map[string]int
}

const maxProblems = 100

func (p *problems) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts = map[string]int{}
	}
	if p.counts[text] == 0 {
		if len(p.order) == maxProblems {
			return
		}
		p.order = append(p.order, text)
	}
	p.counts[text]++
}

func (p *problems) list() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]string, 0, len(p.order))
	for _, text := range p.order {
		if n := p.counts[text]; n > 1 {
			text = fmt.Sprintf("%s (%d times)", text, n)
		}
		out = append(out, text)
	}
	return out
}
