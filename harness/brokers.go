package harness

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/fault"
)

// brokerAdmin takes brokers down for faults, and tells which.
type brokerAdmin struct {
	backend.Restarter
	client *kgo.Client
	names  names
}

// Coordinator implements fault.Brokers. It asks the brokers anew each time; the client would answer
// from what it knows.
func (b *brokerAdmin) Coordinator(ctx context.Context, of fault.Coordinated, member string) (int32, error) {
	const group, transaction = 0, 1
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType, req.CoordinatorKey = group, b.names.group
	if of == fault.Transaction {
		if b.names.output == "" {
			return 0, fault.ErrNoTransactions
		}
		req.CoordinatorType, req.CoordinatorKey = transaction, b.names.transactionalID(member)
	}
	req.CoordinatorKeys = []string{req.CoordinatorKey}
	resp, err := req.RequestWith(ctx, b.client)
	if err != nil {
		return 0, fmt.Errorf("ask for the coordinator of %s: %w", req.CoordinatorKey, err)
	}
	node, code := resp.NodeID, resp.ErrorCode
	if len(resp.Coordinators) > 0 { // several keys in one request, since KIP-699
		node, code = resp.Coordinators[0].NodeID, resp.Coordinators[0].ErrorCode
	}
	if err := kerr.ErrorForCode(code); err != nil {
		return 0, fmt.Errorf("ask for the coordinator of %s: %w", req.CoordinatorKey, err)
	}
	return node, nil
}
