package observe

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

// maxForeign bounds Scanned.Foreign; Scanned.ForeignCount tells how many there were.
const maxForeign = 16

// Scanned is what a topic holds.
type Scanned struct {
	Records int // records in the topic, control records not counted
	// Resolved counts the messages whose produce had no answer, or a negative
	// one, and that are in the topic nevertheless.
	Resolved int
	// Repeated counts records whose message stands in the topic before: a
	// retry of a producer that was not idempotent.
	Repeated int
	// ForeignCount counts records that the workload did not produce; Foreign
	// holds the first of them, as topic/partition@offset.
	ForeignCount int
	Foreign      []string
	// Missing counts messages that were acknowledged and are not in the topic any more.
	Missing int
}

// Scan reads topic from its start to its current end and compares it with
// what was sent. For each message that the log does not call acked but that is
// in the topic it appends a [history.Logged] event, with Ref the Seq of the
// Produced event, and tells the ledger the place. For those that were acknowledged, are not
// in the topic, and of which the log does not know yet that they were removed, it appends [history.Removed]
// events: with ref, the Seq of the newest event when they were there for sure, or 0. Call it when the producer is
// done. It is bounded by ctx; with an error, Scanned is what was read so far.
func Scan(ctx context.Context, opts []kgo.Opt, topic string, ledger *workload.Ledger, log *history.Log, ref int64) (Scanned, error) {
	r, err := newReader(opts, topic)
	if err != nil {
		return Scanned{}, err
	}
	defer r.close()
	end, err := r.ends(ctx)
	if err != nil {
		return Scanned{}, err
	}
	s := scan{ledger: ledger, log: log, end: end, open: unanswered(log, topic), found: make(map[string]bool)}
	if err := r.readTo(ctx, end, s.record); err != nil {
		return s.Scanned, fmt.Errorf("scan: %w", err)
	}
	s.missing(topic, ref)
	return s.Scanned, nil
}

type scan struct {
	Scanned
	ledger *workload.Ledger
	log    *history.Log
	end    map[int32]int64
	open   map[string]history.Event // by message: produces that were not acked
	found  map[string]bool          // messages met so far
}

// unanswered returns the produces to topic that did not end in an ack.
func unanswered(log *history.Log, topic string) map[string]history.Event {
	open := make(map[string]history.Event)
	for _, e := range log.Events(0) {
		if e.Kind == history.Produced && e.Outcome != history.Acked && e.Outcome != history.Voided && e.Topic == topic {
			open[e.Message] = e
		}
	}
	return open
}

func (s *scan) record(rec *kgo.Record) {
	if rec.Offset >= s.end[rec.Partition] {
		return // came after the scan began
	}
	s.Records++
	entry, ok := s.ours(rec)
	if !ok {
		s.ForeignCount++
		if len(s.Foreign) < maxForeign {
			s.Foreign = append(s.Foreign, fmt.Sprintf("%s/%d@%d", rec.Topic, rec.Partition, rec.Offset))
		}
		return
	}
	if s.found[entry.ID] {
		s.Repeated++
		return
	}
	s.found[entry.ID] = true
	produced, ok := s.open[entry.ID]
	if !ok {
		return
	}
	s.Resolved++
	s.ledger.Acked(entry.ID, rec.Partition, rec.Offset)
	s.log.Append(history.Event{
		Kind: history.Logged, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset,
		Key: produced.Key, Message: produced.Message, Hash: produced.Hash, Poison: produced.Poison,
		Due: produced.Due, Size: produced.Size, Outcome: history.Acked, Ref: produced.Seq,
		Time: appended(s.log, rec),
	})
}

// ours finds the message of a record. The id says which it claims to be, and
// its bytes prove it: in this topic nobody but the workload writes ids.
func (s *scan) ours(rec *kgo.Record) (workload.Entry, bool) {
	id, ok := header(rec.Headers, workload.HeaderID)
	if !ok {
		return workload.Entry{}, false
	}
	entry, ok := s.ledger.ByID(string(id))
	same := ok && bytes.Equal(entry.Value, rec.Value) && (entry.Value == nil) == (rec.Value == nil) && bytes.Equal(entry.Key, rec.Key)
	return entry, same
}

// missing logs what was acknowledged and not found, as stretches of offsets without a gap.
func (s *scan) missing(topic string, ref int64) {
	known := map[int32][]history.Event{}
	lost := map[int32][]int64{}
	for _, e := range s.log.Events(0) {
		switch {
		case e.Topic != topic:
		case e.Kind == history.Recreated: // what was in the old one is not looked for in the new one
			clear(known)
			clear(lost)
		case e.Kind == history.Removed:
			known[e.Partition] = append(known[e.Partition], e)
		case e.Kind == history.Produced && e.Outcome == history.Acked && !s.found[e.Message] && e.Offset < s.end[e.Partition]:
			lost[e.Partition] = append(lost[e.Partition], e.Offset)
		}
	}
	for partition, offsets := range lost {
		offsets = slices.DeleteFunc(offsets, func(o int64) bool {
			return slices.ContainsFunc(known[partition], func(e history.Event) bool { return e.Offset <= o && o < e.End })
		})
		s.Missing += len(offsets)
		slices.Sort(offsets)
		for len(offsets) > 0 {
			n := 1
			for n < len(offsets) && offsets[n] == offsets[0]+int64(n) {
				n++
			}
			s.log.Append(history.Event{
				Kind: history.Removed, Topic: topic, Partition: partition, Offset: offsets[0], End: offsets[0] + int64(n), Ref: ref, Note: "not in the log",
			})
			offsets = offsets[n:]
		}
	}
}
