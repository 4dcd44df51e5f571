package consumer

import (
	"context"
	"maps"
	"time"
)

// drain starts nothing more, apart from what lies below a record that is done.
func (p *partition) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != active {
		return
	}
	p.state = draining
	close(p.stopping)
	p.readyAll()
	p.checkDrained()
}

// checkDrained ends a drain that has nothing left to do. It does not wait for what has stalled.
func (p *partition) checkDrained() {
	if p.state != draining || p.running > p.stuck {
		return
	}
	left := false
	p.eachLane(func(l *lane) {
		blocked := l.waiting && l.timer == nil
		left = left || p.hole(l) && !blocked && !l.stuck && !p.gated
	})
	if left {
		return
	}
	select {
	case <-p.drained:
	default:
		close(p.drained)
	}
}

// fence ends the epoch: from here on nothing of it starts, is acknowledged or
// committed, and its handler calls are cancelled. It may be called again.
func (p *partition) fence(cause error) {
	p.cancel(cause)
	p.seal()
}

// seal is fence without the cancelling.
func (p *partition) seal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == fenced {
		return
	}
	if p.state == active {
		close(p.stopping)
	}
	p.state = fenced
	p.log.save(p.topicPartition, &p.track, p.known, p.cfg.transactional())
	p.setPaused(false)
	p.eachLane(func(l *lane) {
		if l.timer != nil {
			l.timer.Stop()
		}
	})
	p.main, p.keys, p.retries, p.held, p.ahead = &lane{part: p}, nil, nil, nil, nil
	p.track = tracker{next: p.track.next, passed: p.track.passed}
	select {
	case <-p.drained:
	default:
		close(p.drained)
	}
	if p.running == 0 && !p.gated {
		close(p.idle)
	}
}

// lostGrace is how long handler calls have to end after a loss: those that watch
// Stopping before they are cancelled, and all of them after it.
const lostGrace = 250 * time.Millisecond

// loseAll fences partitions that were lost, and waits a moment for their handler
// calls to end, before this member joins anew. An effect that is under way is
// better ended than cut off: cut off, it may still arrive, and later.
func loseAll(ctx context.Context, parts []*partition, cause error) {
	for _, p := range parts {
		if p.watched.Load() {
			p.seal()
		} else {
			p.fence(cause)
		}
	}
	awaitIdle(ctx, parts, lostGrace)
	for _, p := range parts {
		p.fence(cause)
	}
	awaitIdle(ctx, parts, lostGrace)
}

// awaitIdle waits until no handler call of parts is running; false if some still
// are after d.
func awaitIdle(ctx context.Context, parts []*partition, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return await(ctx, parts, func(p *partition) <-chan struct{} { return p.idle })
}

// drainAll drains partitions, until soft at the latest; then it cancels what
// still runs, and waits until hard for that to return. It tells whether all work
// in flight has ended.
func drainAll(soft, hard context.Context, parts []*partition, cause error) bool {
	for _, p := range parts {
		p.drain()
	}
	if awaitAll(soft, parts) {
		return true
	}
	for _, p := range parts {
		p.abandon(cause)
	}
	return awaitAll(hard, parts)
}

// abandon cancels what still runs. It can still say what it has done, and that
// is committed.
func (p *partition) abandon(cause error) {
	p.cancel(cause)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkDrained()
}

func awaitAll(ctx context.Context, parts []*partition) bool {
	return await(ctx, parts, func(p *partition) <-chan struct{} { return p.drained })
}

// await waits for a channel of each of parts to be closed; false if ctx ended before.
func await(ctx context.Context, parts []*partition, of func(*partition) <-chan struct{}) bool {
	for _, p := range parts {
		ch := of(p)
		select {
		case <-ch:
			continue // even if ctx has ended as well
		default:
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// snapshot is what a commit says of one epoch.
type snapshot struct {
	part   *partition
	offset int64  // next to handle
	epoch  int32  // leader epoch of the record before
	note   string // of attempts
}

// snapshot returns what is to be committed, if anything: a position, or attempts
// at records above it that the group does not know of yet.
func (p *partition) snapshot() (snapshot, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == fenced || p.cfg.transactional() {
		return snapshot{}, false
	}
	s := snapshot{p, p.track.next, p.track.epoch, p.note()}
	if !p.track.passed {
		s.offset, s.epoch = p.place.begin, -1
	}
	return s, p.uncommitted() || s.note != p.noted && s.offset >= 0
}

// current tells whether a commit that is about to leave as this member may
// still speak for the epoch.
func (p *partition) current(member string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state != fenced && p.member == member
}

// answered takes the end of a commit of offset: lanes that were held for it go
// on, whether the broker took it or it will be tried again.
func (p *partition) answered(s snapshot, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offset := s.offset
	if ok {
		p.noted = s.note
		p.committed = max(p.committed, offset)
		p.place.committed = offset
	}
	left := p.held[:0]
	for _, l := range p.held {
		if l.held > offset {
			left = append(left, l)
			continue
		}
		l.held = 0
		p.tidy(l)
		p.ready(l)
	}
	clear(p.held[len(left):])
	p.held = left
}

// sealTransaction takes the end of a transaction: what is done is committed.
func (p *partition) sealTransaction() (offset int64, moved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if moved = p.uncommitted(); moved {
		p.committed, p.place.committed = p.track.next, p.track.next
		maps.DeleteFunc(p.known, func(offset int64, _ trial) bool { return offset < p.committed })
	}
	return p.committed, moved
}

// clean tells whether all that is done was committed.
func (p *partition) clean() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.uncommitted()
}

// uncommitted tells whether the watermark is beyond what is committed, under the mutex.
func (p *partition) uncommitted() bool { return p.track.passed && p.track.next > p.committed }
