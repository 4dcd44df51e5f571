package harness

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

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
	admin := kadm.NewClient(b.client)
	find, key := admin.FindGroupCoordinators, b.names.group
	if of == fault.Transaction {
		if b.names.output == "" {
			return 0, fault.ErrNoTransactions
		}
		find, key = admin.FindTxnCoordinators, transactionalID(b.names.group, member)
	}
	found := find(ctx, key)[key]
	if found.Err != nil {
		return 0, fmt.Errorf("ask for the coordinator of %s: %w", key, found.Err)
	}
	return found.NodeID, nil
}
