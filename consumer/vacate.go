package consumer

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// vacate says that a static member of a group of KIP-848 goes and will be back: its
// next life takes the seat at once, and within the session timeout nobody else gets
// its partitions. The client says so without the instance id (franz-go v1.22.2), which the
// broker refuses (INVALID_REQUEST), so that the next life would be refused in turn
// (UNRELEASED_INSTANCE_ID) until the session of this one has ended.
func (s *session) vacate(ctx context.Context, member string) error {
	if member == "" {
		return nil // it never was in
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID = s.e.cfg.Group, member, &s.e.cfg.InstanceID
	req.MemberEpoch = -2
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}
