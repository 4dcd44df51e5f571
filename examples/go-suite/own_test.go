package orders

import (
	"context"
	"fmt"
	"strings"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/scenarios/spec"
)

// A scenario of your own is a value: what is sent, who consumes, and what goes wrong.
var powerCut = harness.Scenario{
	Name: "power-cut", Doc: "The rack loses power while orders flow: what was not committed comes again, nothing is lost.",
	Tags: []string{"crash"}, Messages: 300, Members: 3,
	Faults: []fault.Fault{
		// It waits for work to be under way. Faults wait for events and not for time to pass.
		fault.When{Event: fault.Event{Kind: history.EffectDone, Count: 25}, Fault: blackout{}},
	},
}

var _ = spec.Describe("the orders consumer, in a scenario of our own", spec.Config{
	Subject: orders, Scenarios: []harness.Scenario{powerCut},
})

// blackout is a fault of your own: all members die at the same moment, and nobody tells the broker.
type blackout struct{}

func (blackout) Name() string   { return "blackout" }
func (blackout) Doc() string    { return "All members are killed at once and started again." }
func (blackout) Member() string { return "" } // no target

// Inject makes it happen, and returns what happened in one line.
func (blackout) Inject(ctx context.Context, env *fault.Env) (string, error) {
	members := env.Members.Live()
	if len(members) == 0 {
		return "", fault.Missed("nobody was there to be killed") // the scenario is then unknown, not held
	}
	for _, m := range members {
		if err := env.Members.Kill(ctx, m, env.Life(m)); err != nil {
			return "", err // the harness failed: no verdict
		}
	}
	for _, m := range members {
		if err := env.Members.Release(ctx, m); err != nil { // or wait for the session to expire
			return "", err
		}
		if err := env.Members.Start(ctx, m); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s died at once", strings.Join(members, ", ")) + env.Settle(ctx), nil
}
