package fault

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/schemas"
)

// RegistryTrouble takes the Schema Registry away from the members, or makes it slow, when messages with a
// schema come that none of them has seen.
type RegistryTrouble struct {
	// Status answers every request, such as 503. 0 resets the connection, or, with Delay, lets the registry answer.
	Status int
	Delay  time.Duration // of every answer
	For    time.Duration // from the first request on; 0 is 5 s
}

// Name implements Fault.
func (f RegistryTrouble) Name() string {
	switch {
	case f.Delay > 0:
		return "registry-slow"
	case f.Status > 0:
		return fmt.Sprintf("registry-answers-%d", f.Status)
	}
	return "registry-down"
}

// Doc implements Fault.
func (f RegistryTrouble) Doc() string {
	what := "resets every connection"
	switch {
	case f.Delay > 0:
		what = "answers slowly"
	case f.Status > 0:
		what = fmt.Sprintf("answers every request with status %d", f.Status)
	}
	return "For a while the Schema Registry " + what + ", while messages come that are written by a new schema. An outage is no poison: the members must wait, and lose, skip or dead-letter nothing."
}

// Member implements Fault.
func (RegistryTrouble) Member() string { return "" }

// Inject implements Fault.
func (f RegistryTrouble) Inject(ctx context.Context, env *Env) (string, error) {
	if env.Registry == nil {
		return "", Missed("the scenario has no schemas")
	}
	length := cmp.Or(f.For, usualOutage)
	met := env.Registry.Break(schemas.Trouble{Delay: f.Delay, Status: f.Status, Reset: f.Status == 0 && f.Delay == 0})
	defer env.Registry.Mend()
	since, began := env.Log.Last(), env.Log.Now()
	id, err := env.Schemas.Evolve(ctx)
	if err != nil {
		return "", err
	}
	first := func(e history.Event) bool { return e.Kind == history.EffectDone && e.Message == env.Schemas.First() }
	if err := awaitRequest(ctx, env, met, since, first); err != nil {
		return "", err
	}
	if err := pause(ctx, length); err != nil {
		return "", Missed("the registry was not troubled for %s: %v", length, err)
	}
	requests, mended := met.Requests(), env.Log.Last()
	env.Registry.Mend()
	done, err := env.Log.Await(ctx, since, first)
	switch {
	case err != nil:
		return "", Missed("the first message with schema %d was never done, though the registry is well again: %v", id, err)
	case done.Seq <= mended && f.Delay == 0:
		return "", Missed("%s was done without schema %d, which nobody could get", done.Where(), id)
	}
	return fmt.Sprintf("the registry was troubled for %s when schema %d came up; it was asked %d times; the first effect of that was done after %s",
		length, id, requests, (done.At-began).Round(time.Millisecond)) + settle(ctx, env), nil
}

// awaitRequest waits until a member asks the registry. Members that decode nothing never do: they have done
// the first message by the new schema without.
func awaitRequest(ctx context.Context, env *Env, met *schemas.Met, since int64, first func(history.Event) bool) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = env.Log.Await(work, since, first) // or it was asked, or the time is over
		stop()
	}()
	select {
	case <-met.First():
		return nil
	case <-work.Done():
		return Missed("no member asked the registry: do they decode what they read?")
	}
}

// UnknownSchemas waits until the members have met messages whose schema the registry does not know.
type UnknownSchemas struct{}

// Name implements Fault.
func (UnknownSchemas) Name() string { return "unknown-schemas" }

// Doc implements Fault.
func (UnknownSchemas) Doc() string {
	return "Some messages name a schema that the Schema Registry does not know, and says so. That will not get better: they are poison, and must be dead-lettered as they are, and nothing else with them."
}

// Member implements Fault.
func (UnknownSchemas) Member() string { return "" }

// Inject implements Fault.
func (UnknownSchemas) Inject(ctx context.Context, env *Env) (string, error) {
	if env.Registry == nil {
		return "", Missed("the scenario has no schemas")
	}
	letter, err := env.Log.Await(ctx, 0, func(e history.Event) bool { return e.Kind == history.DeadLettered && e.Poison == "undecodable" })
	if err != nil {
		return "", Missed("nothing that cannot be decoded was dead-lettered: %v", err)
	}
	n := env.Registry.NotFound()
	if n == 0 {
		return "", Missed("%s was dead-lettered, and no member had asked the registry for its schema", letter.Message)
	}
	return fmt.Sprintf("the registry said %d times that it knows no such schema; the first dead letter because of that is of %s", n, letter.Message), nil
}
