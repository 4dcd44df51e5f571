package consumer

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Transactions against the model: attempts are counted over those that are aborted,
// and what readers of committed records see of a record is there once, if and only
// if its offset is committed.
func TestTransactionsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawModelConfig(t)
		cfg.TransactionalID, cfg.CommitEachBatch = "tx", false
		partitions := rapid.IntRange(1, 2).Draw(t, "partitions")
		rapid.SyncTest(t, func(t *rapid.T) {
			x := newMachine(cfg, partitions)
			t.Cleanup(x.end)
			for _, p := range x.parts {
				x.takeOver(p)
			}
			all := x.actions()
			actions := map[string]func(*rapid.T){
				"poll": x.poll, "commit": x.commitTx, "commit 2": x.commitTx, "abort": x.abortTx, "refuse": x.refuse, "lose": x.loseTx,
			}
			for _, name := range []string{"", "end", "end 2", "end well", "letter", "time", "assign"} {
				actions[name] = all[name]
			}
			t.Repeat(actions)
			t.Repeat(actions)
			x.windUp(t, x.endOneTx)
			x.checkVisible(t)
		})
	})
}

// poll begins a transaction with records of any partitions.
func (x *machine) poll(t *rapid.T) {
	if x.owner.tx != nil {
		t.Skip("in a transaction")
	}
	counts := make([]int, len(x.parts))
	for i, p := range x.parts {
		if ep := p.owned(); ep != nil && ep.state == active {
			counts[i] = rapid.IntRange(0, 4).Draw(t, "records")
			if missing := ep.at + counts[i] - len(p.log); missing > 0 {
				p.drawLog(t, missing)
			}
		}
	}
	x.beginTx(t, counts)
}

func (x *machine) beginTx(t *rapid.T, counts []int) {
	tx := &modelTx{outputs: make(map[topicPartition]map[int64]int)}
	for i, p := range x.parts {
		ep := p.owned()
		if ep == nil {
			continue
		}
		tx.epochs = append(tx.epochs, ep)
		for _, r := range p.log[ep.at:min(ep.at+counts[i], len(p.log))] {
			if !r.control {
				tx.left++
			}
		}
		if got := ep.part.suspects(); got != (len(p.refused) > 0) {
			t.Fatalf("suspects: %v, want %v", got, p.refused)
		}
		tx.careful = tx.careful || len(p.refused) > 0
	}
	if slices.Max(counts) == 0 || len(tx.epochs) == 0 {
		t.Skip("nothing came")
	}
	x.owner.mu.Lock()
	x.owner.tx = tx
	x.owner.mu.Unlock()
	for i, p := range x.parts {
		if ep := p.owned(); ep != nil && counts[i] > 0 && ep.at < len(p.log) {
			x.deliverTo(t, ep, counts[i])
		}
	}
}

// whole tells whether all that a transaction has is done, in epochs that last.
func (x *machine) whole(t *rapid.T) bool {
	tx := x.owner.tx
	if tx == nil {
		return false
	}
	done := true
	for _, ep := range tx.epochs {
		if ep.state == fenced {
			return false
		}
		done = done && ep.pending() == 0
	}
	if done != (tx.left == 0) {
		t.Fatalf("done: %v, with %d records left", done, tx.left)
	}
	return done
}

func (x *machine) commitTx(t *rapid.T) {
	if !x.whole(t) {
		t.Skip("not done")
	}
	tx := x.owner.tx
	x.closeTx()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, ep := range tx.epochs {
		p := ep.of
		offset, moved := ep.part.sealTransaction()
		next, passed := ep.watermark()
		if want := passed && next > ep.committed; moved != want || moved && offset != next {
			t.Fatalf("committed %d (%v), want %d (%v)", offset, moved, next, want)
		}
		want := make(map[int64]int)
		for _, it := range ep.items {
			switch o := it.rec.Offset; {
			case o < p.committed || it.lane == nil:
			case it.aside && x.cfg.Poison.policy() == PoisonSkip:
				p.skipped[o] = true
			default:
				want[o] = 1
				p.visible[o]++
			}
		}
		if got := tx.outputs[p.tp]; !maps.Equal(got, want) {
			t.Fatalf("%v: the outputs of %v are committed, want %v", p.tp, got, want)
		}
		if moved {
			p.committed, ep.committed = next, next
			maps.DeleteFunc(p.memory, func(o int64, _ int) bool { return o < next })
			maps.DeleteFunc(p.refused, func(o int64, _ bool) bool { return o < next })
		}
	}
}

