package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// Event describes events of the history to wait for. A zero field matches all.
type Event struct {
	Kind      history.Kind // effect-done, committed, assigned…
	Member    string
	Partition *int32
	Outcome   history.Outcome // accepted, refused, acked…
	Error     string          // name of a Kafka error
	// Count of them are waited for, from the moment on at which the waiting begins; 0 is 1.
	Count int
}

func (w Event) matches(e history.Event) bool {
	return e.Kind == w.Kind && (w.Member == "" || e.Member == w.Member) && (w.Partition == nil || e.Partition == *w.Partition) &&
		(w.Outcome == "" || e.Outcome == w.Outcome) && (w.Error == "" || e.Error == w.Error)
}

func (w Event) String() string {
	words := []string{fmt.Sprintf("%d × %s", max(w.Count, 1), w.Kind)}
	for _, word := range []string{w.Member, string(w.Outcome), w.Error} {
		if word != "" {
			words = append(words, word)
		}
	}
	if w.Partition != nil {
		words = append(words, fmt.Sprintf("partition %d", *w.Partition))
	}
	return strings.Join(words, " ")
}

// Await waits until the events have come, from now on. Its error is from Missed.
func (w Event) Await(ctx context.Context, env *Env) error {
	n := 0
	for since := env.Log.Last(); n < max(w.Count, 1); n++ {
		e, err := env.Log.Await(ctx, since, w.matches)
		if err != nil {
			return Missed("waited for %s and saw %d of them: %v", w, n, err)
		}
		since = e.Seq
	}
	return nil
}

// When lets a fault begin when something has happened, or some time has passed, or both: the
// event first, then the time.
type When struct {
	Fault
	Event Event         // of no kind: at once
	After time.Duration // after that
}

// Await implements delayed.
func (f When) Await(ctx context.Context, env *Env) error {
	if f.Event.Kind != "" {
		if err := f.Event.Await(ctx, env); err != nil {
			return err
		}
	}
	if f.After == 0 {
		return nil
	}
	if err := pause(ctx, f.After); err != nil {
		return Missed("it was to begin after %s: %v", f.After, err)
	}
	return nil
}

// delayed is a fault that begins later than it could. What it waits for is no part of it: it
// has not begun then.
type delayed interface {
	Await(ctx context.Context, env *Env) error
}

// Life is the incarnation in which a member runs or ran last, 0 if it never did.
func (env *Env) Life(member string) (incarnation int) {
	for _, e := range env.Log.Events(0) {
		if e.Kind == history.MemberStarted && e.Member == member {
			incarnation = e.Incarnation
		}
	}
	return incarnation
}

// Settle waits until the live members are one stable group again, for half of Bound at most. It returns what
// to add to the note of a fault: nothing, or that the group was not whole again, which is for the checks to judge.
func (env *Env) Settle(ctx context.Context) string { return settle(ctx, env) }

// Together injects several faults at the same time; each is in the history by
// itself. Faults that hold the same member get in each other's way: give them different ones.
type Together struct{ Faults []Fault }

// Name implements Fault.
func (f Together) Name() string {
	names := make([]string, len(f.Faults))
	for i, each := range f.Faults {
		names[i] = each.Name()
	}
	return strings.Join(names, "+")
}

// Doc implements Fault.
func (Together) Doc() string { return "Several faults at the same time." }

// Member implements Fault.
func (Together) Member() string { return "" }

// Inject implements Fault. It is for those who call it by themselves: Run has each in the history.
func (f Together) Inject(ctx context.Context, env *Env) (string, error) {
	return "", f.run(func(each Fault) error {
		_, err := each.Inject(ctx, env)
		return err
	})
}

func (f Together) run(inject func(Fault) error) error {
	errs := make([]error, len(f.Faults))
	var wg sync.WaitGroup
	for i, each := range f.Faults {
		wg.Go(func() { errs[i] = inject(each) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Names lists the faults as they are in the history, those that are injected together one by one.
func Names(faults []Fault) (names []string) {
	for _, f := range faults {
		if t, ok := f.(Together); ok {
			names = append(names, Names(t.Faults)...)
		} else {
			names = append(names, f.Name())
		}
	}
	return names
}
