package observe

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

// HeaderRecord is the header by which an output names the record that it was
// made from, as topic/partition/offset. It is that of effects at the sink too.
const HeaderRecord = workload.HeaderRecord

// Output is what came of one record in a store outside of Kafka: a row of a
// table, a document.
type Output struct {
	// Record is its source, as topic/partition/offset; "" if the store does not tell.
	Record string
	// Value stands for the record where Record does not: its bytes, or JSON with its id.
	Value []byte
	Key   string
	Where string // for people who look for it: "table payments, id 7"
}

// Outputs reads all that anybody can see, at the end of a run, of what was made
// from the records of topic. It is the caller's: the harness knows no database.
type Outputs func(ctx context.Context, topic string) ([]Output, error)

// LogOutputs appends one [history.Output] event for each output of a store.
func LogOutputs(outputs []Output, ledger *workload.Ledger, log *history.Log) {
	m := matcher{ledger: ledger, topic: log.Header().Topic}
	for _, o := range outputs {
		e := history.Event{
			Kind: history.Output, Key: bounded(o.Key, maxKey), Hash: hash(o.Value), Size: len(o.Value),
			Origin: bounded(o.Record, maxHeaderValue), Note: bounded(o.Where, maxHeaderValue),
		}
		if entry, ok := m.match(o.Record, "", o.Value); ok {
			e.Message, e.Poison = entry.ID, string(entry.Poison)
		}
		log.Append(e)
	}
}

// ReadOutputs reads an output topic from its start to its end, as read_committed, and
// appends one [history.Output] event for each record. It waits first until no
// transaction is open there, since what lies behind an open one cannot be seen. It
// returns false if one still was when ctx ended; what lay before it was read.
// Call it when nobody writes any more.
func ReadOutputs(ctx context.Context, opts []kgo.Opt, topic string, ledger *workload.Ledger, log *history.Log) (bool, error) {
	r, err := newReader(opts, topic)
	if err != nil {
		return false, err
	}
	defer r.close()
	settled, err := r.settled(ctx)
	if err != nil {
		return false, fmt.Errorf("ask for open transactions in topic %s: %w", topic, err)
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), sampleTimeout)
	defer cancel()
	if settled { // else ctx has ended
		bounded = ctx
	}
	end, err := r.ends(bounded)
	if err != nil {
		return false, err
	}
	m := matcher{ledger: ledger, topic: log.Header().Topic}
	appendOutput := func(rec *kgo.Record) {
		e := m.output(rec)
		e.Time = appended(log, rec)
		log.Append(e)
	}
	if err := r.readTo(bounded, end, appendOutput); err != nil {
		return false, fmt.Errorf("read outputs: %w", err)
	}
	return settled, nil
}

// settled waits until the last stable offset is the end of every partition; false
// if ctx ends before. Brokers end a transaction whose producer is gone when its time is up.
func (r *reader) settled(ctx context.Context) (bool, error) {
	for {
		open := false
		err := ask(ctx, func() error {
			// In this order: what is open then cannot be taken for closed.
			last, err := listed(r.admin.ListEndOffsets(ctx, r.topic))
			if err != nil {
				return err
			}
			stable, err := listed(r.admin.ListCommittedOffsets(ctx, r.topic))
			if err != nil {
				return err
			}
			open = false
			for partition, end := range last[r.topic] {
				s, ok := stable.Lookup(r.topic, partition)
				open = open || !ok || s.Offset < end.Offset
			}
			return nil
		})
		switch {
		case err == nil && !open:
			return true, nil
		case err == nil && pause(ctx, askAgain):
		case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
			return false, nil
		default:
			return false, cmp.Or(err, context.Cause(ctx))
		}
	}
}

// matcher finds the records that outputs were made from.
type matcher struct {
	ledger *workload.Ledger
	topic  string // the one under test
}

func (m matcher) output(rec *kgo.Record) history.Event {
	source, _ := header(rec.Headers, HeaderRecord)
	id, _ := header(rec.Headers, workload.HeaderID)
	e := seen(history.Output, rec)
	e.Origin = bounded(string(source), maxHeaderValue)
	if entry, ok := m.match(string(source), string(id), rec.Value); ok {
		e.Message, e.Poison = entry.ID, string(entry.Poison)
	}
	return e
}

// match believes the place that an output names most: it was made for that. Then
// come ids, in a header or in the field "id" of JSON, and the bytes.
func (m matcher) match(source, id string, value []byte) (workload.Entry, bool) {
	if partition, offset, ok := workload.ParseRecord(m.topic, source); ok {
		if e, ok := m.ledger.ByRecord(partition, offset); ok {
			return e, true
		}
	}
	if e, ok := m.ledger.ByID(id); ok && id != "" {
		return e, true
	}
	if len(value) == 0 {
		return workload.Entry{}, false
	}
	if e, ok := m.ledger.ByHash(sha256.Sum256(value)); ok {
		return e, true
	}
	var body struct{ ID string }
	if json.Unmarshal(value, &body) != nil || body.ID == "" {
		return workload.Entry{}, false
	}
	return m.ledger.ByID(body.ID)
}
