package consumer

import "testing"

// A rebalance may ask between two transactions, also after it has asked in the one
// before: the next one gives way to it.
func TestRebalanceAsksBetweenTransactions(t *testing.T) {
	s := &session{}
	s.txn = &transactor{s: s}
	asked := func() bool {
		select {
		case <-s.txn.wants:
			return true
		default:
			return false
		}
	}
	s.txn.begin(&transaction{})
	if asked() {
		t.Error("asked before anybody has")
	}
	s.onBlocked(t.Context(), nil)
	s.onBlocked(t.Context(), nil) // by another callback
	if !asked() {
		t.Error("not asked")
	}
	s.txn.shut()
	s.onBlocked(t.Context(), nil) // late, or a new one
	s.txn.begin(&transaction{})
	if !asked() {
		t.Error("forgotten between two transactions")
	}
	s.txn.shut()
	s.txn.begin(&transaction{})
	if asked() {
		t.Error("asked for ever")
	}
}
