package workload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
)

// transactionSize is how many messages a transaction of the workload has at most. What is
// behind an open transaction waits, so it is begun when its messages are at hand, and ended at once.
const transactionSize = 8

// transactionTimeout is after which the broker aborts a transaction that nobody ends.
const transactionTimeout = 30 * time.Second

// TransactionOpts are the options that [Producer.Transactional] needs besides those of ClientOpts.
func TransactionOpts(id string) []kgo.Opt {
	return []kgo.Opt{kgo.TransactionalID(id), kgo.TransactionTimeout(transactionTimeout)}
}

// transactions sends the messages of one Run that are in transactions: one
// transaction at a time, while the others flow.
type transactions struct {
	run   *run
	open  map[Ending][]*flight // gathered, not yet sent
	ready chan group
	done  chan struct{}
}

// group is one transaction.
type group struct {
	ending  Ending
	flights []*flight
}

func newTransactions(r *run) *transactions {
	t := &transactions{run: r, open: map[Ending][]*flight{}, ready: make(chan group, 1<<10), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		for g := range t.ready {
			if r.ctx.Err() == nil { // a run that is over sends no more
				t.send(g)
			}
		}
	}()
	return t
}

func (t *transactions) add(how Ending, f *flight) {
	t.open[how] = append(t.open[how], f)
	if len(t.open[how]) == transactionSize {
		t.flush(how)
	}
}

func (t *transactions) flush(how Ending) {
	if len(t.open[how]) > 0 {
		t.ready <- group{how, t.open[how]}
		t.open[how] = nil
	}
}

// close sends what is left and waits until all has ended.
func (t *transactions) close() {
	t.flush(Commit)
	t.flush(Abort)
	close(t.ready)
	<-t.done
}

// send is one transaction from its begin to its end. The context of the run does not cut it off, since what
// becomes of it would not be known.
func (t *transactions) send(g group) {
	r, client := t.run, t.run.p.Transactional
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), transactionTimeout)
	defer cancel()
	if err := client.BeginTransaction(); err != nil {
		for _, f := range g.flights {
			r.append(f, history.Failed, -1, -1, err.Error()) // never sent
		}
		return
	}
	var mu sync.Mutex
	errs := map[*flight]error{}
	for _, f := range g.flights {
		client.Produce(ctx, &f.record, func(rec *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if errs[f] = err; err == nil {
				r.p.Ledger.Acked(f.id, rec.Partition, rec.Offset) // a member that reads uncommitted may have it already
			}
		})
	}
	written := client.Flush(ctx)
	mu.Lock()
	defer mu.Unlock()
	for _, err := range errs {
		written = errors.Join(written, err)
	}
	how, ended := t.end(ctx, g.ending == Commit && written == nil)
	for _, f := range g.flights {
		text := ""
		if err := errors.Join(errs[f], ended); err != nil {
			text = err.Error()
		}
		if errs[f] != nil {
			r.append(f, how, -1, -1, text)
			continue
		}
		r.append(f, how, f.record.Partition, f.record.Offset, text)
	}
}

// end ends the transaction and tells what became of all in it. One that nobody asked to commit is aborted
// whatever happens, at the latest by the broker when its time is up.
func (t *transactions) end(ctx context.Context, commit bool) (history.Outcome, error) {
	client := t.run.p.Transactional
	if !commit {
		return history.Voided, client.EndTransaction(ctx, kgo.TryAbort)
	}
	err := client.EndTransaction(ctx, kgo.TryCommit)
	if err == nil {
		return history.Acked, nil
	}
	// So that the next one can begin. What became of this one the topic tells.
	return history.Unknown, fmt.Errorf("commit: %w", errors.Join(err, client.EndTransaction(ctx, kgo.TryAbort)))
}
