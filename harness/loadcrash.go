package harness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/sink"
)

// crashTarget is the member that is killed.
const crashTarget = "m1"

// crashed is one crash in the middle of a batch.
type crashed struct {
	at    time.Duration // since the start of the schedule
	owned map[int32]bool
}

// crash kills the member at an effect that may be anywhere in a batch, so often as asked, each time once the group has
// caught up with the load. Fewer crashes than asked for are seen in the result.
func (l *loadRun) crash(ctx context.Context) error {
	place := rand.New(rand.NewPCG(uint64(l.cfg.Seed), 7))
	for n := 1; n <= l.lc.Crashes; n++ {
		if l.caughtUp(ctx) != nil {
			return nil
		}
		err := fault.Run(ctx, l.faults, crashUnderLoad{l, 1 + place.IntN(2*l.lc.BatchSize)})
		if err != nil || len(l.crashes) < n {
			return err
		}
	}
	return nil
}

// crashUnderLoad is fault.CrashUnderLoad for a run whose history has no effects: it cuts the batch wherever it is.
type crashUnderLoad struct {
	*loadRun
	after int // effects
}

var _ fault.Fault = crashUnderLoad{}

// Name implements fault.Fault.
func (crashUnderLoad) Name() string { return fault.CrashUnderLoad{}.Name() }

// Doc implements fault.Fault.
func (crashUnderLoad) Doc() string { return fault.CrashUnderLoad{}.Doc() }

// Member implements fault.Fault.
func (crashUnderLoad) Member() string { return crashTarget }

// Inject implements fault.Fault.
func (c crashUnderLoad) Inject(ctx context.Context, env *fault.Env) (string, error) {
	armed := c.sink.Add(sink.Rule{Member: crashTarget, After: c.after, Times: 1, Action: sink.Hold{}})
	defer armed.Remove()
	select {
	case <-armed.Hit():
	case <-ctx.Done():
		return "", fault.Missed("no effect of %s came: %v", crashTarget, ctx.Err())
	}
	made := crashed{at: c.log.Now() - c.start, owned: map[int32]bool{}}
	for p, owner := range c.tap.Owners() {
		if owner.Member == crashTarget {
			made.owned[p.Partition] = true
		}
	}
	note := fmt.Sprintf("%s was killed in the middle of a batch, with %d partitions", crashTarget, len(made.owned))
	if err := fault.Restart(ctx, env, crashTarget, c.members.incarnation(crashTarget), &note); err != nil {
		return note, err
	}
	c.crashes = append(c.crashes, made)
	return note, nil
}

// caughtUp waits until no more is open than a consumer has in hand that keeps up: what comes in one wait for a batch and a
// moment, and a batch of each partition.
func (l *loadRun) caughtUp(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, l.cfg.FaultBound)
	defer cancel()
	inHand := l.lc.Rate*(l.lc.BatchWait.Seconds()+0.5) + float64(l.lc.BatchSize*int(l.cfg.Partitions))
	return l.records.awaitOpen(bounded, int(inHand))
}

// countReprocessed puts what the crashes made the group repeat beside what the
// model predicts. A crash that could not be made counts as none.
func (l *loadRun) countReprocessed(res *load.Result) {
	if l.lc.Crashes == 0 {
		return
	}
	if n := len(l.crashes); n < l.lc.Crashes && res.Valid {
		res.Valid, res.Reason = false, fmt.Sprintf("%d of %d crashes were made: the group did not catch up with the load in between", n, l.lc.Crashes)
	}
	if len(l.crashes) == 0 {
		return
	}
	each := make([]int, len(l.crashes))
	repeats, total := l.records.Repeats()
	for _, r := range repeats {
		if k := l.causedBy(r); k >= 0 {
			each[k]++
		}
	}
	sum, owned := 0, 0
	for k, n := range each {
		sum += n
		owned += len(l.crashes[k].owned)
	}
	if total > len(repeats) { // more than are kept one by one: what is left can have no other cause that we know
		sum += total - len(repeats)
	}
	expected, low, high := load.Predict(load.Crash{
		BatchSize: l.lc.BatchSize, BatchWait: l.lc.BatchWait, Rate: l.lc.Rate,
		Partitions: int(l.cfg.Partitions), Owned: (owned + len(each) - 1) / len(each), CommitInterval: l.lc.CommitInterval,
	})
	res.Reprocessed = load.Reprocessed{
		Measured: (sum + len(each)/2) / len(each), Predicted: expected, Low: low, High: high, Crashes: len(each), Each: each,
	}
}

// causedBy is the crash that a repeat comes of: the last one before it, if that took the partition away; else -1.
func (l *loadRun) causedBy(r load.Repeat) int {
	for k := len(l.crashes) - 1; k >= 0; k-- {
		if c := l.crashes[k]; r.At >= c.at {
			if c.owned[r.Partition] {
				return k
			}
			return -1
		}
	}
	return -1
}
