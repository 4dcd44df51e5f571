package harness

import (
	"context"
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

func (e evictor) evict(ctx context.Context, group, memberID, instanceID, protocol string) error {
	if protocol == "consumer" {
		return e.heartbeatLeave(ctx, group, memberID)
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = group, memberID
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = memberID
	if instanceID != "" {
		m.InstanceID = &instanceID
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

func (e evictor) heartbeatLeave(ctx context.Context, group, memberID string) error {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, memberID, -1
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
