package fault

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// QuorumLost kills most of the brokers at once, so that nothing can be decided or written, and
// brings them back.
type QuorumLost struct {
	For time.Duration // how long they are away at least
}

// Name implements Fault.
func (QuorumLost) Name() string { return "quorum-lost" }

// Doc implements Fault.
func (QuorumLost) Doc() string {
	return "Two of three brokers are killed (SIGKILL): no controller is left and nothing can be written, so everything stands still, commits too. " +
		"Then they come back, and everything goes on. It needs three brokers that the harness may take down."
}

// Member implements Fault.
func (QuorumLost) Member() string { return "" }

// Inject implements Fault.
func (f QuorumLost) Inject(ctx context.Context, env *Env) (string, error) {
	nodes := env.Brokers.Nodes()
	if len(nodes) < 3 {
		return "", Missed("there are brokers %v only: a quorum is lost of three", nodes)
	}
	coordinator, err := env.Brokers.Coordinator(ctx, Group, "")
	if err != nil {
		return "", err
	}
	// The coordinator stays: a member that gets an answer, and cannot commit, is more than one that gets none.
	away := slices.DeleteFunc(slices.Clone(nodes), func(n int32) bool { return n == coordinator })
	away = away[:len(nodes)/2+1]
	return outage{nodes: away, how: Kill, meanwhile: func(ctx context.Context, _ time.Duration) (string, error) {
		// A controller that is left gives up when it has not heard of a majority for a while.
		err := awaitAnswer(ctx, func() (bool, error) { return env.Brokers.Controlled(ctx) != nil, nil })
		if err != nil {
			return "", Missed("brokers %v of %v were killed, and a controller still answers", away, nodes)
		}
		still := env.Log.Last()
		if err := pause(ctx, f.For); err != nil {
			return "", err
		}
		for _, e := range env.Log.Events(still) {
			if e.Kind == history.Committed && e.Outcome == history.Accepted {
				return "", Missed("brokers %v of %v were killed, and a commit was accepted: %s", away, nodes, e.Where())
			}
		}
		return fmt.Sprintf("brokers %v of %v were killed for %s: no controller answered, and no commit was accepted", away, nodes, f.For), nil
	}}.run(ctx, env)
}

// What the copies of are too few, for NotEnoughReplicas.
const (
	DeadLetters = "dead-letters"
	Outputs     = "outputs"
)

// NotEnoughReplicas makes the brokers refuse what the members produce: fewer copies are in sync than
// the topic asks for.
type NotEnoughReplicas struct {
	Of  string        // DeadLetters or Outputs
	For time.Duration // how long it lasts after the first record that it concerns
}

// Name implements Fault.
func (f NotEnoughReplicas) Name() string { return "not-enough-replicas-for-" + f.Of }

// Doc implements Fault.
func (f NotEnoughReplicas) Doc() string {
	return "A broker is killed, and the topic of " + f.Of + " asks for more copies than are left (min.insync.replicas): " +
		"what the members produce there is refused, NOT_ENOUGH_REPLICAS, until the broker is back. They must wait, and not skip. It needs three brokers that the harness may take down."
}

// Member implements Fault.
func (NotEnoughReplicas) Member() string { return "" }

// Inject implements Fault.
func (f NotEnoughReplicas) Inject(ctx context.Context, env *Env) (string, error) {
	topic := env.Log.Header().DeadLetterTopic
	if f.Of == Outputs {
		topic = env.Log.Header().OutputTopic
	}
	if topic == "" {
		return "", Missed("there is no topic of %s", f.Of)
	}
	nodes := env.Brokers.Nodes()
	if len(nodes) < 3 {
		return "", Missed("there are brokers %v only: three are needed, or nothing is left to refuse", nodes)
	}
	undo, err := env.Topics.Configure(ctx, topic, "min.insync.replicas", fmt.Sprint(len(nodes)))
	if err != nil {
		return "", err
	}
	defer func() { _ = undo(context.WithoutCancel(ctx)) }() // the topic goes with the scenario
	leader, _, err := env.Brokers.Leader(ctx, topic, 0)
	if err != nil {
		return "", err
	}
	away, err := successor(nodes, leader) // not who leads: it is to answer that it may not
	if err != nil {
		return "", err
	}
	return outage{nodes: []int32{away}, how: Kill, meanwhile: func(ctx context.Context, _ time.Duration) (string, error) {
		// From here on nothing that goes there is acknowledged: first it waits for the dead copy, then copies are too few.
		// Later, when they are seen to be too few, all members may wait for an answer already, and begin nothing new.
		since := env.Log.Last()
		var inSync []int32
		err := awaitAnswer(ctx, func() (bool, error) {
			var err error
			_, inSync, err = env.Brokers.Leader(ctx, topic, 0)
			return err == nil && len(inSync) < len(nodes), err
		})
		if err != nil {
			return "", Missed("broker %d was killed, and still counts as in sync: %v", away, err)
		}
		met, err := f.met(ctx, env, since)
		if err != nil {
			return "", Missed("nothing that goes to %s came while copies were too few: %v", topic, err)
		}
		return fmt.Sprintf("broker %d was killed: %v of %v have %s, which asks for %d; %s was met then, and it lasted for %s",
			away, inSync, nodes, topic, len(nodes), met.Message, f.For), nil
	}}.run(ctx, env)
}

