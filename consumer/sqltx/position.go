package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sort"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

var (
	errNotLoaded = errors.New("sqltx: the partition was never loaded: set Config.Offsets to the store that made the handler")
	errTaken     = errors.New("sqltx: another member has taken the partition over, or its row was changed by hand")
)

// RewoundError is given to [consumer.Fatal] when a record comes whose position
// has been passed long ago: the log is shorter than the stored position, since the
// topic was made anew or lost its end, and Config.Reset went back. Whether
// these are new records or old ones cannot be told, so the consumer stops. Look,
// then say where to go on by [Store.Reset].
type RewoundError struct {
	Topic     string
	Partition int32
	Offset    int64 // of the record
	Next      int64 // the stored position
}

// Error implements error.
func (e *RewoundError) Error() string {
	return fmt.Sprintf("sqltx: %s/%d: record %d came, but the stored position is %d: was the topic made anew, or cut off? Say where to go on with Store.Reset", e.Topic, e.Partition, e.Offset, e.Next)
}

// unknown is the position of a partition of which nothing has been stored yet.
const unknown int64 = -1

type topicPartition struct {
	topic     string
	partition int32
}

// position is what this member knows of a partition's row. It is the row as
// this member last wrote or read it: offsets have gaps, so what is next cannot
// be told from the records.
type position struct {
	load  uint64 // the Load that brought it; what an earlier one's handler says is ignored
	epoch int64
	next  int64
	told  int64 // the consumer has been told that records below it are done
	doubt bool  // a COMMIT had no answer: the row holds next, or maybe
	maybe int64
}

// seen returns how many of the records have been done already, by a COMMIT
// whose answer came late.
func (p position) seen(tp topicPartition, recs []*kgo.Record) (int, error) {
	if first := recs[0].Offset; first < p.told {
		return 0, consumer.Fatal(&RewoundError{tp.topic, tp.partition, first, p.told})
	}
	return sort.Search(len(recs), func(i int) bool { return recs[i].Offset >= p.next }), nil
}

// known returns the position of a partition, without a doubt.
func (s *Store) known(ctx context.Context, tp topicPartition) (position, error) {
	s.mu.Lock()
	p, ok := s.positions[tp]
	s.mu.Unlock()
	switch {
	case !ok:
		return p, consumer.Fatal(fmt.Errorf("%w (%s/%d)", errNotLoaded, tp.topic, tp.partition))
	case p.doubt:
		return s.resolve(ctx, tp, p)
	}
	return p, nil
}

// note keeps a position, unless the partition has been loaded again meanwhile.
func (s *Store) note(tp topicPartition, p position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.positions[tp].load == p.load {
		s.positions[tp] = p
	}
}

// resolve finds out whether a transaction whose COMMIT had no answer was
// committed. That may be decided while we ask:
//
//  1. The transaction holds the lock of the row, by its compare-and-set, and COMMIT is on its way.
//  2. The connection breaks.
//  3. On a new connection, we ask for the row.
//  4. The server reads the COMMIT from the old connection, and does it.
//
// A plain read at 3 would see the old position, and the effects would be done
// again. So the row is locked to be read: that waits for the end of the
// transaction, whatever it is. SQLite has no such gap: the COMMIT ends in this process.
//
// If the answer cannot be had now, the doubt stays, and is the first thing the
// next call asks about.
func (s *Store) resolve(ctx context.Context, tp topicPartition, p position) (position, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	epoch, next, err := s.read(ctx, tp)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return p, consumer.Fenced(fmt.Errorf("%w (%s/%d: the row is gone)", errTaken, tp.topic, tp.partition))
	case err != nil:
		return p, consumer.Unavailable(fmt.Errorf("sqltx: %s/%d: a COMMIT had no answer, and whether it was done cannot be told yet: %w", tp.topic, tp.partition, err))
	case epoch != p.epoch || next != p.next && next != p.maybe:
		// If ours was done, it was before the other one loaded, which then read it.
		return p, consumer.Fenced(fmt.Errorf("%w (%s/%d: epoch %d, next %d)", errTaken, tp.topic, tp.partition, epoch, next))
	}
	p.doubt, p.next = false, next
	s.note(tp, p)
	return p, nil
}

// read reads a row once no transaction that has changed it is open any more.
func (s *Store) read(ctx context.Context, tp topicPartition) (epoch, next int64, err error) {
	group := s.groupName()
	if s.dialect == SQLite {
		err = s.db.QueryRowContext(ctx, s.sql.read, group, tp.topic, tp.partition).Scan(&epoch, &next)
		return epoch, next, err
	}
	tx, err := s.db.BeginTx(ctx, s.plain())
	if err != nil {
		return 0, 0, err
	}
	err = tx.QueryRowContext(ctx, s.sql.read, group, tp.topic, tp.partition).Scan(&epoch, &next)
	return epoch, next, errors.Join(err, tx.Rollback())
}
