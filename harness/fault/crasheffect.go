package fault

import (
	"context"
	"fmt"
	"sync"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/sink"
	"github.com/ksim-dev/ksim/harness/workload"
)

// atEffect kills a member at the K-th effect of a batch. Where batches begin and end is the
// consumer's business; what shows is what it has done and not committed, over all its partitions.
func (f CrashAt) atEffect(ctx context.Context, env *Env) (string, error) {
	if err := blind(env); err != nil {
		return "", err
	}
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	place := &openWork{log: env.Log, member: f.Target, size: env.BatchSize, seen: env.Log.Last()}
	armed := env.Sink.Add(sink.Rule{
		Member: f.Target, Times: 1, Action: sink.Hold{},
		Match: func(workload.Entry) bool { open, batch := place.now(anywhere); return open >= f.before(batch) },
	})
	defer armed.Remove()
	since := env.Log.Last()
	select {
	case <-armed.Hit():
	case <-ctx.Done():
		_, batch := place.now(anywhere)
		return "", Missed("%s never had %d effects done that were not committed: its batches are smaller than that", f.Target, f.before(batch))
	}
	held, err := openEffect(ctx, env, since, f.Target)
	if err != nil {
		return "", err
	}
	note := fmt.Sprintf("%s killed at its effect %s (%s); %d done and not committed", f.Target, held.Where(), held.Message, doneSinceCommit(env.Log, f.Target))
	err = Restart(ctx, env, f.Target, held.Incarnation, &note)
	return note, err
}

// before is how many effects of a batch of that size are done before the one at which the member is killed.
func (f CrashAt) before(batch int) int {
	switch {
	case f.K == Middle:
		return batch / 2
	case f.K < 0:
		return batch - 1
	}
	return f.K - 1
}

// openWork follows what a member has done and not committed. It reads the history once,
// as it grows: it is asked for each effect.
type openWork struct {
	log    *history.Log
	member string
	size   int // of a batch: as configured, and after some commits as large as they were

	mu        sync.Mutex
	seen      int64
	life      int
	committed map[int32]int64
	done      map[int32][]int64
	commits   int // of the member
	largest   int // of its batches
}

// enough commits show how large batches come out: what is configured is a bound, and
// traffic may be too thin to reach it.
const enough = 12

// now returns how many effects the member has done, in one partition or in all (anywhere), that no
// commit has covered or is about to; and the size of its batches.
func (w *openWork) now(where int32) (open, batch int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.log.Events(w.seen) {
		w.seen = e.Seq
		w.follow(e)
	}
	if batch = w.size; w.commits >= enough {
		batch = min(batch, max(w.largest, 1))
	}
	return w.count(where), batch
}

func (w *openWork) count(where int32) (n int) {
	for partition, offsets := range w.done {
		if where != anywhere && where != partition {
			continue
		}
		for _, o := range offsets {
			if o >= w.committed[partition] {
				n++
			}
		}
	}
	return n
}

// anywhere stands for all partitions.
const anywhere int32 = -1

func (w *openWork) follow(e history.Event) {
	switch {
	case e.Kind == history.CommitRequested:
		if e.Member == w.member {
			w.commits++
			w.largest = max(w.largest, w.count(anywhere))
		}
		if w.committed == nil {
			w.committed = map[int32]int64{}
		}
		w.committed[e.Partition] = max(w.committed[e.Partition], e.Offset)
	case e.Kind == history.EffectDone && e.Member == w.member && e.Offset >= 0:
		if w.done == nil || e.Incarnation > w.life {
			w.life, w.done = e.Incarnation, map[int32][]int64{}
		}
		kept := w.done[e.Partition][:0]
		for _, o := range w.done[e.Partition] {
			if o >= w.committed[e.Partition] {
				kept = append(kept, o)
			}
		}
		w.done[e.Partition] = append(kept, e.Offset)
	}
}
