package consumer

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// onBlocked is told when a rebalance waits for the poll loop.
func (s *session) onBlocked(context.Context, *kgo.Client) {
	t := s.txn
	t.gate.Lock()
	defer t.gate.Unlock()
	if t.open {
		s.cl.AllowRebalance()
	}
	if t.blocked {
		return
	}
	t.blocked = true
	if t.wants != nil {
		close(t.wants)
	}
}

// patience is how long the end of a transaction keeps a rebalance out.
const patience = 500 * time.Millisecond

// letRebalance opens the gate, while a transaction is being committed, to a
// rebalance that waits or comes. The client's End needs a heartbeat after it has
// sent the offsets. In the classic protocol the group still takes both from a
// member that has not answered to the rebalance, so at first the gate stays
// closed. But there are no heartbeats if this member has been thrown out, or if
// its assignment changes (KIP-848), and then End would wait for a callback that
// waits for the gate. With the gate open, the callback makes End abort.
func (t *transactor) letRebalance() (stop func()) {
	if t.s.e.cfg.Protocol == ProtocolConsumer {
		t.unlock()
		return func() {}
	}
	timer := time.AfterFunc(patience, t.unlock)
	return func() { timer.Stop() }
}

func (t *transactor) unlock() {
	t.gate.Lock()
	defer t.gate.Unlock()
	t.open = true
	if t.blocked {
		t.s.cl.AllowRebalance()
	}
}

// shut prepares the gate for the next transaction. The timer of the last one may
// still open it, and a late onBlocked be taken for a new one; both only make the next
// transaction more ready to give way.
func (t *transactor) shut() {
	t.gate.Lock()
	defer t.gate.Unlock()
	t.open, t.blocked, t.wants = false, false, nil
}
