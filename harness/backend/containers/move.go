package containers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/ksim-dev/ksim/harness/backend"
)

var _ backend.Mover = (*Cluster)(nil)

// offsetsTopic has one partition on our brokers (settings.go); its leader coordinates every group.
const offsetsTopic = "__consumer_offsets"

// moveTimeout bounds one move of a leader.
const moveTimeout = 30 * time.Second

// MoveLeader implements backend.Mover: the replica on node becomes the preferred
// one, and is elected. Brokers have no request that names a leader. It returns when all brokers know.
func (c *Cluster) MoveLeader(ctx context.Context, topic string, partition, node int32) error {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	err := c.prefer(ctx, topic, partition, node)
	if err == nil {
		err = poll(ctx, "it does not lead yet", func(ctx context.Context) error { return c.elect(ctx, topic, partition, node) })
	}
	if err != nil {
		return fmt.Errorf("move %s/%d to broker %d: %w", topic, partition, node, err)
	}
	return nil
}

// MoveCoordinator implements backend.Mover. It moves all groups: their offsets share a partition.
func (c *Cluster) MoveCoordinator(ctx context.Context, _ string) error {
	p, err := backend.DescribePartition(ctx, c.admin, offsetsTopic, 0)
	if err != nil {
		return err
	}
	for _, node := range p.ISR {
		if node != p.Leader {
			return c.MoveLeader(ctx, offsetsTopic, 0, node)
		}
	}
	return errors.New("no other broker has all of " + offsetsTopic)
}

// prefer puts node in front of the replicas of a partition.
func (c *Cluster) prefer(ctx context.Context, topic string, partition, node int32) error {
	p, err := backend.DescribePartition(ctx, c.admin, topic, partition)
	if err != nil {
		return err
	}
	if !slices.Contains(p.Replicas, node) {
		return fmt.Errorf("it has no copy there, only on brokers %v", p.Replicas)
	}
	replicas := append([]int32{node}, slices.DeleteFunc(slices.Clone(p.Replicas), func(r int32) bool { return r == node })...)
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign(topic, partition, replicas)
	resp, err := kadm.NewClient(c.admin).AlterPartitionAssignments(ctx, req)
	if err != nil {
		return err
	}
	return resp.Error()
}

func (c *Cluster) elect(ctx context.Context, topic string, partition, node int32) error {
	var set kadm.TopicsSet
	set.Add(topic, partition)
	results, err := kadm.NewClient(c.admin).ElectLeaders(ctx, kadm.ElectPreferredReplica, set)
	if err != nil {
		return err
	}
	for _, r := range results[topic] {
		if r.Err != nil && !errors.Is(r.Err, kerr.ElectionNotNeeded) {
			return r.Err
		}
	}
	for _, n := range c.nodes { // a client may ask any of them
		p, err := backend.DescribePartition(ctx, c.admin.Broker(int(n.id)), topic, partition)
		if err == nil && p.Leader != node {
			err = fmt.Errorf("broker %d leads", p.Leader)
		}
		if err != nil {
			return fmt.Errorf("broker %d says: %w", n.id, err)
		}
	}
	return nil
}
