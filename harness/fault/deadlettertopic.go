package fault

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/tap"
)

// DeadLetterTopic is what a fault can do to the dead-letter topic. The methods return when every broker
// knows.
type DeadLetterTopic interface {
	// Create makes the topic, as every scenario has it.
	Create(ctx context.Context) error
	// Widen sets the size of the largest record (max.message.bytes) to what every scenario has.
	Widen(ctx context.Context) error
}

// DeadLettersMissing puts a dead-letter topic that is not there in its place, after poison was met. The
// scenario must begin without one.
type DeadLettersMissing struct {
	For time.Duration // how long a member may wait for it, or until one exits; 0 is 5 s
}

// Name implements Fault.
func (DeadLettersMissing) Name() string { return "dead-letters-missing" }

// Doc implements Fault.
func (DeadLettersMissing) Doc() string {
	return "There is no dead-letter topic when the first poison is met; it is made a while later, or as soon as a member has exited. " +
		"Until then the consumer may wait, stop, or end loudly; it must not commit past the poison, and must dead-letter it in the end."
}

// Member implements Fault.
func (DeadLettersMissing) Member() string { return "" }

// Inject implements Fault.
func (f DeadLettersMissing) Inject(ctx context.Context, env *Env) (string, error) {
	met, err := env.Log.Await(ctx, 0, refusedAs(""))
	if err != nil {
		return "", Missed("no poison was met: %v", err)
	}
	waited, how, err := bearWithout(ctx, env, met, f.For)
	if err != nil {
		return "", err
	}
	if err := env.DeadLetters.Create(ctx); err != nil {
		return "", err
	}
	end, err := awaitLetter(ctx, env, met)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s met %s and had no topic to put it in; %s; the topic was made after %s, and the dead letter was in it %s later",
		met.Who(), met.Where(), how, waited, end) + settle(ctx, env), nil
}

// DeadLetterTooLarge widens a dead-letter topic that does not take the largest records, after one was
// met. The scenario must begin with such a topic.
type DeadLetterTooLarge struct {
	For time.Duration // how long a member may wait, or until one exits; 0 is 5 s
}

// Name implements Fault.
func (DeadLetterTooLarge) Name() string { return "dead-letter-too-large" }

// Doc implements Fault.
func (DeadLetterTooLarge) Doc() string {
	return "An oversized poison record is larger than what the dead-letter topic takes (max.message.bytes); the topic is widened a while later, or as soon as a member has exited. " +
		"Until then the consumer may wait, stop, or end loudly; it must not commit past the record, cut it, or dead-letter it without its value."
}

// Member implements Fault.
func (DeadLetterTooLarge) Member() string { return "" }

// Inject implements Fault.
func (f DeadLetterTooLarge) Inject(ctx context.Context, env *Env) (string, error) {
	met, err := env.Log.Await(ctx, 0, refusedAs("oversized"))
	if err != nil {
		return "", Missed("no oversized poison was met: %v", err)
	}
	waited, how, err := bearWithout(ctx, env, met, f.For)
	if err != nil {
		return "", err
	}
	if err := env.DeadLetters.Widen(ctx); err != nil {
		return "", err
	}
	end, err := awaitLetter(ctx, env, met)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s met %s, which the dead-letter topic did not take; %s; the topic was widened after %s, and the dead letter was in it %s later",
		met.Who(), met.Where(), how, waited, end) + settle(ctx, env), nil
}

// DeadLettersAway cuts every attempt of the members to produce.
type DeadLettersAway struct {
	For time.Duration // from the first attempt on, or until a member exits; 0 is 5 s
}

// Name implements Fault.
func (DeadLettersAway) Name() string { return "dead-letters-away" }

// Doc implements Fault.
func (DeadLettersAway) Doc() string {
	return "Every Produce request of a member, which is how dead letters are written, ends with a closed connection for a while, or until a member has exited: the broker never gets it. " +
		"The consumer may wait, stop, or end loudly; it must not commit past the poison, and must dead-letter it in the end."
}

