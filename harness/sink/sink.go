package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

// Config is what a sink needs.
type Config struct {
	Log    *history.Log // required unless Quiet
	Ledger Ledger       // required
	Topic  string       // of the workload's records
	// Idempotent: a repeat is answered with "duplicate". It is counted and
	// in the history all the same.
	Idempotent bool
	// IDPointer is the JSON pointer to the id in a body; "" is /id, which is
	// always tried as well.
	IDPointer string
	// Quiet writes no events, for load. Rules work as ever.
	Quiet bool
	// Count, if set, is told of every applied effect before it is answered, from many goroutines, and returns how often it
	// was applied before. The sink then remembers no record itself, and knows no poison: a load run has more records
	// than memory. It must be quick and must not call the sink.
	Count func(Observation) (repeat int)
}

// Ledger tells which record an effect is of, see workload.Ledger.
type Ledger interface {
	ByID(id string) (workload.Entry, bool)
	ByHash(sum [32]byte) (workload.Entry, bool)
	ByRecord(partition int32, offset int64) (workload.Entry, bool)
	AwaitRecord(ctx context.Context, partition int32, offset int64) (workload.Entry, bool)
}

// Observation is one applied effect.
type Observation struct {
	Entry       workload.Entry // its Offset is -1 if the producer has no answer yet
	Member      string
	Incarnation int
	Begun, At   time.Time // it came, and it was applied
}

// Sink is the running server. All methods may be called from any goroutine.
type Sink struct {
	cfg     Config
	pointer []string
	base    string // URL without path
	server  *http.Server
	served  chan struct{}
	rules   *rules
	records *records

	mu       sync.RWMutex
	members  map[string]*member
	lives    map[life]*incarnation
	closed   bool
	closing  chan struct{}
	requests sync.WaitGroup
}

type life struct {
	member      string
	incarnation int
}

// Bounds on clients.
const (
	headerTimeout = 5 * time.Second  // for the headers of a request
	bodyTimeout   = 30 * time.Second // for its body
	idleTimeout   = 5 * time.Minute  // between two requests of a connection
	writeTimeout  = time.Minute      // for an answer; small ones wait in the socket of a frozen client
	maxHeader     = 64 << 10
	// MaxBody bounds the body of a request, in bytes.
	MaxBody = 16 << 20
	// MaxBatch bounds the effects in one batch.
	MaxBatch = 100_000
)

// Start opens a sink on a free port of the loopback interface.
func Start(cfg Config) (*Sink, error) {
	if cfg.Ledger == nil || cfg.Log == nil && !cfg.Quiet {
		return nil, errors.New("sink: a ledger, and a log unless it is quiet, are required")
	}
	if cfg.IDPointer == "" {
		cfg.IDPointer = "/id"
	}
	pointer, err := parsePointer(cfg.IDPointer)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sink: listen on the loopback interface: %w", err)
	}
	s := &Sink{
		cfg: cfg, pointer: pointer, base: "http://" + ln.Addr().String(), served: make(chan struct{}), rules: new(rules), records: newRecords(),
		members: make(map[string]*member), lives: make(map[life]*incarnation), closing: make(chan struct{}),
	}
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0), // what clients do wrong is in the history, or not our business
	}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(ln) // ends by Close only
	}()
	return s, nil
}

// graceful is how long Close lets clients read the answers that are on their way.
const graceful = time.Second

// Close ends the sink: what is held is dropped, connections are closed, and it
// waits until no request is left. The error is that of ctx, if some are.
func (s *Sink) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, graceful)
	defer cancel()
	if s.server.Shutdown(bounded) != nil {
		_ = s.server.Close() // slow clients are cut off
	}
	done := make(chan struct{})
	go func() {
		s.requests.Wait()
		<-s.served
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sink: requests are still under way: %w", ctx.Err())
	}
}

// Open lets an incarnation live, and returns the URL for its effects. Opening
// it again changes nothing; one that has ended stays dead.
func (s *Sink) Open(memberName string, number int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.member(memberName)
	at := life{memberName, number}
	if s.lives[at] == nil {
		s.lives[at] = &incarnation{member: m, number: number, ended: make(chan struct{})}
	}
	return fmt.Sprintf("%s/effects/%s/%d", s.base, url.PathEscape(memberName), number)
}

// End declares an incarnation dead: what it has waiting is dropped without an
// answer, and so is all that still comes. When End returns, no further effect
// of it can be done, and what was dropped is in the history.
func (s *Sink) End(memberName string, number int) {
	s.mu.RLock()
	inc := s.lives[life{memberName, number}]
	s.mu.RUnlock()
	if inc != nil {
		inc.end()
	}
}

// Add arms a rule.
func (s *Sink) Add(r Rule) *Armed { return s.rules.add(r) }

// Effects is how many effects of a member, in all its lives, were applied, repeats included.
func (s *Sink) Effects(memberName string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if m := s.members[memberName]; m != nil {
		return int(m.applied.Load())
	}
	return 0
}

// Applied is how often the effect of a message was applied.
func (s *Sink) Applied(id string) (n int) {
	s.records.with(id, func(r *record) { n = r.applied })
	return n
}

// Gate is the gate of a member, for fault steps that are not rules.
func (s *Sink) Gate(memberName string) *Gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.member(memberName).gate
}

// member returns the member of that name, with mu held.
func (s *Sink) member(name string) *member {
	m := s.members[name]
	if m == nil {
		m = &member{name: name, gate: newGate()}
		s.members[name] = m
	}
	return m
}

// incarnation finds a life. One that was never opened is like one that has ended.
func (s *Sink) incarnation(memberName string, number int) *incarnation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if inc := s.lives[life{memberName, number}]; inc != nil {
		return inc
	}
	return &incarnation{member: &member{name: memberName}, number: number, dead: true}
}
