package fault

import (
	"context"
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

// Poison that was met before the rule was armed is what the member tries to dead-letter; what is in the topic already is not.
func TestAwaitUnwritten(t *testing.T) {
	log := history.NewMemory(history.Header{})
	refused := func(member, message string) {
		log.Append(history.Event{Kind: history.EffectRefused, Member: member, Message: message, Error: "poison"})
	}
	env := &Env{Log: log}
	refused("m1", "old")
	log.Append(history.Event{Kind: history.DeadLettered, Message: "old"})
	log.Append(history.Event{Kind: history.EffectRefused, Member: "m1", Message: "busy", Error: "unavailable"})
	refused("m2", "other")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if met, err := awaitUnwritten(gone, env, "m1"); err == nil {
		t.Errorf("found %v where all is written", met)
	}
	refused("m1", "stuck")
	refused("m1", "written")
	log.Append(history.Event{Kind: history.DeadLettered, Message: "written"})
	met, err := awaitUnwritten(t.Context(), env, "m1")
	if err != nil || met.Message != "stuck" {
		t.Errorf("found %v, %v", met, err)
	}
}