// Member implements Fault.
func (DeadLettersAway) Member() string { return "" }

// Inject implements Fault.
func (f DeadLettersAway) Inject(ctx context.Context, env *Env) (string, error) {
	armed := env.Tap.Add(tap.Rule{Name: f.Name(), Key: kmsg.Produce.Int16(), Direction: tap.Request, Action: tap.Cut{}})
	defer armed.Remove()
	call, ok := awaitCall(ctx, armed)
	if !ok {
		return "", Missed("no member produced a dead letter")
	}
	met, err := awaitUnwritten(ctx, env, call.Member)
	if err != nil {
		return "", Missed("%s produced, and met no poison that could be the reason: %v", call.Member, err)
	}
	waited, how, err := bearWithout(ctx, env, met, f.For)
	if err != nil {
		return "", err
	}
	cuts := armed.Hits()
	armed.Remove()
	end, err := awaitLetter(ctx, env, met)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s met %s, and its dead letter could not be written: %d requests were cut for %s; %s; the dead letter was there %s later",
		met.Who(), met.Where(), cuts, waited, how, end) + settle(ctx, env), nil
}

// refusedAs matches the refusal of poison, of one kind or of any.
func refusedAs(kind string) func(history.Event) bool {
	return func(e history.Event) bool {
		return e.Kind == history.EffectRefused && e.Error == "poison" && (kind == "" || e.Poison == kind)
	}
}

// awaitUnwritten waits for poison that a member has met and that is in no dead letter yet, the newest. It may have
// been met long before the member's dead letter comes to be cut: on a busy machine the rule is armed in between, and the
// member meets no other poison as long as that one is in its way.
func awaitUnwritten(ctx context.Context, env *Env, member string) (met history.Event, err error) {
	err = env.Log.AwaitState(ctx, func() bool {
		met = history.Event{}
		written := map[string]bool{}
		for _, e := range slices.Backward(env.Log.Events(0)) {
			if e.Kind == history.DeadLettered {
				written[e.Message] = true // an observer reads it after it was refused, so it stands behind that
			}
			if e.Member == member && refusedAs("")(e) && !written[e.Message] {
				met = e
				return true
			}
		}
		return false
	})
	return met, err
}

// bearWithout waits while poison that was met cannot be dead-lettered: for as long as asked, or until
// the member that met it has exited. It is missed if a dead letter of that is there all the same.
func bearWithout(ctx context.Context, env *Env, met history.Event, length time.Duration) (waited time.Duration, how string, err error) {
	bounded, cancel := context.WithTimeout(ctx, cmp.Or(length, usualOutage))
	defer cancel()
	exit, err := env.Log.Await(bounded, met.Seq, func(e history.Event) bool {
		return e.Kind == history.MemberEnded && sameLife(e, met) && e.Outcome == history.Exited
	})
	if err == nil {
		how = fmt.Sprintf("it exited (%s)", strings.TrimSpace(exit.Error))
	} else {
		how = "it waited"
	}
	if ctx.Err() != nil {
		return 0, "", Missed("the time was over too early: %v", ctx.Err())
	}
	for _, e := range env.Log.Events(met.Seq) {
		if letterOf(met)(e) {
			return 0, "", Missed("the dead letter of %s was written all the same", met.Where())
		}
	}
	return (env.Log.Now() - met.At).Round(time.Millisecond), how, nil
}

func letterOf(met history.Event) func(history.Event) bool {
	return func(e history.Event) bool { return e.Kind == history.DeadLettered && e.Message == met.Message }
}

// awaitLetter waits for the dead letter of poison that was met.
func awaitLetter(ctx context.Context, env *Env, met history.Event) (time.Duration, error) {
	began := env.Log.Now()
	if _, err := env.Log.Await(ctx, met.Seq, letterOf(met)); err != nil {
		return 0, Missed("%s was never dead-lettered, though nothing is in the way any more: %v", met.Where(), err)
	}
	return (env.Log.Now() - began).Round(time.Millisecond), nil
}
