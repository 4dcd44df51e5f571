package fault

import (
	"context"
	"fmt"

	"github.com/ksim-dev/ksim/harness/history"
)

// Topics is what a fault can do to topics, and ask of them. Every method waits until
// every broker knows.
type Topics interface {
	// Configure sets a setting of a topic; undo takes it back.
	Configure(ctx context.Context, topic, name, value string) (undo func(context.Context) error, err error)
	// Extents asks the brokers what the log of each partition of the topic under test holds, and how far the group is.
	Extents(ctx context.Context) (map[int32]Extent, error)
	// AddPartitions makes the topic under test wider by n, and has the workload use all of it.
	AddPartitions(ctx context.Context, n int32) error
	// DeleteRecords takes out of the log of each partition what lies below an offset.
	DeleteRecords(ctx context.Context, below map[int32]int64) error
	// Missing looks for records that were acknowledged and are not in the log any more, writes down the
	// new ones as removed since Seq ref, when they were there, and returns how many these are.
	Missing(ctx context.Context, ref int64) (int, error)
	// Recreate deletes the topic under test and makes it anew, empty, under the same name. The
	// workload stands still meanwhile; quiet is called when it does, and Recreate goes on when that returns.
	Recreate(ctx context.Context, quiet func(context.Context) error) error
}

// Extent is what the log of a partition holds, as offsets [Start, End), and what is committed, -1 for nothing.
type Extent struct{ Start, End, Committed int64 }

// away stops all members, does something, and starts them again, as they were.
func away(ctx context.Context, env *Env, meanwhile func(ctx context.Context) error) (note string, err error) {
	if err := awaitWork(ctx, env); err != nil {
		return "", Missed("nothing was processed before the members were stopped: %v", err)
	}
	members := env.Members.Live()
	for _, m := range members {
		if err := env.Members.Stop(ctx, m); err != nil {
			return "", err
		}
	}
	if err := meanwhile(ctx); err != nil {
		return "", err
	}
	for _, m := range members {
		if err := env.Members.Start(ctx, m); err != nil {
			return "", err
		}
	}
	back := env.Log.Last()
	note = settle(ctx, env)
	if err := awaitCommit(ctx, env, back); err != nil {
		return "", Missed("nothing was committed after the members were started again: %v", err)
	}
	return note, nil
}

// awaitProduced waits for n more records of the workload.
func awaitProduced(ctx context.Context, env *Env, since int64, n int) error {
	_, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		if e.Kind == history.Produced && e.Outcome == history.Acked {
			n--
		}
		return n <= 0
	})
	return err
}

// OffsetOutOfRange has what the group would read next deleted while all its members are down: they come
// back with commits below the start of the log.
type OffsetOutOfRange struct{}

// Name implements Fault.
func (OffsetOutOfRange) Name() string { return "offset-out-of-range" }

// Doc implements Fault.
func (OffsetOutOfRange) Doc() string {
	return "All members are stopped while messages go on, and half of what came since is deleted (DeleteRecords). They come back with commits below the start of the log: " +
		"what was deleted is no loss of theirs, and they must go on with the earliest record that is left, not with the latest."
}

// Member implements Fault.
func (OffsetOutOfRange) Member() string { return "" }

// Inject implements Fault.
func (OffsetOutOfRange) Inject(ctx context.Context, env *Env) (string, error) {
	deleted, partitions := int64(0), 0
	note, err := away(ctx, env, func(ctx context.Context) error {
		if err := awaitProduced(ctx, env, env.Log.Last(), 6*env.BatchSize); err != nil {
			return Missed("too little was produced while the members were down: %v", err)
		}
		extents, err := env.Topics.Extents(ctx)
		if err != nil {
			return err
		}
		below := map[int32]int64{}
		for p, x := range extents {
			next := max(x.Committed, x.Start)
			if n := (x.End - next + 1) / 2; n > 0 {
				below[p] = next + n
				deleted, partitions = deleted+n, partitions+1
			}
		}
		if deleted == 0 {
			return Missed("the group is behind in no partition")
		}
		if err := env.Topics.DeleteRecords(ctx, below); err != nil {
			return err
		}
		return startsAt(ctx, env, below)
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d offsets that no member had read were deleted in %d partitions while all were down%s", deleted, partitions, note), nil
}

// startsAt waits until the brokers say that partitions begin at the offsets given, or above. That writes it down, too.
func startsAt(ctx context.Context, env *Env, offsets map[int32]int64) error {
	err := awaitAnswer(ctx, func() (bool, error) {
		extents, err := env.Topics.Extents(ctx)
		if err != nil {
			return false, err
		}
		for p, offset := range offsets {
			if extents[p].Start < offset {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return Missed("the logs do not begin at %v: %v", offsets, err)
	}
	return nil
}
