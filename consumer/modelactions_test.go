package consumer

import (
	"context"
	"errors"
	"slices"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func (x *machine) actions() map[string]func(*rapid.T) {
	end := func(t *rapid.T) { // several names, so that it is drawn more often
		c := x.drawCall(t)
		x.endCall(c, drawPlan(t, len(c.items)))
	}
	return map[string]func(*rapid.T){
		"":          x.check,
		"deliver":   x.deliverSome,
		"deliver 2": x.deliverSome,
		"end":       end,
		"end 2":     end,
		"end 3":     end,
		"end well":  func(t *rapid.T) { c := x.drawCall(t); x.endCall(c, plan{of: make([]told, len(c.items))}) },
		"letter":    x.answerLetter,
		"time": func(t *rapid.T) {
			x.hopOn(t, time.Duration(rapid.SampledFrom([]int{1, 2, 4, 8, 30}).Draw(t, "hops"))*hop)
		},
		"commit":  x.commitOne,
		"answer":  x.answerCommit,
		"assign":  x.assignOne,
		"lose":    x.loseSome,
		"revoke":  x.revokeOne,
		"give up": func(t *rapid.T) { x.giveUp(t, x.drawDrained(t), false) },
		"rewind":  x.rewind,
		"restart": x.restart,
	}
}

func (x *machine) drawEpoch(t *rapid.T, states ...partState) *modelEpoch {
	var eps []*modelEpoch
	for _, p := range x.parts {
		if ep := p.owned(); ep != nil && slices.Contains(states, ep.state) {
			eps = append(eps, ep)
		}
	}
	if len(eps) == 0 {
		t.Skip("no epoch")
	}
	return eps[rapid.IntRange(0, len(eps)-1).Draw(t, "partition")]
}

// drawCall draws one of the handler calls that run.
func (x *machine) drawCall(t *rapid.T) *modelCall {
	synctest.Wait() // an action that was skipped is not followed by a check
	x.mu.Lock()
	defer x.mu.Unlock()
	var calls []*modelCall
	for _, c := range x.calls {
		if c.poison == nil {
			calls = append(calls, c)
		}
	}
	if len(calls) == 0 {
		t.Skip("no call")
	}
	slices.SortFunc(calls, func(a, b *modelCall) int {
		if d := int(a.ep.of.tp.partition - b.ep.of.tp.partition); d != 0 {
			return d
		}
		return int(a.items[0].rec.Offset - b.items[0].rec.Offset)
	})
	return calls[rapid.IntRange(0, len(calls)-1).Draw(t, "call")]
}

func (x *machine) endCall(c *modelCall, p plan) {
	x.mu.Lock()
	x.settle(c, p)
	x.mu.Unlock()
	c.back <- p
}

func (x *machine) deliverSome(t *rapid.T) {
	ep := x.drawEpoch(t, active, draining)
	n := rapid.IntRange(1, 6).Draw(t, "records")
	if ep.paused && (ep.pending() >= 2*x.cfg.MaxInFlight || rapid.IntRange(0, 3).Draw(t, "polled before") > 0) {
		t.Skip("paused")
	}
	if missing := ep.at + n - len(ep.of.log); missing > 0 {
		ep.of.drawLog(t, missing)
	}
	x.deliverTo(t, ep, n)
}

func (x *machine) deliverTo(t *rapid.T, ep *modelEpoch, n int) {
	x.mu.Lock()
	recs := ep.fetch(n)
	x.deliver(ep, recs)
	x.mu.Unlock()
	if err := ep.part.deliver(recs); err != nil {
		t.Fatalf("deliver: %v", err)
	}
}

func (x *machine) answerLetter(t *rapid.T) {
	l := x.drawLetter()
	if l == nil {
		t.Skip("no letter")
	}
	x.answerOne(l, rapid.Bool().Draw(t, "acknowledged"))
}

// drawLetter is the oldest dead letter that somebody still waits for.
func (x *machine) drawLetter() *modelLetter {
	x.owner.letters = slices.DeleteFunc(x.owner.letters, func(l *modelLetter) bool { return !slices.Contains(x.calls, l.c) })
	if len(x.owner.letters) == 0 {
		return nil
	}
	return x.owner.letters[0]
}

func (x *machine) answerOne(l *modelLetter, ok bool) {
	x.owner.letters = slices.DeleteFunc(x.owner.letters, func(other *modelLetter) bool { return other == l })
	x.mu.Lock()
	if ok && x.owner.tx != nil {
		x.owner.tx.add(l.c.ep.of.tp, l.c.poison[0].rec.Offset)
	}
	x.lettered(l.c, ok)
	x.mu.Unlock()
	if ok {
		l.answer <- nil
		return
	}
	l.answer <- errLetters
}

// commitOne sends a commit, of one epoch, and the broker may take it.
func (x *machine) commitOne(t *rapid.T) {
	if x.commit != nil {
		t.Skip("one is under way")
	}
	ep := x.drawEpoch(t, active, draining)
	if !x.send(t, ep, rapid.Bool().Draw(t, "taken")) {
		t.Skip("nothing to commit")
	}
}

func (x *machine) send(t *rapid.T, ep *modelEpoch, taken bool) bool {
	snap, ok := ep.part.snapshot()
	x.mu.Lock()
	defer x.mu.Unlock()
	offset, note, want := x.snapshot(ep)
	if ok != want || ok && (snap.offset != offset || snap.note != note) {
		t.Fatalf("commits %d %q (%v), want %d %q (%v)", snap.offset, snap.note, ok, offset, note, want)
	}
	if !ok {
		return false
	}
	if !ep.part.current("m") || ep.part.current("another") {
		t.Fatal("a commit may be sent by another member")
	}
	x.commit = &modelCommit{ep, snap, taken}
	if taken {
		ep.of.committed, ep.of.note = offset, note
	}
	return true
}

func (x *machine) answerCommit(t *rapid.T) {
	if x.commit == nil {
		t.Skip("none is under way")
	}
	x.answer(x.commit.taken && rapid.Bool().Draw(t, "arrives"))
}

func (x *machine) answer(ok bool) {
	c := x.commit
	x.commit = nil
	x.mu.Lock()
	x.answered(c.ep, c.snap.offset, c.snap.note, ok)
	x.mu.Unlock()
	c.ep.part.answered(c.snap, ok)
}

func (x *machine) assignOne(t *rapid.T) {
	for _, p := range x.parts {
		if p.owned() == nil {
			x.takeOver(p)
			return
		}
	}
	t.Skip("all are assigned")
}

func (x *machine) loseSome(t *rapid.T) {
	ep := x.drawEpoch(t, active, draining)
	x.drains = slices.DeleteFunc(x.drains, func(r *modelRevoke) bool { return r.ep == ep })
	if rapid.Bool().Draw(t, "at once") {
		x.fenceOne(ep, errLost)
		return
	}
	x.loseOne(ep)
	x.hopOn(t, hop)
}

func (x *machine) revokeOne(t *rapid.T) {
	x.startDrain(x.drawEpoch(t, active))
}

func (x *machine) startDrain(ep *modelEpoch) {
	r := &modelRevoke{ep, make(chan bool, 1)}
	x.drains = append(x.drains, r)
	x.mu.Lock()
	ep.softAt = time.Now().Add(softDrain)
	x.drain(ep)
	x.mu.Unlock()
	go func() {
		soft, cancelSoft := context.WithTimeout(context.Background(), softDrain)
		defer cancelSoft()
		hard, cancelHard := context.WithTimeout(context.Background(), hardDrain)
		defer cancelHard()
		r.done <- drainAll(soft, hard, []*partition{ep.part}, errRevoked)
	}()
}

// drawDrained draws a revoke that has nothing to wait for any more.
func (x *machine) drawDrained(t *rapid.T) *modelRevoke {
	for _, r := range x.drains {
		if len(r.done) > 0 {
			return r
		}
	}
	t.Skip("no drain has ended")
	return nil
}

// giveUp is the end of a revoke: a last commit, and the fence.
func (x *machine) giveUp(t *rapid.T, r *modelRevoke, surely bool) {
	x.drains = slices.DeleteFunc(x.drains, func(other *modelRevoke) bool { return other == r })
	hard := r.ep.softAt.Add(hardDrain - softDrain)
	switch drained := <-r.done; {
	case drained && !r.ep.drained:
		t.Fatal("not drained, though the drain says so")
	case !drained && r.ep.drained && r.ep.drainedAt.Before(hard):
		t.Fatalf("drained %v before its time was over, though the drain says no", hard.Sub(r.ep.drainedAt))
	}
	if x.commit != nil {
		x.answer(x.commit.taken)
	}
	if x.send(t, r.ep, surely || rapid.IntRange(0, 3).Draw(t, "refused") > 0) {
		x.answer(x.commit.taken)
	}
	next, passed := r.ep.watermark()
	if want := !passed || next <= r.ep.committed; r.ep.part.clean() != want {
		t.Fatalf("clean: %v, want %v", !want, want)
	}
	x.fenceOne(r.ep, errRevoked)
	if r.ep.part.current("m") {
		t.Fatal("a commit may be sent after the fence")
	}
	if _, ok := r.ep.part.snapshot(); ok {
		t.Fatal("something is to be committed after the fence")
	}
}

// rewind is a position that goes back: the log was truncated.
func (x *machine) rewind(t *rapid.T) {
	ep := x.drawEpoch(t, active)
	if len(ep.items) == 0 || x.commit != nil {
		t.Skip("nowhere to go back to")
	}
	back := rapid.IntRange(0, ep.at-1).Draw(t, "to")
	old := ep.fetchAt(back)
	if err := ep.part.deliver(old); !errors.Is(err, errRewound) {
		t.Fatalf("an old record: %v", err)
	}
	oldest := ep.oldest()
	open := oldest != nil && oldest.rec.Offset < old[0].Offset
	if ep.part.openBelow(old[0].Offset) != open {
		t.Fatalf("records below %d are not done: %v, want %v", old[0].Offset, !open, open)
	}
	x.fenceOne(ep, errRewound)
	if open { // the session begins anew
		x.takeOver(ep.of)
		return
	}
	next := x.assign(ep.of, Unknown)
	next.part.inherit(ep.part)
	next.at = back
	x.deliverTo(t, next, 1)
}

// restart is the end of the process, and the start of another one.
func (x *machine) restart(t *rapid.T) {
	for _, p := range x.parts {
		x.fenceOne(p.owned(), errShutdown)
	}
	for len(x.calls) > 0 {
		c := x.calls[0]
		x.endCall(c, plan{of: make([]told, len(c.items))})
	}
	x.check(t)
	x.commit, x.drains, x.owner.letters = nil, nil, nil
	x.mu.Lock()
	for _, p := range x.parts {
		p.memory = make(map[int64]int)
	}
	x.mu.Unlock()
	x.start()
	for _, p := range x.parts {
		x.takeOver(p)
	}
}

// endOne does one thing that is left to do; false if there is none.
func (x *machine) endOne(t *rapid.T) bool {
	if l := x.drawLetter(); l != nil {
		x.answerOne(l, true)
		return true
	}
	for _, c := range x.calls {
		if c.poison == nil {
			x.endCall(c, plan{of: make([]told, len(c.items))})
			return true
		}
	}
	for _, r := range x.drains {
		x.hopOn(t, hardDrain+hop)
		x.giveUp(t, r, true)
		return true
	}
	if x.commit != nil {
		x.answer(x.commit.taken)
		return true
	}
	for _, p := range x.parts {
		ep := p.owned()
		if ep == nil {
			x.takeOver(p)
			return true
		}
		if ep.at < len(p.log) && !ep.paused {
			x.deliverTo(t, ep, len(p.log))
			return true
		}
		if x.send(t, ep, true) {
			return true
		}
		for _, l := range ep.allLanes() {
			if len(l.items) > 0 && !l.blocked && x.inSpan(l.items[0]) {
				x.hopOn(t, 16*hop)
				return true
			}
		}
	}
	return false
}
