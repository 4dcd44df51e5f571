package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// How a broker is taken down.
const (
	Stop  = "stop"  // SIGTERM: it hands over what it leads, and ends
	Kill  = "kill"  // SIGKILL: it is gone at once
	Pause = "pause" // frozen: connections stay open, and nothing answers
	Fill  = "fill"  // its disk is full: it writes nothing more, and ends by itself
)

// Brokers is what a fault can do to the brokers, and ask of them. Every method waits until the
// thing is done. What the backend cannot do answers ErrCannot. Questions go to brokers that are up.
type Brokers interface {
	// Nodes lists the ids of all brokers, also of those that are down.
	Nodes() []int32
	// Leader returns the broker that leads a partition, -1 if none does, and those that have all of it.
	Leader(ctx context.Context, topic string, partition int32) (leader int32, inSync []int32, err error)
	// Coordinator returns the broker that coordinates the group or, for Transaction, the
	// transactions of a member; ErrNoTransactions if those have none.
	Coordinator(ctx context.Context, of Coordinated, member string) (int32, error)
	// Answers returns nil if that very broker answers a request, else why not.
	Answers(ctx context.Context, node int32) error
	// Controlled returns nil if the cluster has a controller that answers, else why not.
	Controlled(ctx context.Context) error
	// AwaitInSync waits until all partitions of all topics have a leader and all their copies in sync.
	AwaitInSync(ctx context.Context) error

	TakeDown(ctx context.Context, node int32, how string) error
	// BringBack starts a broker that is down at the same address, with the same
	// data, or lets a paused one go on. One that is up is left as it is.
	BringBack(ctx context.Context, node int32) error

	// MoveLeader makes a broker the leader of a partition.
	MoveLeader(ctx context.Context, topic string, partition, node int32) error
	// MoveCoordinator makes another broker coordinate the group.
	MoveCoordinator(ctx context.Context) error
	// Refuse answers requests of that name ("OffsetCommit") about a topic or, where topic is "", the
	// group, with an error of Kafka's (NOT_COORDINATOR). hits counts them; end ends it.
	Refuse(request, topic, kafkaError string) (hits func() int, end func(), err error)
}

// ErrCannot is in the chain of what Brokers and Topics answer where the backend cannot do the thing.
// The fault is then missed.
var ErrCannot = errors.New("this Kafka cannot do that")

// askAgain is the pause between two questions: brokers have no events for who leads.
const askAgain = 50 * time.Millisecond

// awaitAnswer asks until done says so. A question that fails is asked again.
func awaitAnswer(ctx context.Context, ask func() (done bool, err error)) error {
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for {
		done, err := ask()
		if done || errors.Is(err, ErrCannot) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// outage takes brokers down, does something meanwhile, and brings them back whatever comes.
type outage struct {
	nodes []int32
	how   string
	// meanwhile waits for what the outage, which began at down, is to lead to and tells it. It may be nil.
	meanwhile func(ctx context.Context, down time.Duration) (string, error)
}

// restoreBound limits how long a cluster may take to be whole again.
const restoreBound = 5 * time.Minute

// run returns a note that tells what came of it, and how long work stood still.
func (o outage) run(ctx context.Context, env *Env) (note string, err error) {
	if err := awaitWork(ctx, env); err != nil {
		return "", Missed("nothing was processed before broker %v was taken down: %v", o.nodes, err)
	}
	since := env.Log.Last()
	defer func() {
		if back := o.restore(ctx, env); back != nil { // a failure of the harness, above all else
			err = fmt.Errorf("bring the brokers back: %w", back)
		}
		if err == nil {
			note, err = o.conclude(ctx, env, since, note)
		}
	}()
	down := env.Log.Now()
	for _, node := range o.nodes {
		if err := env.Brokers.TakeDown(ctx, node, o.how); err != nil {
			return "", err
		}
		if env.Brokers.Answers(ctx, node) == nil {
			return "", Missed("broker %d was to be down (%s), and answers", node, o.how)
		}
	}
	if o.meanwhile == nil {
		return "", nil
	}
	return o.meanwhile(ctx, down)
}

// restore brings all brokers back, and waits until they have caught up: a cluster that lacks
// a copy is another one for what comes next.
func (o outage) restore(ctx context.Context, env *Env) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreBound)
	defer cancel()
	var errs []error
	for _, node := range o.nodes {
		errs = append(errs, env.Brokers.BringBack(bounded, node))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return env.Brokers.AwaitInSync(bounded)
}

// conclude waits until work goes on, and tells how long it stood still.
func (o outage) conclude(ctx context.Context, env *Env, since int64, note string) (string, error) {
	back := env.Log.Last()
	if err := awaitCommit(ctx, env, back); err != nil {
		return "", Missed("the brokers came back, and nothing was committed after that: %v", err)
	}
	note += settle(ctx, env)
	return fmt.Sprintf("%s; work stood still for %s at most", note, stillness(env.Log, since).Round(time.Millisecond)), nil
}

// awaitWork waits until the group is in the middle of some batch, whoever's.
func awaitWork(ctx context.Context, env *Env) error {
	return awaitEffects(ctx, env, env.Log.Last(), midBatch(env.BatchSize), anybody)
}

// awaitCommit waits for a commit that a broker accepts after Seq since.
func awaitCommit(ctx context.Context, env *Env, since int64) error {
	_, err := env.Log.Await(ctx, since, func(e history.Event) bool {
		return e.Kind == history.Committed && e.Outcome == history.Accepted
	})
	return err
}

// stillness is the longest time without an effect that was done, from Seq since until now.
func stillness(log *history.Log, since int64) time.Duration {
	var longest, last time.Duration
	for i, e := range log.Events(max(0, since-1)) {
		if i == 0 {
			last = e.At
		}
		if e.Kind == history.EffectDone {
			longest, last = max(longest, e.At-last), e.At
		}
	}
	return max(longest, log.Now()-last)
}

// taken says in the past what was done to a broker.
func taken(how string) string {
	return map[string]string{Stop: "stopped", Kill: "killed", Pause: "paused", Fill: "out of disk"}[how]
}

// means says in full what is done to a broker.
func means(how string) string {
	return map[string]string{
		Stop: "stopped (SIGTERM)", Kill: "killed (SIGKILL)", Pause: "frozen: its connections stay open, and nothing answers",
		Fill: "left without room on its disk: it can write nothing, and ends by itself; room is made before it is started again",
	}[how]
}
