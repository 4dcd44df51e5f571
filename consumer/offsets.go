package consumer

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// OffsetStore keeps the position of each partition outside of Kafka: in the
// database that the handler writes its effects to, so that both move in one
// transaction. The handler advances it; the consumer asks it where to begin, and
// tells it of records that ended without the handler. What is committed to Kafka
// follows, for all that look at lag, and decides nothing.
type OffsetStore interface {
	// Load takes partitions over for this member, fencing whoever had them, and
	// returns the next offset of each. One that it leaves out begins at what is
	// committed to Kafka, else at Config.Start. It is called in the middle of a
	// rebalance, for partitions just assigned, and should not take long; an error
	// makes the member join again.
	Load(ctx context.Context, group string, partitions map[string][]int32) (map[string]map[int32]int64, error)
	// Skip notes that all records below next have ended, the last of them as a
	// dead letter or skipped. An error is tried again, unless it is [Fenced].
	Skip(ctx context.Context, group, topic string, partition int32, next int64) error
}

// stored puts the positions of the store in place of those that the group gave.
func (s *session) stored(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	partitions := make(map[string][]int32, len(offsets))
	for topic, parts := range offsets {
		for partition := range parts {
			partitions[topic] = append(partitions[topic], partition)
		}
	}
	next, err := s.e.cfg.Offsets.Load(ctx, s.e.cfg.Group, partitions)
	if err != nil {
		return nil, err
	}
	for topic, parts := range next {
		for partition, offset := range parts {
			if _, asked := offsets[topic][partition]; asked {
				offsets[topic][partition] = kgo.NewOffset().At(offset)
			}
		}
	}
	return offsets, nil
}
