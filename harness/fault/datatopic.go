package fault

import (
	"context"
	"fmt"
	"slices"

	"github.com/ksim-dev/ksim/harness/history"
)

// PartitionsAdded makes the topic wider while members and messages go on.
type PartitionsAdded struct {
	N int // how many
}

// Name implements Fault.
func (PartitionsAdded) Name() string { return "partitions-added" }

// Doc implements Fault.
func (PartitionsAdded) Doc() string {
	return "The topic gets more partitions while messages flow, and keys go where their hash then leads. The members must find and read the new ones within the time for which " +
		"they keep metadata (KSIM_METADATA_MAX_AGE_MS)."
}

// Member implements Fault.
func (PartitionsAdded) Member() string { return "" }

// Inject implements Fault.
func (f PartitionsAdded) Inject(ctx context.Context, env *Env) (string, error) {
	if err := awaitWork(ctx, env); err != nil {
		return "", Missed("nothing was processed before partitions were added: %v", err)
	}
	since, began := env.Log.Last(), env.Log.Now()
	first := env.Log.Header().Partitions
	if err := env.Topics.AddPartitions(ctx, int32(f.N)); err != nil {
		return "", err
	}
	var worked []int32
	_, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		if e.Kind == history.EffectDone && e.Partition >= first && !slices.Contains(worked, e.Partition) {
			worked = append(worked, e.Partition)
		}
		return len(worked) == f.N
	})
	if err != nil {
		return "", Missed("of %d new partitions only %v were worked on: %v", f.N, worked, err)
	}
	return fmt.Sprintf("%d partitions were added, from %d on, and all of them were worked on %s later", f.N, first, (env.Log.Now()-began).Round(1e6)) + settle(ctx, env), nil
}

// TopicRecreated deletes the topic when everything in it is done and committed, and makes it anew.
type TopicRecreated struct{}

// Name implements Fault.
func (TopicRecreated) Name() string { return "topic-recreated" }

// Doc implements Fault.
func (TopicRecreated) Doc() string {
	return "When everything is done and committed, the topic is deleted and made anew under its name while the members run: offsets begin at 0 again. What is then produced must be read from the beginning. " +
		"It needs a broker that forgets what was committed in a topic that is deleted, as Kafka does."
}

// Member implements Fault.
func (TopicRecreated) Member() string { return "" }

// Inject implements Fault.
func (TopicRecreated) Inject(ctx context.Context, env *Env) (string, error) {
	if err := awaitWork(ctx, env); err != nil {
		return "", Missed("nothing was processed before the topic was deleted: %v", err)
	}
	var old map[int32]Extent
	err := env.Topics.Recreate(ctx, func(ctx context.Context) error {
		// What was not done would be nobody's fault when it is gone: so nothing is left undone.
		err := awaitAnswer(ctx, func() (done bool, err error) {
			old, err = env.Topics.Extents(ctx)
			done = err == nil
			for _, x := range old {
				done = done && (x.Committed >= x.End || x.Start == x.End)
			}
			return done, err
		})
		if err != nil {
			return Missed("the members did not commit all before the topic was to be deleted: %v", err)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	filled := 0
	for _, x := range old {
		if x.End > 0 {
			filled++
		}
	}
	since, began := env.Log.Last(), env.Log.Now()
	again := map[int32]bool{}
	_, err = env.Log.Await(ctx, since, func(e history.Event) bool { // nothing of the old one was left to do
		if e.Kind == history.EffectDone {
			again[e.Partition] = true
		}
		return len(again) == filled
	})
	if err == nil {
		err = awaitCommit(ctx, env, env.Log.Last())
	}
	if err != nil {
		return "", Missed("the topic was made anew, and only %d of %d partitions were worked on after that: %v", len(again), filled, err)
	}
	return fmt.Sprintf("the topic was deleted and made anew; the members worked on all %d partitions again, and committed, %s later", filled, (env.Log.Now()-began).Round(1e6)) +
		settle(ctx, env), nil
}
