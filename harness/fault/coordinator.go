package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// Coordinated is what a broker coordinates.
type Coordinated string

// The kinds of coordinators.
const (
	Group       Coordinated = "group"       // its members and its offsets
	Transaction Coordinated = "transaction" // of one transactional id
)

// ErrNoTransactions is what Brokers answers for members without transactions.
var ErrNoTransactions = errors.New("the members have no transactions")

// CoordinatorDown takes the broker that coordinates the group, or a member's
// transactions, down while messages flow, and brings it back once another has
// taken over. Such a broker leads partitions too.
type CoordinatorDown struct {
	Of     Coordinated `yaml:"-"`
	Target string      `doc:"whose transactions"` // for Transaction
	Kill   bool        `yaml:"-"`                 // SIGKILL; otherwise it is stopped in good order
}

// Name implements Fault.
func (f CoordinatorDown) Name() string {
	name := string(f.Of) + "-coordinator-stopped"
	if f.Kill {
		name = string(f.Of) + "-coordinator-killed"
	}
	return name
}

// Doc implements Fault.
func (f CoordinatorDown) Doc() string {
	what, how := "the group", "stopped (SIGTERM)"
	if f.Of == Transaction {
		what = "the transactions of a member"
	}
	if f.Kill {
		how = "killed (SIGKILL)"
	}
	return "The broker that coordinates " + what + " is " + how + " while messages flow. Another takes over, work goes on there, and the broker comes back. " +
		"It needs a cluster of several brokers that the harness may take down."
}

// Member implements Fault.
func (f CoordinatorDown) Member() string { return f.Target }

// Inject implements Fault.
func (f CoordinatorDown) Inject(ctx context.Context, env *Env) (note string, err error) {
	if env.Brokers == nil {
		return "", Missed("this Kafka has no brokers that could be taken down")
	}
	node, err := env.Brokers.Coordinator(ctx, f.Of, f.Target)
	if errors.Is(err, ErrNoTransactions) {
		return "", Missed("%v", err)
	}
	if err != nil {
		return "", err
	}
	anybody := func(history.Event) bool { return true }
	if err := awaitEffects(ctx, env, env.Log.Last(), midBatch(env.BatchSize), anybody); err != nil {
		return "", Missed("nothing was processed before broker %d was taken down: %v", node, err)
	}
	take, how := env.Brokers.StopBroker, "stopped"
	if f.Kill {
		take, how = env.Brokers.KillBroker, "killed"
	}
	down := env.Log.Now()
	defer func() {
		// Whatever came of it, the run goes on with all brokers.
		if e := env.Brokers.StartBroker(context.WithoutCancel(ctx), node); err == nil {
			err = e
		}
		if err == nil {
			note += settle(ctx, env)
		}
	}()
	if err := take(ctx, node); err != nil {
		return "", err
	}
	successor, err := f.awaitSuccessor(ctx, env, node)
	if err != nil {
		return "", err
	}
	took := env.Log.Now() - down
	_, err = env.Log.Await(ctx, env.Log.Last(), func(e history.Event) bool {
		return e.Kind == history.Committed && e.Outcome == history.Accepted
	})
	if err != nil {
		return "", Missed("broker %d took over from %d, and nothing was committed there: %v", successor, node, err)
	}
	return fmt.Sprintf("broker %d, which coordinated the %s, was %s; broker %d took over after %s, and commits went on %s after that",
		node, f.Of, how, successor, took.Round(time.Millisecond), (env.Log.Now() - down - took).Round(time.Millisecond)), nil
}

// askAgain is the pause between two questions who coordinates: brokers have no event for that.
const askAgain = 50 * time.Millisecond

// awaitSuccessor waits until another broker coordinates.
func (f CoordinatorDown) awaitSuccessor(ctx context.Context, env *Env, old int32) (int32, error) {
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for {
		node, err := env.Brokers.Coordinator(ctx, f.Of, f.Target)
		if err == nil && node != old {
			return node, nil
		}
		select {
		case <-ctx.Done():
			return 0, Missed("nobody took over from broker %d: %v", old, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}
