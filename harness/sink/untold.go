package sink

import (
	"context"
	"time"
)

// applyUntold applies the effect, and the client gets no answer, or a bad one. It
// returns what ends a wait of the rule.
func (a *attempt) applyUntold(ctx context.Context, armed *Armed, instead *fate) (fate, <-chan struct{}) {
	f := a.settle(ctx, instead)
	if f.end != instead.end { // poison, say, is never applied
		a.sink.rules.giveBack([]*Armed{armed})
		return f, nil
	}
	return f, armed.act()
}

// silence applies the effect and lets the client wait for the answer.
func (a *attempt) silence(ctx context.Context, armed *Armed, act Silence) fate {
	f, release := a.applyUntold(ctx, armed, &reset)
	if release == nil {
		return f
	}
	a.leave() // nobody else has to wait
	var over <-chan time.Time
	if act.For > 0 {
		timer := time.NewTimer(act.For)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-release:
	case <-over:
	case <-ctx.Done():
	case <-a.inc.ended:
	case <-a.sink.closing:
	}
	return f
}
