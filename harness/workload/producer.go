package workload

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
)

// Headers of every record that a Producer sends.
const (
	HeaderID  = "ksim-id"  // Message.ID
	HeaderSeq = "ksim-seq" // Message.Seq, decimal
)

// afterCancel is how long Run waits, once its context has ended, for what is in
// flight: a healthy broker answers far sooner.
const afterCancel = time.Second

// Producer sends messages by an open-loop schedule and logs how each of them ended.
type Producer struct {
	Client *kgo.Client // made with ClientOpts
	Log    *history.Log
	Ledger *Ledger
	Topic  string
	// Transactional sends the messages that are in transactions: made with ClientOpts and
	// TransactionOpts. Nil where there are none.
	Transactional *kgo.Client
	// Timeout bounds how long the end of one message is waited for, after
	// which it is unknown; 0 is 30 s. The client may still deliver it later.
	Timeout time.Duration
}

// Stats counts how the messages of one Run ended.
type Stats struct {
	Acked, Failed, Unknown int
	Aborted                int // with their transactions
	// MaxLate is how far the producer was behind its schedule at worst. With a
	// rate of 0 there is no schedule, and it is next to nothing.
	MaxLate time.Duration
}

// Run sends msgs at rate messages/s (0: as fast as it goes) and returns when
// every message that was sent has ended; each has a Produced event then. It never waits
// for an answer before it sends the next message; only when the
// client's buffer is full does it fall behind, which MaxLate tells. When ctx
// ends it sends no more, waits at most a second for answers, calls the rest
// unknown and returns the error of ctx. Messages that ended badly are no error.
func (p *Producer) Run(ctx context.Context, msgs iter.Seq[Message], rate float64) (Stats, error) {
	w := wireOf(p.Client)
	if w == nil {
		return Stats{}, errors.New("workload: the producer's client was not made with workload.ClientOpts")
	}
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = answerTimeout
	}
	start := time.Now()
	r := &run{p: p, ctx: ctx, wire: w, base: p.Log.Since(start), changed: make(chan struct{}, 1)}
	r.head.next, r.head.prev = &r.head, &r.head
	sent := make(chan struct{})
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		r.settle(ctx, timeout, sent)
	}()
	if p.Transactional != nil {
		r.txn = newTransactions(r)
	}
	late, err := pace(ctx, msgs, Pacer{Rate: rate}, start, r.send)
	close(sent)
	<-settled
	if r.txn != nil {
		r.txn.close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.MaxLate = late
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("the workload was stopped before every message had ended: %w", ctx.Err())
	}
	return r.stats, err
}

// flight is a message between hand-over and end. It is the Context of its
// record, by which hooks and promises find it without a lookup.
type flight struct {
	context.Context
	record kgo.Record
	id     string
	key    string
	hash   string
	poison Poison
	size   int
	due    time.Duration // in the history's time
	sent   time.Time

	batched bool  // the client has put it into a batch
	written int64 // wire.written at that moment

	// Guarded by run.mu.
	prev, next *flight
	ended      bool
}

// run is one Run. Messages in flight stand in a list by the time they were
// handed over, so that the longest waiting is always the first.
type run struct {
	p    *Producer
	ctx  context.Context
	wire *wire
	txn  *transactions // nil where there are none
	base time.Duration // start of the schedule in the history's time

	mu      sync.Mutex
	head    flight // of the ring
	stats   Stats
	changed chan struct{} // one token: the list has become empty
}

