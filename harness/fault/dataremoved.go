package fault

import (
	"context"
	"errors"
	"fmt"

	"github.com/ksim-dev/ksim/harness/history"
)

// RetentionPasses has retention overtake a member that does not get on.
type RetentionPasses struct {
	Target string
}

// Name implements Fault.
func (RetentionPasses) Name() string { return "retention-passes-consumer" }

// Doc implements Fault.
func (RetentionPasses) Doc() string {
	return "A member is frozen (SIGSTOP) while messages go on and retention (retention.ms) takes out of the log what it would fetch next, then continued. " +
		"What was removed is no loss of its own; it must go on with the earliest record that is left."
}

// Member implements Fault.
func (f RetentionPasses) Member() string { return f.Target }

// Inject implements Fault.
func (f RetentionPasses) Inject(ctx context.Context, env *Env) (note string, err error) {
	armed, held, err := holdMidBatch(ctx, env, f.Target, midBatch(env.BatchSize))
	if err != nil {
		return "", err
	}
	defer armed.Remove()
	// Frozen, since a client fetches ahead while its handler is held.
	thaw, err := frozen(ctx, env, held)
	if err != nil {
		return "", err
	}
	armed.Release()
	start, unread, err := f.overtake(ctx, env, held.Partition)
	since := env.Log.Last()
	if err = errors.Join(err, thaw()); err != nil {
		return "", err
	}
	_, err = env.Log.Await(ctx, since, func(e history.Event) bool {
		return e.Kind == history.EffectDone && e.Partition == held.Partition && e.Offset >= start
	})
	if err != nil {
		return "", Missed("partition %d begins at %d, and nothing was processed there after that: %v", held.Partition, start, err)
	}
	return fmt.Sprintf("%s was frozen at %s until the log began at %d, %d offsets behind what it can have fetched; work went on there", f.Target, held.Where(), start, unread) +
		settle(ctx, env), nil
}

// overtake has retention remove what comes to a partition from now on, and returns where it begins then, and
// how many offsets came and went.
func (f RetentionPasses) overtake(ctx context.Context, env *Env, partition int32) (start, unread int64, err error) {
	extents, err := env.Topics.Extents(ctx)
	if err != nil {
		return 0, 0, err
	}
	fetched := extents[partition].End
	if err := endsAt(ctx, env, partition, fetched+int64(2*env.BatchSize)); err != nil {
		return 0, 0, err
	}
	undo, err := env.Topics.Configure(ctx, env.Log.Header().Topic, "retention.ms", "1")
	if err != nil {
		return 0, 0, err
	}
	err = startsAt(ctx, env, map[int32]int64{partition: fetched + 1})
	if err = errors.Join(err, undo(context.WithoutCancel(ctx))); err != nil {
		return 0, 0, err
	}
	if extents, err = env.Topics.Extents(ctx); err != nil {
		return 0, 0, err
	}
	start = extents[partition].Start
	return start, start - fetched, nil
}

// endsAt waits until a partition has records up to an offset.
func endsAt(ctx context.Context, env *Env, partition int32, offset int64) error {
	err := awaitAnswer(ctx, func() (bool, error) {
		extents, err := env.Topics.Extents(ctx)
		return err == nil && extents[partition].End >= offset, err
	})
	if err != nil {
		return Missed("too little came to partition %d: %v", partition, err)
	}
	return nil
}

// Compacted has the log compacted while all members are down, so that they meet gaps where there were records.
type Compacted struct{}

// Name implements Fault.
func (Compacted) Name() string { return "compacted" }

// Doc implements Fault.
func (Compacted) Doc() string {
	return "All members are stopped while messages go on, and the topic is compacted (cleanup.policy=compact): of each key what is not its newest record goes, and leaves a gap in the offsets. " +
		"They come back, and must take a gap neither for a loss nor for something to wait for."
}

// Member implements Fault.
func (Compacted) Member() string { return "" }

// Inject implements Fault.
func (Compacted) Inject(ctx context.Context, env *Env) (string, error) {
	gaps := 0
	note, err := away(ctx, env, func(ctx context.Context) error {
		if err := awaitProduced(ctx, env, env.Log.Last(), 10*env.BatchSize); err != nil {
			return Missed("too little was produced while the members were down: %v", err)
		}
		ref := env.Log.Last()
		undo, err := env.Topics.Configure(ctx, env.Log.Header().Topic, "cleanup.policy", "compact")
		if err != nil {
			return err
		}
		compacted := awaitAnswer(ctx, func() (bool, error) {
			n, err := env.Topics.Missing(ctx, ref)
			gaps += n
			return err == nil && gaps >= env.BatchSize, err
		})
		if err := undo(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		if compacted != nil {
			return Missed("%d records were compacted away: %v", gaps, compacted)
		}
		// A cleaner that was at work ends what it has begun.
		return awaitAnswer(ctx, func() (bool, error) {
			n, err := env.Topics.Missing(ctx, ref)
			gaps += n
			return err == nil && n == 0, err
		})
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d records were compacted away while all members were down%s", gaps, note), nil
}
