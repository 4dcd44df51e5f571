package consumer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// awayStore is down for the first few notes.
type awayStore struct {
	asked, noted atomic.Int64
	away         int64
	err          func(error) error
}

func (s *awayStore) Load(context.Context, string, map[string][]int32) (map[string]map[int32]int64, error) {
	return map[string]map[int32]int64{topic: {1: 3}}, nil
}

func (s *awayStore) Skip(_ context.Context, _, _ string, partition int32, next int64) error {
	if s.asked.Add(1) <= s.away {
		return s.err(errors.New("away"))
	}
	s.noted.Store(int64(partition)*1000 + next)
	return nil
}

// The positions are the store's; and while it is down, a record that was put aside
// waits to be noted, for longer than any record is tried.
func TestOffsetStore(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 40)
	cfg := k.config()
	cfg.Poison.Topic = letters
	cfg.Retry.Attempts = 2
	store := &awayStore{away: 12, err: consumer.Unavailable}
	cfg.Offsets = store
	var first atomic.Int64
	first.Store(-1)
	r := k.start(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
		if r.Partition == 1 {
			first.CompareAndSwap(-1, r.Offset)
			if r.Offset == 5 {
				return consumer.Permanent(errors.New("never"))
			}
		}
		return nil
	}))
	k.until("every commit", func() bool { return k.committed() == 40 })
	r.finish()
	if first.Load() != 3 || store.noted.Load() != 1006 || store.asked.Load() != 13 {
		t.Errorf("began at %d, noted %d, asked %d times", first.Load(), store.noted.Load(), store.asked.Load())
	}
}

// A store that fails for another reason ends the consumer after some tries, with
// the record not committed; one that fences makes it join again.
func TestOffsetStoreFails(t *testing.T) {
	for name, c := range map[string]struct {
		err  func(error) error
		away int64
		ends bool
	}{
		"for good": {func(err error) error { return err }, 1 << 40, true},
		"fenced":   {consumer.Fenced, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := startKafka(t)
			k.produce(0, 40)
			cfg := k.config()
			cfg.Poison.Policy = consumer.PoisonSkip
			cfg.Retry.Attempts = 2
			var lost atomic.Int64
			cfg.Hooks.OnLost = func(string, []int32, error) { lost.Add(1) }
			store := &awayStore{away: c.away, err: c.err}
			cfg.Offsets = store
			r := k.start(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
				if r.Partition == 1 && r.Offset == 5 {
					return consumer.Permanent(errors.New("never"))
				}
				return nil
			}))
			if c.ends {
				if err := r.end(); err == nil || store.asked.Load() != 2 {
					t.Errorf("Run: %v, asked %d times", err, store.asked.Load())
				}
				if at := k.cluster.GroupInfo(group).Commits[topic][1].Offset; at > 5 {
					t.Errorf("committed %d", at)
				}
				return
			}
			k.until("every commit", func() bool { return k.committed() == 40 })
			r.finish()
			if lost.Load() == 0 || store.asked.Load() != 2 {
				t.Errorf("lost %d times, asked %d", lost.Load(), store.asked.Load())
			}
		})
	}
}
