package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
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
	How    string      `yaml:"-"`                 // Stop, Kill or Pause
}

// Name implements Fault.
func (f CoordinatorDown) Name() string { return string(f.Of) + "-coordinator-" + taken(f.How) }

// Doc implements Fault.
func (f CoordinatorDown) Doc() string {
	what := "the group"
	if f.Of == Transaction {
		what = "the transactions of a member"
	}
	return "The broker that coordinates " + what + " is " + means(f.How) + " while messages flow. Another takes over, work goes on there, and the broker comes back. " +
		"It needs a cluster of several brokers that the harness may take down."
}

// Member implements Fault.
func (f CoordinatorDown) Member() string { return f.Target }

// Inject implements Fault.
func (f CoordinatorDown) Inject(ctx context.Context, env *Env) (string, error) {
	node, err := env.Brokers.Coordinator(ctx, f.Of, f.Target)
	if errors.Is(err, ErrNoTransactions) {
		return "", Missed("%v", err)
	}
	if err != nil {
		return "", err
	}
	return outage{nodes: []int32{node}, how: f.How, meanwhile: func(ctx context.Context, down time.Duration) (string, error) {
		successor, err := f.awaitSuccessor(ctx, env, node)
		if err != nil {
			return "", err
		}
		took := env.Log.Now() - down
		if err := awaitCommit(ctx, env, env.Log.Last()); err != nil {
			return "", Missed("broker %d took over from %d, and nothing was committed there: %v", successor, node, err)
		}
		return fmt.Sprintf("broker %d, which coordinated the %s, was %s; broker %d took over after %s, and commits went on %s after that",
			node, f.Of, taken(f.How), successor, took.Round(time.Millisecond), (env.Log.Now() - down - took).Round(time.Millisecond)), nil
	}}.run(ctx, env)
}

// awaitSuccessor waits until another broker coordinates.
func (f CoordinatorDown) awaitSuccessor(ctx context.Context, env *Env, old int32) (node int32, err error) {
	err = awaitAnswer(ctx, func() (bool, error) {
		var err error
		node, err = env.Brokers.Coordinator(ctx, f.Of, f.Target)
		return err == nil && node != old, err
	})
	if err != nil {
		return 0, Missed("nobody took over from broker %d: %v", old, err)
	}
	return node, nil
}

// CoordinatorMoved gives the group to another broker while messages flow. None is down.
type CoordinatorMoved struct{}

// Name implements Fault.
func (CoordinatorMoved) Name() string { return "group-coordinator-moved" }

// Doc implements Fault.
func (CoordinatorMoved) Doc() string {
	return "Another broker coordinates the group from now on, and none is down: the old one answers NOT_COORDINATOR. It needs several brokers."
}

// Member implements Fault.
func (CoordinatorMoved) Member() string { return "" }

// Inject implements Fault.
func (f CoordinatorMoved) Inject(ctx context.Context, env *Env) (string, error) {
	old, err := env.Brokers.Coordinator(ctx, Group, "")
	if err != nil {
		return "", err
	}
	if err := awaitWork(ctx, env); err != nil {
		return "", Missed("nothing was processed before the group was moved: %v", err)
	}
	since := env.Log.Last()
	if err := env.Brokers.MoveCoordinator(ctx); err != nil {
		return "", err
	}
	now, err := CoordinatorDown{Of: Group}.awaitSuccessor(ctx, env, old)
	if err != nil {
		return "", err
	}
	if err := awaitCommit(ctx, env, env.Log.Last()); err != nil {
		return "", Missed("broker %d took over from %d, and nothing was committed there: %v", now, old, err)
	}
	return fmt.Sprintf("broker %d coordinated the group, and broker %d does since then; work stood still for %s at most",
		old, now, stillness(env.Log, since).Round(time.Millisecond)) + settle(ctx, env), nil
}
