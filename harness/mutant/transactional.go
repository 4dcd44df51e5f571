package mutant

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/subject"
)

// transactions are the steps of a careful consumer that writes its outputs, its dead
// letters and its offsets in one transaction after the other.
type transactions struct {
	steps
	// end ends the transaction of what a poll has brought, by a commit or an abort.
	end func(t *transactional, polled kgo.Fetches, try kgo.TransactionEndTry) error
}

func carefulTransactions() transactions {
	return transactions{steps: careful(), end: func(t *transactional, _ kgo.Fetches, try kgo.TransactionEndTry) error {
		// What was aborted is polled again: the session goes back to what is committed.
		_, err := t.session.End(t.live, try)
		return err
	}}
}

// transactional is one client with its transactions. A rebalance does not wait for one:
// it waits for the record in hand, and the transaction is aborted.
type transactional struct {
	env     subject.Env
	do      transactions
	session *kgo.GroupTransactSession
	live    context.Context // outlasts the request to stop
	hand    *partition      // what handles records; its context is live

	busy  sync.Mutex // held while a record is in hand
	turns int        // rebalances so far, under busy
}

// transact is one life: client after client, since a client whose transaction could not
// be ended is of no use any more.
func transact(ctx context.Context, env subject.Env, do transactions) error {
	if env.OutputTopic == "" || env.TransactionalID == "" {
		return errors.New("KSIM_OUTPUT_TOPIC or KSIM_TRANSACTIONAL_ID is not set: promise exactly-once")
	}
	asked, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	sink := newSink(env.SinkURL, do.patience)
	defer sink.close()
	c := &consumer{env: env, do: do.steps, sink: sink, attempts: newAttempts(), asked: asked, fail: fail, log: log.New(os.Stderr, env.Member+" ", log.Lmicroseconds)}
	for asked.Err() == nil {
		if err := c.transact(do); err != nil && asked.Err() == nil {
			c.log.Printf("a new client, since a transaction could not be ended: %v", err)
		}
	}
	if ctx.Err() == nil {
		return context.Cause(asked)
	}
	return nil
}

func (c *consumer) transact(do transactions) error {
	live, cancel := context.WithCancel(context.Background())
	defer cancel()
	t := &transactional{env: c.env, do: do, live: live}
	session, err := kgo.NewGroupTransactSession(append(options(c.env), append(do.client(),
		kgo.TransactionalID(c.env.TransactionalID), kgo.TransactionTimeout(30*time.Second),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { t.turn() }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { t.turn() }),
	)...)...)
	if err != nil {
		c.fail(err)
		return err
	}
	defer session.Close()
	t.session, c.client = session, session.Client()
	t.hand = newPartition(c, 0)
	// Ends what an earlier life has left open: until then nobody is told where it stood (KIP-447).
	claim, done := context.WithTimeout(c.asked, 20*time.Second)
	defer done()
	if _, _, err := c.client.ProducerID(claim); err != nil {
		return err
	}
	for c.asked.Err() == nil {
		t.busy.Lock()
		turns := t.turns
		t.busy.Unlock()
		fetches := session.PollRecords(c.asked, c.env.BatchSize)
		c.complain(fetches)
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := t.one(fetches, turns); err != nil {
			return err
		}
	}
	return nil
}

// turn is told that partitions go. The record in hand is finished first; none is begun after it.
func (t *transactional) turn() {
	t.busy.Lock()
	defer t.busy.Unlock()
	t.turns++
}

// one runs one transaction. turns is how many rebalances there were before its poll.
func (t *transactional) one(fetches kgo.Fetches, turns int) error {
	if err := t.session.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	var outputs kgo.FirstErrPromise
	try := kgo.TryCommit
	for _, r := range fetches.Records() {
		if !t.record(r, turns, &outputs) {
			try = kgo.TryAbort
			break
		}
	}
	if err := outputs.Err(); err != nil {
		t.hand.c.log.Printf("an output: %v", err)
		try = kgo.TryAbort
	}
	return t.do.end(t, fetches, try)
}

// record does one record and produces its output; false if its partition has gone.
func (t *transactional) record(r *kgo.Record, turns int, outputs *kgo.FirstErrPromise) bool {
	t.busy.Lock()
	defer t.busy.Unlock()
	switch {
	case t.turns != turns:
		return false
	case r.Attrs.IsControl() || r.Value == nil:
		return true
	}
	letters := t.hand.letters.Load()
	if !t.hand.handle(r) {
		return false
	}
	if t.hand.letters.Load() == letters { // else it has a dead letter instead
		t.session.Produce(t.live, &kgo.Record{
			Topic: t.env.OutputTopic, Key: r.Key, Value: r.Value, Headers: []kgo.RecordHeader{{Key: "Ksim-Record", Value: fmt.Appendf(nil, "%s/%d/%d", r.Topic, r.Partition, r.Offset)}},
		}, outputs.Promise())
	}
	return true
}
