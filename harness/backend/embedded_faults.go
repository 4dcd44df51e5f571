package backend

import (
	"context"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	_ Mover   = (*Embedded)(nil)
	_ Refuser = (*Embedded)(nil)
)

// MoveLeader implements Mover.
func (e *Embedded) MoveLeader(_ context.Context, topic string, partition, node int32) error {
	if err := e.cluster.MoveTopicPartition(topic, partition, node); err != nil {
		return fmt.Errorf("move %s/%d to broker %d: %w", topic, partition, node, err)
	}
	return nil
}

// rehashes bounds how often MoveCoordinator deals the coordinators out anew. Of three
// brokers one is the same again, so that is less than one failure in 10^19.
const rehashes = 40

// MoveCoordinator implements Mover. All coordinators are dealt out anew, until that of the group is another.
func (e *Embedded) MoveCoordinator(_ context.Context, group string) error {
	old := e.cluster.CoordinatorFor(group)
	for range rehashes {
		e.cluster.RehashCoordinators()
		if e.cluster.CoordinatorFor(group) != old {
			return nil
		}
	}
	return fmt.Errorf("broker %d coordinates group %s however the coordinators are dealt out", old, group)
}

// Refuse implements Refuser.
func (e *Embedded) Refuse(r Refusal) Refused {
	count := r.Count
	if count == 0 {
		count = -1 // until Remove
	}
	return refused{e.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{r.Key}, Topic: r.Topic, Group: r.Group, Err: r.Err, Count: count})}
}

type refused struct{ handle *kfake.FaultHandle }

func (r refused) Hits() int { return r.handle.Hits() }
func (r refused) Remove()   { r.handle.Remove() }

// neverTruncate answers clients that ask, after a leader has moved, whether what they have read is still in the log
// (KIP-320): it is, since kfake never truncates one. kfake itself knows a new leader's epoch only
// when something was produced in it, and says until then that it has no record of the old one, on which
// clients jump to the start of the log.
func neverTruncate(cluster *kfake.Cluster) {
	cluster.ControlKey(kmsg.OffsetForLeaderEpoch.Int16(), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req := kreq.(*kmsg.OffsetForLeaderEpochRequest)
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, t := range req.Topics {
			topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
			topic.Topic = t.Topic
			for _, p := range t.Partitions {
				partition := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				partition.Partition, partition.LeaderEpoch, partition.EndOffset = p.Partition, p.LeaderEpoch, math.MaxInt64
				topic.Partitions = append(topic.Partitions, partition)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
}
