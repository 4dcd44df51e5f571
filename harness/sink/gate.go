package sink

import (
	"context"
	"sync"
)

// Gate lets the effects of one member pass side by side, or nobody. Effects
// pass as readers; a Hold, and whoever calls Lock, has it alone. Those who want it alone
// come first, one after the other, so two fault steps never collide.
type Gate struct {
	mu      sync.Mutex
	readers int
	alone   bool          // someone has it alone
	wanted  int           // who wait to have it alone
	waiters int           // who wait for changed
	changed chan struct{} // closed and replaced when the state changes and someone waits
}

func newGate() *Gate { return &Gate{changed: make(chan struct{})} }

// Lock waits until every effect that has passed the gate has ended, and lets
// no other pass until Unlock. An error is that of ctx; the gate is then not locked.
func (g *Gate) Lock(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.lockAlone(stops{ctx.Done()}) {
		return ctx.Err()
	}
	return nil
}

// Unlock ends a Lock.
func (g *Gate) Unlock() { g.leave(true) }

// stops end a wait, any of them; nil never does.
type stops [3]<-chan struct{}

// lockAlone is Lock with mu held. It returns false if the wait was ended.
func (g *Gate) lockAlone(until stops) bool {
	g.wanted++
	ok := g.await(until, func() bool { return g.readers == 0 && !g.alone })
	g.wanted--
	if !ok {
		g.notify()
		return false
	}
	g.alone = true
	return true
}

// enter passes the gate. Whether the effect passes beside others or needs
// the gate for itself is asked of choose, once, at the moment at which it is its turn:
// between that answer and the gate closing nobody slips through. If the wait
// was ended the effect has not passed; asked tells whether choose was called.
func (g *Gate) enter(until stops, choose func() (alone bool)) (alone, asked, passed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.await(until, func() bool { return !g.alone && g.wanted == 0 }) {
		return false, false, false
	}
	if choose() {
		return true, true, g.lockAlone(until)
	}
	g.readers++
	return false, true, true
}

// leave ends an enter.
func (g *Gate) leave(alone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if alone {
		g.alone = false
	} else {
		g.readers--
	}
	g.notify()
}

// await waits until ready, with mu held but for the waiting itself. It returns
// false if the wait was ended.
func (g *Gate) await(until stops, ready func() bool) bool {
	for !ready() {
		changed := g.changed
		g.waiters++
		g.mu.Unlock()
		ended := false
		select {
		case <-changed:
		case <-until[0]:
			ended = true
		case <-until[1]:
			ended = true
		case <-until[2]:
			ended = true
		}
		g.mu.Lock()
		g.waiters--
		if ended {
			return false
		}
	}
	return true
}

func (g *Gate) notify() {
	if g.waiters > 0 {
		close(g.changed)
		g.changed = make(chan struct{})
	}
}
