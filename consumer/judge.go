package consumer

import "time"

// rest is how the records of a batch that are not done go on.
type rest struct {
	wait    time.Duration // before they are handled again
	single  int           // hand out so many one by one
	blocked bool          // not at all: the consumer is about to stop before the first of them
}

// ruling is what follows from a verdict.
type ruling struct {
	rest
	done, poison []*entry
	retry        *RetryInfo // for the hook; nil if nothing is tried again
}

// judge turns a handler's verdict into what to do, and counts attempts. If the
// epoch was cancelled meanwhile, what is not done was abandoned: that is no
// attempt, and no proof of poison.
func (p *partition) judge(t *task, v verdict) ruling {
	p.mu.Lock()
	defer p.mu.Unlock()
	abandoned := p.ctx.Err() != nil || p.state == fenced
	asked := p.state != active && t.stopping != nil // to stop; not if it was begun in a drain
	if !abandoned && !asked && v.fates[0] == fateUntried {
		v.set(0, ErrStopped) // without this it would spin
	}
	var r ruling
	attempts, down := 0, false
	for i, e := range t.entries {
		fate := v.fates[i]
		if abandoned && fate != fateDone {
			fate = fateUntried
		}
		switch fate {
		case fateDone:
			r.done = append(r.done, e)
			continue
		case fateFailed, fatePoison:
			if e.attempts() == 0 {
				p.failures++
			}
			e.count(v.errs[i])
			p.remember(e)
			if fate == fatePoison || e.attempts() >= p.cfg.Retry.Attempts {
				r.poison = append(r.poison, e)
				continue
			}
			attempts = max(attempts, e.attempts())
		case fateIsolate:
			r.single = len(t.entries)
		case fateUnavailable:
			down = true
		case fateUntried:
			continue
		}
		e.alone = true
		if r.retry == nil {
			r.retry = &RetryInfo{Topic: p.topic, Partition: p.partition, Offset: e.rec.Offset, Attempts: e.attempts(), Err: v.errs[i]}
		}
	}
	if down { // once for the batch, or the back-off would grow by its size
		t.lane.down++
		attempts = max(attempts, t.lane.down)
	}
	if len(r.done) > 0 {
		t.lane.down = 0
	}
	if attempts > 0 {
		r.wait = p.cfg.Retry.after(attempts, v.after)
		r.retry.Wait = r.wait
	}
	return r
}

// remember keeps the attempts at a record for the case that its transaction is
// aborted after it was done.
func (p *partition) remember(e *entry) {
	if p.cfg.transactional() {
		p.know(e.rec.Offset, e.tried())
	}
}

// know notes attempts at a record that may be delivered, or be so again.
func (p *partition) know(offset int64, tr trial) {
	if p.known == nil {
		p.known = make(map[int64]trial)
	}
	p.known[offset] = tr
}
