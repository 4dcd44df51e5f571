package fault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// LeaderDown takes the broker down that leads the partition that a member works on.
type LeaderDown struct {
	Target string
	How    string // Stop, Kill, Pause or Fill
}

// Name implements Fault.
func (f LeaderDown) Name() string { return "leader-" + strings.ReplaceAll(taken(f.How), " ", "-") }

// Doc implements Fault.
func (f LeaderDown) Doc() string {
	return "The broker that leads the partition that a member works on is " + means(f.How) + ". Another leads it then, the member goes on there, and the broker comes back. " +
		"It needs a cluster of several brokers that the harness may take down."
}

// Member implements Fault.
func (f LeaderDown) Member() string { return f.Target }

// Inject implements Fault.
func (f LeaderDown) Inject(ctx context.Context, env *Env) (string, error) {
	topic := env.Log.Header().Topic
	partition, old, err := workplace(ctx, env, f.Target)
	if err != nil {
		return "", err
	}
	return outage{nodes: []int32{old}, how: f.How, meanwhile: func(ctx context.Context, down time.Duration) (string, error) {
		leader := old
		err := awaitAnswer(ctx, func() (bool, error) {
			var err error
			leader, _, err = env.Brokers.Leader(ctx, topic, partition)
			return err == nil && leader >= 0 && leader != old, err
		})
		if err != nil {
			return "", Missed("nobody took partition %d over from broker %d: %v", partition, old, err)
		}
		took := env.Log.Now() - down
		if err := awaitEffectIn(ctx, env, partition); err != nil {
			return "", Missed("broker %d took partition %d over from %d, and nothing was processed there: %v", leader, partition, old, err)
		}
		return fmt.Sprintf("broker %d, which led partition %d, was %s; broker %d led it after %s, and the partition was worked on %s after that",
			old, partition, taken(f.How), leader, took.Round(time.Millisecond), (env.Log.Now() - down - took).Round(time.Millisecond)), nil
	}}.run(ctx, env)
}

// LeaderMoved gives the partition that a member works on to another broker. None is down.
type LeaderMoved struct {
	Target string
}

// Name implements Fault.
func (LeaderMoved) Name() string { return "leader-moved" }

// Doc implements Fault.
func (LeaderMoved) Doc() string {
	return "Another broker leads the partition that a member works on from now on, and none is down: the old one answers NOT_LEADER_OR_FOLLOWER. It needs several brokers."
}

// Member implements Fault.
func (f LeaderMoved) Member() string { return f.Target }

// Inject implements Fault.
func (f LeaderMoved) Inject(ctx context.Context, env *Env) (string, error) {
	topic := env.Log.Header().Topic
	partition, old, err := workplace(ctx, env, f.Target)
	if err != nil {
		return "", err
	}
	next, err := successor(env.Brokers.Nodes(), old)
	if err != nil {
		return "", err
	}
	since := env.Log.Last()
	if err := env.Brokers.MoveLeader(ctx, topic, partition, next); err != nil {
		return "", err
	}
	if leader, _, err := env.Brokers.Leader(ctx, topic, partition); err != nil || leader != next {
		return "", Missed("broker %d was to lead partition %d, and %d does: %v", next, partition, leader, err)
	}
	if err := awaitEffectIn(ctx, env, partition); err != nil {
		return "", Missed("broker %d leads partition %d instead of %d, and nothing was processed there: %v", next, partition, old, err)
	}
	return fmt.Sprintf("broker %d led partition %d, and broker %d does since then; work stood still for %s at most",
		old, partition, next, stillness(env.Log, since).Round(time.Millisecond)) + settle(ctx, env), nil
}

// workplace returns the partition that a member works on, and who leads it.
func workplace(ctx context.Context, env *Env, member string) (partition, leader int32, err error) {
	if err := present(env, member); err != nil {
		return 0, 0, err
	}
	e, err := env.Log.Await(ctx, env.Log.Last(), func(e history.Event) bool {
		return e.Kind == history.EffectDone && e.Member == member
	})
	if err != nil {
		return 0, 0, Missed("%s made no effect: %v", member, err)
	}
	leader, _, err = env.Brokers.Leader(ctx, env.Log.Header().Topic, e.Partition)
	return e.Partition, leader, err
}

// awaitEffectIn waits for an effect on a partition that is begun after this.
func awaitEffectIn(ctx context.Context, env *Env, partition int32) error {
	since := env.Log.Last()
	return awaitEffects(ctx, env, since, 1, func(e history.Event) bool { return e.Partition == partition && e.Ref > since })
}

// successor is the broker after node in the list.
func successor(nodes []int32, node int32) (int32, error) {
	i := slices.Index(nodes, node)
	if len(nodes) < 2 || i < 0 {
		return 0, Missed("there is no other broker than %v", nodes)
	}
	return nodes[(i+1)%len(nodes)], nil
}

// BrokerRestart takes one broker down and brings it back at once. Where it is the only
// one, everything stands still meanwhile.
type BrokerRestart struct {
	How string        // Stop, Kill or Pause
	For time.Duration // how long it is away; 0 is not longer than it takes
}

// Name implements Fault.
func (f BrokerRestart) Name() string {
	return map[string]string{Stop: "broker-restarted", Kill: "broker-crashed", Pause: "broker-frozen"}[f.How]
}

// Doc implements Fault.
func (f BrokerRestart) Doc() string {
	return "The first broker is " + means(f.How) + ", and brought back at the same address with the same data. Where it is the only one, everything stands still meanwhile, " +
		"and goes on after that. It needs brokers that the harness may take down."
}

// Member implements Fault.
func (BrokerRestart) Member() string { return "" }

// Inject implements Fault.
func (f BrokerRestart) Inject(ctx context.Context, env *Env) (string, error) {
	nodes := env.Brokers.Nodes()
	if len(nodes) == 0 {
		return "", fmt.Errorf("restart a broker: %w", ErrCannot)
	}
	return outage{nodes: nodes[:1], how: f.How, meanwhile: func(ctx context.Context, _ time.Duration) (string, error) {
		if err := pause(ctx, f.For); err != nil {
			return "", err
		}
		return fmt.Sprintf("broker %d of %v was %s for at least %s and came back", nodes[0], nodes, taken(f.How), f.For), nil
	}}.run(ctx, env)
}

// BrokersRolling restarts every broker in turn, as an upgrade does.
type BrokersRolling struct{}

// Name implements Fault.
func (BrokersRolling) Name() string { return "brokers-rolling-restart" }

// Doc implements Fault.
func (BrokersRolling) Doc() string {
	return "Every broker in turn is stopped (SIGTERM) and started again, as an upgrade of the cluster does; the next one when all copies are in sync again."
}

// Member implements Fault.
func (BrokersRolling) Member() string { return "" }

// Inject implements Fault.
func (BrokersRolling) Inject(ctx context.Context, env *Env) (string, error) {
	note := ""
	for _, node := range env.Brokers.Nodes() {
		one, err := outage{nodes: []int32{node}, how: Stop}.run(ctx, env)
		if err != nil {
			return "", err
		}
		note += fmt.Sprintf("; broker %d was stopped and started%s", node, one)
	}
	if note == "" {
		return "", fmt.Errorf("restart brokers: %w", ErrCannot)
	}
	return note[2:], nil
}
