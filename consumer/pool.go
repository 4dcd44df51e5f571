package consumer

import "sync"

// pool runs handler calls: at most limit at once, lanes in the order in which
// they became ready. Workers exist only while there is work.
type pool struct {
	limit int
	work  func(*lane)

	mu      sync.Mutex
	ready   []*lane
	next    int // index of the first lane in ready
	workers int
	idle    *sync.Cond // workers is 0
}

func newPool(limit int, work func(*lane)) *pool {
	p := &pool{limit: limit, work: work}
	p.idle = sync.NewCond(&p.mu)
	return p
}

// push queues a lane; the caller has checked that it is not queued. Every lane in the
// queue has a worker that comes for it, unless all are at work: a new one, or the
// caller itself, if it is a worker that returns.
func (p *pool) push(l *lane, returning bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = append(p.ready, l)
	if !returning && p.workers < p.limit {
		p.workers++
		go p.run()
	}
}

func (p *pool) run() {
	for {
		l := p.pop()
		if l == nil {
			return
		}
		p.work(l)
	}
}

// pop returns the next lane, or nil: then the worker that asked has ended.
func (p *pool) pop() *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == len(p.ready) {
		p.ready, p.next = p.ready[:0], 0
		p.workers--
		if p.workers == 0 {
			p.idle.Broadcast()
		}
		return nil
	}
	l := p.ready[p.next]
	p.ready[p.next] = nil
	p.next++
	if p.next > 1024 && p.next*2 > len(p.ready) { // a queue that never runs empty must not grow for ever
		n := copy(p.ready, p.ready[p.next:])
		clear(p.ready[n:])
		p.ready, p.next = p.ready[:n], 0
	}
	return l
}

// wait returns a channel that is closed when no worker is left.
func (p *pool) wait() <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		defer close(ch)
		p.mu.Lock()
		defer p.mu.Unlock()
		for p.workers > 0 {
			p.idle.Wait()
		}
	}()
	return ch
}
