// Package mutant holds consumers that are right but for one classic mistake each.
// A check that has never failed proves nothing: every mutant must be caught by the
// check that is meant for it.
//
// All mutants are made from one careful consumer ([Careful]), which must be held in
// every scenario in which a mutant is caught. Its steps are in careful.go; a mutant's file
// shows the step that it gets wrong. Package matrix runs them.
package mutant

import (
	"context"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/reexec"
	"github.com/ksim-dev/ksim/harness/subject"
)

// Mutant is a consumer with one mistake, and how that comes to light.
type Mutant struct {
	Name string // commit-on-poll
	// Mistake is what it does wrong, in one line.
	Mistake string
	// Doc tells where people meet the mistake, and gives a source: a KIP, an issue or
	// the documentation of a client. Markdown.
	Doc string
	// Subject runs it: a [subject.Func], or a [subject.Process] in another language.
	Subject subject.Subject
	// Missing returns why the subject cannot be run here, such as the tool that is not
	// installed and the command that gets it; "" if it can. Nil is always.
	Missing func() string
	// Promises lays over what all mutants promise (see [Promises]) what is different for this
	// one: not what it breaks, but what it would not promise if it were right. May be nil.
	Promises func(*history.Promises)
	// Caught names the checks that are meant to see the mistake. All of them are
	// violated in every run of the scenarios, in one of these or another.
	Caught []string
	// Scenarios names those in which the mistake shows.
	Scenarios []string
	// AlsoAllowed names checks that may be violated too, as a consequence, or by luck.
	AlsoAllowed []string
	// Waits is what the mutant needs and has not here, such as real Kafka; "" if it has all.
	Waits string
}

// Promises is what the careful consumer promises, and so every mutant, but for what its own
// Promises say. The back-off is the least that its jitter leaves.
func Promises() history.Promises {
	p := history.DefaultPromises()
	p.Drain = true
	p.MaxAttempts, p.MinBackoff = 5, firstBackoff*8/10
	p.DeadLetterHeaders = "kip-1191"
	p.Recovery = 30 * time.Second
	p.Isolation, p.Independent, p.MaxInFlight = history.ReadCommitted, history.IndependentPartitions, maxInFlight
	p.LagMetric, p.LagWindow = lagMetric, 3*time.Second
	return p
}

// maxInFlight is what a member holds at most of the scenario backlog: two partitions, each with two batches that wait, a fetch
// of a mebibyte that comes on top, and the next one that was asked for meanwhile.
const maxInFlight = 300

// Promised is what this mutant promises.
func (m Mutant) Promised() history.Promises {
	p := Promises()
	if m.Promises != nil {
		m.Promises(&p)
	}
	return p
}

// exactlyOnce is what the transactional consumer promises. A rebalance aborts its
// transaction, and what was done in it comes again.
func exactlyOnce(p *history.Promises) {
	p.Delivery, p.Drain = history.ExactlyOnce, false
	p.Independent, p.MaxInFlight, p.LagMetric = "", 0, "" // it does one poll after the other, and exports nothing
}

// All returns every mutant, in the order of the documentation.
func All() []Mutant {
	return []Mutant{
		commitOnPoll(), autoCommitWithWorkers(), commitHighest(), commitWholeBatch(), commitLastPartition(), commitSameOffset(),
		assumeContiguity(), commitAfterRevoke(), commitOnLost(), commitCancelled(),
		resetToLatest(), logAndContinue(), readUncommitted(),
		noDrain(), staleQueue(), noLeave(),
		goroutinePerRecord(), retryAtTail(),
		retryAtOnce(), panicOnBadRecord(), backoffInPollLoop(), forgetAttempts(),
		deadLetterNotAwaited(), deadLetterReencoded(), deadLetterWithoutKey(), deadLetterWithoutHeaders(), outageAsPoison(), tombstoneAsPoison(),
		pausedForEver(), headOfLine(), stuckHandler(), unboundedBuffer(), staleLag(),
		offsetOutsideTransaction(), abortTakenAsDone(),
	}
}

// Careful returns the consumers that mutants are made from: without a mistake, to be
// held in everything.
func Careful() []Mutant {
	return []Mutant{
		{
			Name: "careful", Subject: variant("careful", func(*steps) {}),
			Doc: "At least once, in order by partition: commits when it is done, drains before it gives up, retries within bounds, awaits its dead letters.",
		},
		{
			Name: "careful-transactional", Subject: txVariant("careful-transactional", func(*transactions) {}), Promises: exactlyOnce,
			Doc: "Exactly once by transactions: outputs, dead letters and offsets of what a poll has brought are committed together or not at all.",
		},
	}
}

// Modes are what reexec.Main needs to run those that are Go functions.
func Modes() []reexec.Mode {
	var modes []reexec.Mode
	for _, m := range append(Careful(), All()...) {
		if f, ok := m.Subject.(subject.Func); ok {
			modes = append(modes, f.Mode())
		}
	}
	return modes
}

// variant is the careful consumer with one step changed. change is called once in each
// life, so what it declares is the life's own.
func variant(name string, change func(*steps)) subject.Func {
	return subject.Func{Label: "mutant/" + name, Run: func(ctx context.Context, env subject.Env) error {
		s := careful()
		change(&s)
		return life(ctx, env, s)
	}}
}

// txVariant is the same of the transactional one.
func txVariant(name string, change func(*transactions)) subject.Func {
	return subject.Func{Label: "mutant/" + name, Run: func(ctx context.Context, env subject.Env) error {
		s := carefulTransactions()
		change(&s)
		return transact(ctx, env, s)
	}}
}