func (x *machine) closeTx() {
	x.owner.mu.Lock()
	defer x.owner.mu.Unlock()
	x.owner.tx = nil
}

// abortTx ends a transaction in vain: all go on from what is committed.
func (x *machine) abortTx(t *rapid.T) {
	if x.owner.tx == nil {
		t.Skip("in no transaction")
	}
	for _, p := range x.parts {
		x.fenceOne(p.owned(), errAborted)
	}
	x.closeTx()
	for _, p := range x.parts {
		ep := x.assign(p, p.committed)
		ep.from = Unknown
	}
}

// loseTx is an abort with a partition that does not come back.
func (x *machine) loseTx(t *rapid.T) {
	p := x.drawEpoch(t, active).of
	if x.owner.tx != nil {
		x.abortTx(t)
	}
	x.fenceOne(p.owned(), errLost)
}

// refuse is an output that the broker does not take.
func (x *machine) refuse(t *rapid.T) {
	tx := x.owner.tx
	if tx == nil {
		t.Skip("in no transaction")
	}
	var items []*modelItem
	for _, ep := range tx.epochs {
		for _, it := range ep.items {
			if it.done && !it.aside && it.lane != nil && it.rec.Offset >= ep.of.committed && ep.state != fenced {
				items = append(items, it)
			}
		}
	}
	if len(items) == 0 {
		t.Skip("no outputs")
	}
	it := items[rapid.IntRange(0, len(items)-1).Draw(t, "output")]
	p, offset := it.ep.of, it.rec.Offset
	it.ep.part.blame(offset, errModel, tx.careful)
	if n := p.memory[offset]; tx.careful || n+2 <= x.cfg.Retry.Attempts {
		p.memory[offset] = n + 1
	}
	p.refused[offset] = true
	x.abortTx(t)
}

// endOneTx does one thing that is left to do; false if there is none.
func (x *machine) endOneTx(t *rapid.T) bool {
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
	if x.owner.tx != nil {
		lasts := !slices.ContainsFunc(x.owner.tx.epochs, func(ep *modelEpoch) bool { return ep.state == fenced })
		switch {
		case x.whole(t):
			x.commitTx(t)
		case lasts && !x.stuck():
			x.hopOn(t, 16*hop)
		default:
			x.abortTx(t)
			return x.stops == 0 // otherwise it would stop again and again
		}
		return true
	}
	counts := make([]int, len(x.parts))
	more := false
	for i, p := range x.parts {
		ep := p.owned()
		if ep == nil {
			x.takeOver(p)
			return true
		}
		counts[i] = 4
		more = more || ep.at < len(p.log)
	}
	if more {
		x.beginTx(t, counts)
	}
	return more
}

func (x *machine) stuck() bool {
	for _, ep := range x.owner.tx.epochs {
		if slices.ContainsFunc(ep.allLanes(), func(l *modelLane) bool { return len(l.items) > 0 && l.blocked }) {
			return true
		}
	}
	return false
}

func (x *machine) checkVisible(t *rapid.T) {
	for _, p := range x.parts {
		for _, r := range p.log {
			want := 1
			if r.control || p.skipped[r.offset] || r.offset >= p.committed {
				want = 0
			}
			if p.visible[r.offset] != want {
				t.Fatalf("%d outputs of %d are visible, want %d, with %d committed", p.visible[r.offset], r.offset, want, p.committed)
			}
		}
	}
}
