package fault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/tap"
)

// Inject implements Fault.
func (f Wire) Inject(ctx context.Context, env *Env) (string, error) {
	if err := f.Validate(); err != nil {
		return "", err
	}
	if f.Topic != "" && f.topic(env.Log.Header()) == "" {
		return "", Missed("this run has no %s topic", f.Topic)
	}
	if f.Provoke == provokeJoin && f.Target == "" {
		f.Target = env.Members.Spare()
	}
	if err := f.awaitTraffic(ctx, env); err != nil {
		return "", err
	}
	if f.Provoke == provokeRestart { // stopped before the rule is in force: how it stops is not to be disturbed
		if err := env.Members.Stop(ctx, f.Target); err != nil {
			return "", err
		}
	}
	began := env.Log.Last()
	armed := env.Tap.Add(f.armed(env))
	defer armed.Remove()
	if f.Provoke != "" {
		if err := env.Members.Start(ctx, f.Target); err != nil {
			return "", err
		}
	}
	count := max(1, f.Count)
	if f.Count == 0 && f.Times > 0 {
		count = f.Times
	}
	if err := armed.AwaitHits(ctx, count); err != nil {
		return "", Missed("%s was hit %d of %d times: %v", f.calls(), armed.Hits(), count, err)
	}
	since := env.Log.Now()
	if err := f.last(ctx, env, armed, began); err != nil {
		return "", err
	}
	armed.Remove()
	lasted := (env.Log.Now() - since).Round(time.Millisecond)
	return f.tell(armed, lasted) + settle(ctx, env), nil
}

// awaitTraffic waits until the members that are to be hit are at work.
func (f Wire) awaitTraffic(ctx context.Context, env *Env) error {
	match := anybody
	if f.Target != "" && f.Provoke != provokeJoin {
		if err := present(env, f.Target); err != nil {
			return err
		}
		match = byMember(f.Target)
	}
	if err := awaitEffects(ctx, env, env.Log.Last(), midBatch(env.BatchSize), match); err != nil {
		return Missed("nothing was processed before %s was to be hit: %v", f.calls(), err)
	}
	return nil
}

// armed is the rule with the names of this run.
func (f Wire) armed(env *Env) tap.Rule {
	r, _ := f.rule() // it is valid
	h := env.Log.Header()
	r.Name, r.Topic = f.Name(), f.topic(h)
	keys := append([]int16{r.Key}, r.Also...)
	if !slices.ContainsFunc(keys, func(k int16) bool { return !tap.NamesGroup(k) }) {
		r.Group = h.Group // a consumer may have other groups, and other things to coordinate
	}
	if slices.ContainsFunc(keys, isCommit) {
		r.Match = func(c tap.Call) bool { return advances(env.Log, c, env.Blind) }
	}
	return r
}

func isCommit(key int16) bool {
	return key == kmsg.OffsetCommit.Int16() || key == kmsg.TxnOffsetCommit.Int16()
}

// last keeps the rule in force for as long as it is to be.
func (f Wire) last(ctx context.Context, env *Env, armed *tap.Armed, began int64) error {
	if f.Lasts > 0 {
		if pause(ctx, f.Lasts) != nil {
			return Missed("%s was hit, and not for %s", f.calls(), f.Lasts)
		}
	}
	if f.Effects > 0 {
		if err := awaitEffects(ctx, env, env.Log.Last(), f.Effects, anybody); err != nil {
			return Missed("%s was hit, and %d effects did not follow: %v", f.calls(), f.Effects, err)
		}
	}
	if f.UntilLost {
		hit := <-armed.Hit() // there was one
		_, err := env.Log.Await(ctx, began, func(e history.Event) bool {
			return e.Kind == history.Lost && e.Member == hit.Member && e.Incarnation == hit.Incarnation
		})
		if err != nil {
			return Missed("%s was hit, and the group took nothing from %s: %v", f.calls(), hit.Member, err)
		}
	}
	return nil
}

// calls names what is hit: "OffsetCommit requests of m1".
func (f Wire) calls() string {
	what := f.API + " requests"
	if f.Direction != "" {
		what = f.API + " " + strings.ToLower(f.Direction) + "s"
	}
	if f.Target != "" {
		what += " of " + f.Target
	}
	if f.Topic != "" {
		what += " for the " + f.Topic + " topic"
	}
	return what
}

// tell says what was done to whom, and how often.
func (f Wire) tell(armed *tap.Armed, lasted time.Duration) string {
	r, _ := f.rule() // it is valid
	by := armed.HitsBy()
	names := make([]string, 0, len(by))
	n := 0
	for name, hits := range by {
		names = append(names, fmt.Sprintf("%s %d", name, hits))
		n += hits
	}
	slices.Sort(names)
	times := fmt.Sprintf("%d times", n)
	if n == 1 {
		times = "once"
	}
	note := fmt.Sprintf("%s: %s, %s (%s)", f.calls(), r.Action, times, strings.Join(names, ", "))
	if f.Lasts > 0 || f.Effects > 0 || f.UntilLost {
		note += fmt.Sprintf("; it went on for %s", lasted)
	}
	return note
}
