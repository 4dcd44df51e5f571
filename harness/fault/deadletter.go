package fault

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/tap"
	"github.com/ksim-dev/ksim/harness/workload"
)

// CrashAtDeadLetter kills a member when its dead letter has not reached the broker.
type CrashAtDeadLetter struct {
	Target string
}

// Name implements Fault.
func (CrashAtDeadLetter) Name() string { return "crash-before-dead-letter" }

// Doc implements Fault.
func (CrashAtDeadLetter) Doc() string {
	return "The first thing that a member produces, a dead letter, is held before it reaches the broker; once an auto-commit interval has passed, " +
		"or the member has committed past a poison record that has no dead letter, the member is killed (SIGKILL) and started again."
}

// Member implements Fault.
func (f CrashAtDeadLetter) Member() string { return f.Target }

// Inject implements Fault.
func (f CrashAtDeadLetter) Inject(ctx context.Context, env *Env) (string, error) {
	if err := present(env, f.Target); err != nil {
		return "", err
	}
	armed := env.Tap.Add(tap.Rule{Name: f.Name(), Member: f.Target, Key: kmsg.Produce.Int16(), Direction: tap.Request, Action: tap.Hold{}})
	defer armed.Remove()
	call, ok := awaitCall(ctx, armed)
	if !ok {
		return "", Missed("%s produced nothing: is poison put aside by another way than KSIM_BOOTSTRAP_SERVERS?", f.Target)
	}
	note := fmt.Sprintf("%s killed with its dead letter on the way to the broker", f.Target)
	bounded, cancel := context.WithTimeout(ctx, env.AutoCommit+env.AutoCommit/5)
	defer cancel()
	e, err := env.Log.Await(bounded, env.Log.Last(), func(e history.Event) bool {
		mine := e.Member == f.Target && e.Incarnation == call.Incarnation
		return mine && (e.Kind == history.MemberEnded || e.Kind == history.Committed && e.Outcome == history.Accepted && abandoned(env.Log, e) != "")
	})
	switch {
	case err != nil: // it has not: it waits for its dead letter
	case e.Kind == history.MemberEnded:
		return "", Missed("%s ended by itself while its dead letter was held", e.Who())
	default:
		note += fmt.Sprintf("; it had committed %d of partition %d, past %s, which has no dead letter", e.Offset, e.Partition, abandoned(env.Log, e))
	}
	if err := env.Members.Kill(ctx, f.Target, call.Incarnation); err != nil {
		return "", err
	}
	// Its connections are closed with that: what is held then is not passed on when the rule goes. The next life
	// produces freely.
	if err := env.Members.Release(ctx, f.Target); err != nil {
		return "", err
	}
	armed.Remove()
	err = revive(ctx, env, f.Target, &note)
	return note, err
}

// abandoned names a poison record that the commit lies above and that has no dead letter; "" if there is none.
func abandoned(log *history.Log, commit history.Event) string {
	open := map[string]string{}
	for _, e := range log.Events(0) {
		switch {
		case e.Kind == history.DeadLettered:
			delete(open, e.Message)
		case e.Kind == history.Produced && e.Outcome == history.Acked && e.Partition == commit.Partition && e.Offset < commit.Offset:
			switch workload.Poison(e.Poison) {
			case workload.Undecodable, workload.Permanent, workload.Oversized:
				open[e.Message] = e.Where()
			}
		}
	}
	for _, at := range open {
		return at
	}
	return ""
}