func (r *run) send(m Message, due time.Duration) {
	s := r.p.Ledger.add(m)
	f := &flight{
		Context: r.ctx, id: m.ID, key: string(m.Key), poison: m.Poison, size: len(m.Value), due: r.base + due, sent: time.Now(),
		record: kgo.Record{
			Topic: r.p.Topic, Partition: m.Partition, Key: m.Key, Value: m.Value,
			Headers: []kgo.RecordHeader{
				{Key: HeaderID, Value: []byte(m.ID)},
				{Key: HeaderSeq, Value: strconv.AppendInt(nil, int64(m.Seq), 10)},
			},
		},
	}
	if m.Value != nil {
		f.hash = hex.EncodeToString(s.entry.Hash[:])
	}
	if m.Transaction != "" && r.txn != nil {
		r.txn.add(m.Transaction, f)
		return
	}
	f.record.Context = f
	r.mu.Lock()
	last := r.head.prev
	f.prev, f.next = last, &r.head
	last.next, r.head.prev = f, f
	r.mu.Unlock()
	r.p.Client.Produce(r.ctx, &f.record, r.done)
}

// done is the promise of every record.
func (r *run) done(rec *kgo.Record, err error) {
	f, ok := rec.Context.(*flight)
	if !ok {
		return // not one of ours; cannot be
	}
	if err == nil && rec.Offset >= 0 {
		// The ledger first: whoever reads the event finds the place there.
		r.p.Ledger.Acked(f.id, rec.Partition, rec.Offset)
		r.end(f, history.Acked, rec.Partition, rec.Offset, "")
		return
	}
	if err == nil {
		r.end(f, history.Unknown, -1, -1, "acknowledged as a duplicate, without an offset")
		return
	}
	r.end(f, r.wire.outcome(f, err), -1, -1, err.Error())
}

// end takes f out of the list and logs how it ended, once. An answer that comes
// after Run has called the message unknown changes nothing but the ledger.
func (r *run) end(f *flight, how history.Outcome, partition int32, offset int64, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.ended {
		return
	}
	f.ended = true
	f.prev.next, f.next.prev = f.next, f.prev
	f.prev, f.next = nil, nil
	r.tell(f, how, partition, offset, text)
	if r.head.next == &r.head {
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
}

// append logs how a message of a transaction ended.
func (r *run) append(f *flight, how history.Outcome, partition int32, offset int64, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(f, how, partition, offset, text)
}

// tell counts and logs how a message ended, under the lock: when Run returns, every event is in the history.
func (r *run) tell(f *flight, how history.Outcome, partition int32, offset int64, text string) {
	switch how {
	case history.Acked:
		r.stats.Acked++
	case history.Failed:
		r.stats.Failed++
	case history.Voided:
		r.stats.Aborted++
	default:
		r.stats.Unknown++
	}
	r.p.Log.Append(history.Event{
		Kind: history.Produced, Topic: r.p.Topic, Partition: partition, Offset: offset, Key: f.key, Message: f.id,
		Hash: f.hash, Poison: string(f.poison), Size: f.size, Due: f.due, Outcome: how, Error: text,
	})
}

// settle ends what the client does not end: everything that is in flight for
// longer than timeout, and all that is left a moment after ctx has ended. It
// returns when sent is closed and nothing is in flight.
func (r *run) settle(ctx context.Context, timeout time.Duration, sent <-chan struct{}) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	cancelled, over := ctx.Done(), false
	for {
		if over && r.first() == nil {
			return
		}
		select {
		case <-sent:
			sent, over = nil, true
		case <-r.changed:
		case <-cancelled:
			cancelled, timeout = nil, 0 // from now on everything is overdue …
			timer.Reset(afterCancel)    // … in a moment
		case <-timer.C:
			r.expire(timeout)
			next := timeout
			if f := r.first(); f != nil {
				next = time.Until(f.sent.Add(timeout))
			}
			timer.Reset(max(next, 10*time.Millisecond))
		}
	}
}

func (r *run) first() *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head.next == &r.head {
		return nil
	}
	return r.head.next
}

// expire calls everything unknown that was handed over longer than timeout ago.
func (r *run) expire(timeout time.Duration) {
	text := fmt.Sprintf("no answer within %s", timeout)
	if timeout == 0 {
		text = "no answer when the run was stopped"
	}
	for f := r.first(); f != nil && time.Since(f.sent) >= timeout; f = r.first() {
		r.end(f, history.Unknown, -1, -1, text)
	}
}
