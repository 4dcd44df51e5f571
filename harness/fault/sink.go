package fault

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/sink"
)

// Unanswered applies effects without telling the member.
type Unanswered struct {
	Target string
	// For is how long the member waits before its connection is reset; 0 is until it gives up by itself.
	For   time.Duration
	Times int // how many effects; 0 is one
}

// Name implements Fault.
func (f Unanswered) Name() string {
	if f.For == 0 {
		return "timeout-after-applied"
	}
	return "reset-after-applied"
}

// Doc implements Fault.
func (f Unanswered) Doc() string {
	how := "and does not answer until the member gives up"
	if f.For > 0 {
		how = "and resets the connection some time later instead of answering"
	}
	return "The downstream system applies an effect " + how + ": the effect has happened, and the member cannot know. It must do it again, and must not take it for poison."
}

// Member implements Fault.
func (f Unanswered) Member() string { return f.Target }

// Inject implements Fault.
func (f Unanswered) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	times := max(f.Times, 1)
	for range times {
		if err := f.once(ctx, env); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s was not told of %d effects that were applied", f.Target, times) + settle(ctx, env), nil
}

func (f Unanswered) once(ctx context.Context, env *Env) error {
	since := env.Log.Last()
	armed := env.Sink.Add(sink.Rule{Member: f.Target, After: midBatch(env.BatchSize), Times: 1, Action: sink.Silence{For: f.For}})
	defer armed.Remove() // which ends the silence
	done, err := awaitUntold(ctx, env, since, f.Target, armed)
	if err != nil {
		return err
	}
	return awaitNext(ctx, env, done, "had no answer to")
}

// awaitUntold waits for an effect that was applied and whose answer the member did not get.
func awaitUntold(ctx context.Context, env *Env, since int64, member string, armed *sink.Armed) (history.Event, error) {
	if err := awaitHit(ctx, env, armed, tooFew, member); err != nil {
		return history.Event{}, err
	}
	done, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		return e.Kind == history.EffectDone && e.Member == member && e.Note == "reset"
	})
	if err != nil {
		return done, Missed("no effect of %s was applied without an answer: %v", member, err)
	}
	return done, nil
}

// awaitNext waits for what shows that a member knows that an attempt is over: its next effect on the
// partition, by whichever life or member.
func awaitNext(ctx context.Context, env *Env, last history.Event, what string) error {
	_, err := env.Log.Await(ctx, last.Seq, func(e history.Event) bool {
		return e.Kind == history.EffectStarted && (e.Message == last.Message || e.Partition == last.Partition) && e.Seq != last.Ref
	})
	if err != nil {
		return Missed("%s %s its effect %s, and nobody went on with partition %d: %v", last.Member, what, last.Where(), last.Partition, err)
	}
	return nil
}

// BadAnswer answers an effect of a member with what nobody would expect of an HTTP server.
type BadAnswer struct {
	Target string
	// Kind is server-error (500), panic (500 with "panic" as its reason, at which a handler may panic),
	// garbage (no HTTP) or truncated (the effect is applied, and the answer ends in the middle).
	Kind  string
	Times int // how many effects; 0 is one
}

// Name implements Fault.
func (f BadAnswer) Name() string { return "bad-answer-" + f.Kind }

// Doc implements Fault.
func (f BadAnswer) Doc() string {
	return "The downstream system " + map[string]string{
		"server-error": "answers an effect with status 500",
		"panic":        "answers an effect with status 500 and the reason \"panic\", at which the handler of the reference consumer panics",
		"garbage":      "answers an effect with bytes that are no HTTP",
		"truncated":    "applies an effect and ends the connection in the middle of its answer",
	}[f.Kind] + ". The record must be tried again, by this life of the member or the next, and neither lost nor dead-lettered."
}

// Member implements Fault.
func (f BadAnswer) Member() string { return f.Target }

// Inject implements Fault.
func (f BadAnswer) Inject(ctx context.Context, env *Env) (string, error) {
	action := map[string]sink.Action{
		"server-error": sink.Refuse{Status: http.StatusInternalServerError},
		"panic":        sink.Refuse{Status: http.StatusInternalServerError, Error: "panic"},
		"garbage":      sink.Garbage{}, "truncated": sink.Truncate{},
	}[f.Kind]
	if action == nil {
		return "", fmt.Errorf("there is no bad answer %q; there are server-error, panic, garbage and truncated", f.Kind)
	}
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	times, exits, first := max(f.Times, 1), 0, env.Log.Last()
	for range times {
		since := env.Log.Last()
		armed := env.Sink.Add(sink.Rule{Member: f.Target, After: midBatch(env.BatchSize), Times: 1, Action: action})
		answered, err := f.answered(ctx, env, since, armed)
		armed.Remove()
		if err != nil {
			return "", err
		}
		if err := awaitNext(ctx, env, answered, "got a bad answer to"); err != nil {
			return "", err
		}
	}
	for _, e := range env.Log.Events(first) {
		if e.Kind == history.MemberEnded && e.Member == f.Target && e.Outcome == history.Exited {
			exits++
		}
	}
	return fmt.Sprintf("%s got %d bad answers (%s) and exited %d times", f.Target, times, f.Kind, exits) + settle(ctx, env), nil
}

// answered waits until the answer has been given.
func (f BadAnswer) answered(ctx context.Context, env *Env, since int64, armed *sink.Armed) (history.Event, error) {
	if f.Kind == "truncated" {
		return awaitUntold(ctx, env, since, f.Target, armed)
	}
	if err := awaitHit(ctx, env, armed, tooFew, f.Target); err != nil {
		return history.Event{}, err
	}
	want := map[string]string{"server-error": http.StatusText(http.StatusInternalServerError)}[f.Kind]
	if want == "" {
		want = f.Kind
	}
	e, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		return e.Kind == history.EffectRefused && e.Member == f.Target && e.Error == want
	})
	if err != nil {
		return e, Missed("no effect of %s got such an answer: %v", f.Target, err)
	}
	return e, nil
}
