package tap

import (
	"sync"
	"time"
)

// gate is what every byte of a member passes on its way. Freezing shuts it.
type gate struct {
	mu     sync.Mutex
	frozen chan struct{} // closed by thaw; nil while open
	active int           // writes in progress
	idle   chan struct{} // closed when active falls to 0 while settle waits
}

// enter waits until the gate is open and reports whether it is: false means
// that quit came first. Each true needs a leave.
func (g *gate) enter(quit <-chan struct{}) bool {
	for {
		g.mu.Lock()
		frozen := g.frozen
		if frozen == nil {
			g.active++
			g.mu.Unlock()
			return true
		}
		g.mu.Unlock()
		select {
		case <-frozen:
		case <-quit:
			return false
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	if g.active == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// settleWait bounds the wait of settle for writes in progress. A write that
// takes longer is stuck because its reader does not read, and is as good as frozen.
const settleWait = 250 * time.Millisecond

// shut closes the gate to new writes.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen == nil {
		g.frozen = make(chan struct{})
	}
}

// settle waits until the writes in progress are over.
func (g *gate) settle() {
	g.mu.Lock()
	if g.active == 0 {
		g.mu.Unlock()
		return
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	bound := time.NewTimer(settleWait)
	defer bound.Stop()
	select {
	case <-idle:
	case <-bound.C:
	}
}

func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen != nil {
		close(g.frozen)
		g.frozen = nil
	}
}