// met waits for a record that the fault concerns, and then for as long as it is to last. Of outputs that is one whose effect is done
// and whose transaction, which holds its output, was not committed all the time: all members may have begun such a transaction before
// copies were seen to be too few, and then nothing new comes. One that ends all the same had its outputs acknowledged before.
func (f NotEnoughReplicas) met(ctx context.Context, env *Env, since int64) (met history.Event, err error) {
	if f.Of != Outputs {
		if met, err = env.Log.Await(ctx, since, deadLetterDue); err != nil {
			return met, err
		}
		return met, pause(ctx, f.For)
	}
	for {
		var open bool
		err := env.Log.AwaitState(ctx, func() bool {
			met, open = newestOpen(env.Log.Events(0))
			return open
		})
		if err != nil {
			return met, err
		}
		if err := pause(ctx, f.For); err != nil {
			return met, err
		}
		if !coveredBy(env.Log.Events(met.Seq), met) {
			return met, nil
		}
	}
}

// newestOpen is the effect done last that no commit covers which was asked for since.
func newestOpen(events []history.Event) (history.Event, bool) {
	asked := map[int32]int64{}
	for _, e := range slices.Backward(events) {
		switch {
		case e.Kind == history.CommitRequested:
			asked[e.Partition] = max(asked[e.Partition], e.Offset)
		case e.Kind == history.EffectDone && e.Offset >= asked[e.Partition]:
			return e, true
		}
	}
	return history.Event{}, false
}

// coveredBy tells whether a commit among the events covers the record of an effect.
func coveredBy(events []history.Event, done history.Event) bool {
	return slices.ContainsFunc(events, func(e history.Event) bool {
		return e.Kind == history.CommitRequested && e.Partition == done.Partition && e.Offset > done.Offset
	})
}

// deadLetterDue matches the refusal of an effect that no attempt can bring to an end.
func deadLetterDue(e history.Event) bool {
	return e.Kind == history.EffectRefused && (e.Poison == "permanent" || e.Poison == "oversized" || e.Poison == "undecodable")
}

// BrokerRefuses has the brokers answer the members' requests with an error of Kafka's that will pass.
type BrokerRefuses struct {
	Request string // OffsetCommit, Fetch, Heartbeat, JoinGroup, Produce
	Error   string // NOT_COORDINATOR
	Of      string // DeadLetters or Outputs for Produce; else what the request is about by itself
	Times   int    // how many requests are refused
}

// Name implements Fault.
func (f BrokerRefuses) Name() string { return "broker-refuses-" + kebab(f.Request) }

// Doc implements Fault.
func (f BrokerRefuses) Doc() string {
	return fmt.Sprintf("The brokers answer %d requests of the members, %s, with an error that will pass (here %s), and then no more. It needs the embedded broker.", f.Times, f.Request, f.Error)
}

// Member implements Fault.
func (BrokerRefuses) Member() string { return "" }

// Inject implements Fault.
func (f BrokerRefuses) Inject(ctx context.Context, env *Env) (string, error) {
	topic := ""
	switch h := env.Log.Header(); {
	case f.Of == DeadLetters:
		topic = h.DeadLetterTopic
	case f.Of == Outputs:
		topic = h.OutputTopic
	case f.Request == "Fetch":
		topic = h.Topic
	}
	if topic == "" && f.Of != "" {
		return "", Missed("there is no topic of %s", f.Of)
	}
	if err := awaitWork(ctx, env); err != nil {
		return "", Missed("nothing was processed before requests were refused: %v", err)
	}
	since := env.Log.Last()
	hits, end, err := env.Brokers.Refuse(f.Request, topic, f.Error)
	if err != nil {
		return "", err
	}
	defer end()
	err = awaitAnswer(ctx, func() (bool, error) { return hits() >= f.Times, nil })
	if err != nil {
		return "", Missed("%d of %d requests (%s) came and were refused: %v", hits(), f.Times, f.Request, err)
	}
	end()
	if err := awaitCommit(ctx, env, env.Log.Last()); err != nil {
		return "", Missed("nothing was committed after the last refusal: %v", err)
	}
	return fmt.Sprintf("%d requests (%s) were answered %s; work stood still for %s at most",
		hits(), f.Request, f.Error, stillness(env.Log, since).Round(time.Millisecond)) + settle(ctx, env), nil
}

// kebab turns OffsetCommit into offset-commit.
func kebab(s string) string {
	var b []byte
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b = append(b, '-')
			}
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return string(b)
}
