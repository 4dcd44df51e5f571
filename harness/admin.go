package harness

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// evictor removes members from a group by the protocol's own means: LeaveGroup
// with their member id for a classic group, a heartbeat with epoch -1 for a
// consumer group of KIP-848. Any client may do so; the broker does not ask who.
type evictor struct {
	client *kgo.Client
}

func (e evictor) evict(ctx context.Context, group string, who seatHolder) error {
	if who.protocol == "consumer" {
		return e.heartbeat(ctx, group, who, epochLeave)
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = group, who.memberID
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = who.memberID
	if who.instanceID != "" {
		m.InstanceID = &who.instanceID
	}
	req.Members = append(req.Members, m)
	resp, err := req.RequestWith(ctx, e.client)
	if err != nil {
		return err
	}
	code := resp.ErrorCode
	for _, m := range resp.Members {
		if code == 0 {
			code = m.ErrorCode
		}
	}
	return gone(code)
}

// errKeepsSeat says that the next life of a member takes its seat over as it is.
var errKeepsSeat = errors.New("the member keeps its seat")

// release makes room for the next life of a member that is dead. A static member
// is not thrown out: that it comes back to what it had, without a rebalance, is what it is
// static for. In a classic group the next life takes the seat over by its
// instance id at any time. With KIP-848 the broker gives the seat to nobody
// before its holder has left "for now" (epoch -2) or its session has expired.
func (e evictor) release(ctx context.Context, group string, who seatHolder) error {
	switch {
	case who.instanceID == "":
		return e.evict(ctx, group, who)
	case who.protocol == "consumer":
		return e.heartbeat(ctx, group, who, epochLeaveStatic)
	}
	return errKeepsSeat
}

// Epochs by which a member of a KIP-848 group leaves.
const (
	epochLeave       = -1 // for good
	epochLeaveStatic = -2 // for now
)

func (e evictor) heartbeat(ctx context.Context, group string, who seatHolder, epoch int32) error {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, who.memberID, epoch
	if who.instanceID != "" {
		req.InstanceID = &who.instanceID
	}
	resp, err := req.RequestWith(ctx, e.client)
	if err != nil {
		return err
	}
	return gone(resp.ErrorCode)
}

// gone takes "unknown member" for success: the group has noticed by itself.
func gone(code int16) error {
	if code == 0 || code == kerr.UnknownMemberID.Code || code == kerr.GroupIDNotFound.Code {
		return nil
	}
	return fmt.Errorf("the broker refused: %w", kerr.ErrorForCode(code))
}
