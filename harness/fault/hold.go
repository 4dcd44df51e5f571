package fault

import (
	"context"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/sink"
)

// midBatch is after how many effects a batch of the given size is cut. It must
// not be a multiple of the batch size: a cut between two batches finds
// everything committed and shows nothing.
func midBatch(batchSize int) int {
	switch {
	case batchSize <= 2:
		return 1
	case batchSize <= 6:
		return 2
	}
	return batchSize/3 + 1
}

// holdMidBatch stops a member as a whole after so many effects, in the middle of a
// batch: some effects of the batch are done, the rest is not, and the member
// waits for an answer. It returns the event of the effect that is held.
func holdMidBatch(ctx context.Context, env *Env, member string, after int) (*sink.Armed, history.Event, error) {
	if err := present(env, member); err != nil {
		return nil, history.Event{}, err
	}
	since := env.Log.Last()
	armed := env.Sink.Add(sink.Rule{Member: member, After: after, Times: 1, Action: sink.Hold{}})
	err := awaitHit(ctx, env, armed, "%s did not reach its %dth effect: too little traffic, or it is stuck", member, after+1)
	var held history.Event
	if err == nil {
		held, err = openEffect(ctx, env, since, member)
	}
	if err != nil {
		armed.Remove()
		return nil, history.Event{}, err
	}
	return armed, held, nil
}

// awaitHit waits until a rule of the sink has acted. Where it does not, the fault is missed, for the reason given; a subject that
// does not call the sink is not waited for.
func awaitHit(ctx context.Context, env *Env, armed *sink.Armed, reason string, args ...any) error {
	if err := blind(env); err != nil {
		return err
	}
	select {
	case <-armed.Hit():
		return nil
	case <-ctx.Done():
		return Missed(reason, args...)
	}
}

// tooFew is why a rule for one of the next effects of a member did not act.
const tooFew = "%s made too few effects"

// openEffect waits for the effect of a member that the sink has taken and not ended, since Seq. It is the newest that the
// member has started where a Hold keeps the whole member at its gate.
func openEffect(ctx context.Context, env *Env, since int64, member string) (history.Event, error) {
	e, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		return e.Kind == history.EffectStarted && e.Member == member && !ended(env.Log, e)
	})
	if err != nil {
		return e, Missed("the effect of %s that is held never showed in the history: %v", member, err)
	}
	return e, nil
}

// cuts is how often holdInsideBatch tries again.
const cuts = 10

// holdInsideBatch is holdMidBatch at a place where the batch in hand has something that is done and
// not committed, so that a crash has something to repeat. A batch may be shorter than
// asked for, and the place then be its very first effect: that is
// released, and the next but one is held. A consumer that commits every record has
// no such place; it is held all the same, and the check redelivered says so.
func holdInsideBatch(ctx context.Context, env *Env, member string, after int) (*sink.Armed, history.Event, error) {
	for try := 1; ; try++ {
		armed, held, err := holdMidBatch(ctx, env, member, after)
		if err != nil || try == cuts || openBelow(env.Log, held) > 0 {
			return armed, held, err
		}
		armed.Remove()
		after = 1
	}
}

// openBelow counts the effects that the member of e has done below e in its
// partition and that no commit has covered or is about to.
func openBelow(log *history.Log, e history.Event) int {
	var committed int64
	done := map[int64]bool{}
	for _, x := range log.Events(0) {
		if x.Partition != e.Partition || x.Seq > e.Seq {
			continue
		}
		switch {
		case x.Kind == history.CommitRequested:
			committed = max(committed, x.Offset)
		case x.Kind == history.EffectDone && x.Member == e.Member && x.Incarnation == e.Incarnation:
			done[x.Offset] = true
		}
	}
	n := 0
	for o := range done {
		if o >= committed && o < e.Offset {
			n++
		}
	}
	return n
}

// ended tells whether the effect that started with e has ended since.
func ended(log *history.Log, e history.Event) bool {
	for _, later := range log.Events(e.Seq) {
		if later.Ref == e.Seq {
			return true
		}
	}
	return false
}

// outwaitAutoCommit waits, while member stands still at held, until its client
// has committed past the held record by the clock, or until any client
// that does so would have. It returns the commit, and whether there was one.
//
// Why: consume a batch, process, let the client commit. The client stores the
// offset of what it handed out, the timer commits it after at most 5 s, and a
// crash then loses what was handed out and not done. A crash before the tick
// only repeats, and would let such a consumer pass.
func outwaitAutoCommit(ctx context.Context, env *Env, held history.Event) (commit history.Event, ahead bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, env.AutoCommit+env.AutoCommit/5)
	defer cancel()
	e, err := env.Log.Await(bounded, held.Seq, func(e history.Event) bool {
		if !sameLife(e, held) {
			return false
		}
		past := e.Kind == history.Committed && e.Outcome == history.Accepted && e.Partition == held.Partition && e.Offset > held.Offset
		return past || e.Kind == history.MemberEnded
	})
	switch {
	case err != nil: // the time is over, and it did not
		return history.Event{}, false, nil
	case e.Kind == history.MemberEnded:
		return history.Event{}, false, Missed("%s ended by itself while its effect %s was held", held.Who(), held.Where())
	}
	return e, true, nil
}

// doneSinceCommit counts the effects of a member that are done and lie at or
// above the last commit of their partition: what a crash now makes it repeat.
func doneSinceCommit(log *history.Log, member string) int {
	committed := map[int32]int64{}
	done := map[int32][]int64{}
	for _, e := range log.Events(0) {
		switch {
		case e.Kind == history.Committed && e.Outcome == history.Accepted:
			committed[e.Partition] = e.Offset
		case e.Kind == history.EffectDone && e.Member == member:
			done[e.Partition] = append(done[e.Partition], e.Offset)
		}
	}
	n := 0
	for p, offsets := range done {
		for _, o := range offsets {
			if o >= committed[p] {
				n++
			}
		}
	}
	return n
}

// pause waits for d: what a fault does lasts that long. The error is that of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// anybody matches the effects of all members.
func anybody(history.Event) bool { return true }

// awaitEffects waits for n more effects that match, after Seq since. Of a subject
// without effects a commit stands for all records that it moves past.
func awaitEffects(ctx context.Context, env *Env, since int64, n int, match func(history.Event) bool) error {
	if env.Blind {
		return awaitCommits(ctx, env, since, n, match)
	}
	seen := 0
	_, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		if e.Kind == history.EffectDone && match(e) {
			seen++
		}
		return seen >= n
	})
	return err
}

// awaitCommits waits until commits that match have moved n records ahead after Seq since.
func awaitCommits(ctx context.Context, env *Env, since int64, n int, match func(history.Event) bool) error {
	committed := map[int32]int64{}
	moved := 0
	_, err := env.Log.Await(ctx, 0, func(e history.Event) bool {
		if e.Kind != history.Committed || e.Outcome != history.Accepted {
			return false
		}
		ahead := e.Offset - committed[e.Partition]
		committed[e.Partition] = max(committed[e.Partition], e.Offset)
		if e.Seq > since && ahead > 0 && match(e) {
			moved += int(ahead)
		}
		return moved >= n
	})
	return err
}
