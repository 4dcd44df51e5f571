package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/workload"
)

// Source makes the messages of a load. Message i, from 0, is the same whenever it is made.
type Source interface {
	// Next makes message i, which is due at that time from the start of the schedule. It is called in order, and what it
	// returns must stay as it is.
	Next(i int, due time.Duration) (key, value []byte, partition int32, err error)
	// ID is the id of message i.
	ID(i int) string
}

// Generator offers the load: it hands every message to the client when it is due, whatever became of those before it.
type Generator struct {
	Client  *kgo.Client // made with workload.ClientOpts
	Topic   string
	Source  Source
	Records *Records
	Start   time.Time // of the schedule
}

// settleTimeout bounds how long the answers to the last messages are waited for. A client gives up what it has not written
// sooner, see workload.ClientOpts.
const settleTimeout = 30 * time.Second

// flight is a message on its way. It is the context of its record, so that one promise serves all without a lookup.
type flight struct {
	context.Context
	record  kgo.Record
	headers [2]kgo.RecordHeader
	i       int
}

// flights are made so many at a time.
const flightSlab = 256

// Run offers messages until n have been handed over (0: no bound), stop is closed or ctx ends, and waits for the answers to
// all. Late is how far it was behind its schedule at worst. Messages that ended badly are no error; Records knows them.
func (g *Generator) Run(ctx context.Context, n int, stop <-chan struct{}) (late time.Duration, err error) {
	if n <= 0 || n > MaxMessages {
		n = MaxMessages
	}
	var slab []flight
	var failed error
	r := g.Records
	running, halt := context.WithCancel(ctx)
	defer halt()
	go func() {
		select {
		case <-stop:
			halt()
		case <-running.Done():
		}
	}()
	late, err = workload.Pace(running, r.due, n, g.Start, func(i int, due time.Duration) {
		key, value, partition, err := g.Source.Next(i, due)
		if err != nil {
			failed = fmt.Errorf("message %d: %w", i+1, err)
			halt()
			return
		}
		if len(slab) == 0 {
			slab = make([]flight, flightSlab)
		}
		f := &slab[0]
		slab = slab[1:]
		f.Context, f.i = ctx, i
		f.headers = [2]kgo.RecordHeader{
			{Key: workload.HeaderID, Value: []byte(g.Source.ID(i))},
			{Key: workload.HeaderSeq, Value: strconv.AppendInt(nil, int64(i)+1, 10)},
		}
		f.record = kgo.Record{Topic: g.Topic, Partition: partition, Key: key, Value: value, Headers: f.headers[:], Context: f}
		r.Sent(i, partition, time.Since(g.Start))
		g.Client.Produce(ctx, &f.record, g.answered)
	})
	if failed != nil {
		return late, failed
	}
	settled, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if ferr := g.Client.Flush(settled); ferr != nil && err == nil {
		err = fmt.Errorf("messages were not answered within %s: %w", settleTimeout, ferr)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		err = nil // it was to stop
	}
	return late, err
}

// answered is the promise of every record.
func (g *Generator) answered(rec *kgo.Record, err error) {
	f, ok := rec.Context.(*flight)
	switch {
	case !ok: // not one of ours; cannot be
	case err == nil && rec.Offset >= 0:
		g.Records.Acked(f.i, rec.Offset, time.Since(g.Start))
	default:
		g.Records.Failed(f.i)
	}
}
