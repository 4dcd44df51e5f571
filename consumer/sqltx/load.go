package sqltx

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// conflictTries is how often a transaction is tried in a row if others get in its way.
const conflictTries = 4

// loadChunk is how many partitions one statement takes over.
const loadChunk = 200

// Load implements consumer.OffsetStore: it takes partitions over, by raising the
// epoch in their rows. From then on the compare-and-set of whoever had one before
// fails, and his transaction is rolled back. What a race with him looks like:
//
//  1. The former owner has handled a batch, and does his compare-and-set: he has the lock of the row.
//  2. Load wants to raise the epoch, and waits for the lock, until ctx ends.
//  3. He commits. Load goes on, and reads the position that he stored.
//
// Had Load been first, it is he who waits: then he finds the new epoch, changes
// no row, and rolls back. Either way his batch is done once, and in order.
//
// A Load that arrives late, for a partition that has gone to another member
// meanwhile, fences that member: it joins again, and loads anew.
//
// A partition that nothing has been stored for is left out: it begins at what is
// committed to Kafka, else at Config.Start.
func (s *Store) Load(ctx context.Context, group string, partitions map[string][]int32) (map[string]map[int32]int64, error) {
	if err := s.serve(group); err != nil {
		return nil, err
	}
	number := s.loads.Add(1)
	next := make(map[string]map[int32]int64)
	for chunk := range slices.Chunk(sorted(partitions), loadChunk) {
		rows, err := s.takeOver(ctx, group, chunk)
		if err != nil {
			return nil, fmt.Errorf("sqltx: load the positions of %d partitions: %w", len(chunk), err)
		}
		s.mu.Lock()
		for tp, p := range rows {
			p.load, p.told = number, p.next
			if s.positions[tp].load <= number {
				s.positions[tp] = p
			}
		}
		s.mu.Unlock()
		for tp, p := range rows {
			if p.next == unknown {
				continue
			}
			if next[tp.topic] == nil {
				next[tp.topic] = make(map[int32]int64)
			}
			next[tp.topic][tp.partition] = p.next
		}
	}
	return next, nil
}

// serve ties the store to its one group.
func (s *Store) serve(group string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group != "" && s.group != group {
		return fmt.Errorf("sqltx: this store serves the group %s, and cannot serve %s: make one for each consumer", s.group, group)
	}
	s.group = group
	return nil
}

// sorted lists partitions in the one order in which everybody locks their rows,
// so that two who load the same ones do not wait for each other.
func sorted(partitions map[string][]int32) []topicPartition {
	var all []topicPartition
	for topic, numbers := range partitions {
		for _, n := range numbers {
			all = append(all, topicPartition{topic, n})
		}
	}
	slices.SortFunc(all, func(a, b topicPartition) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return slices.Compact(all)
}

// takeOver raises the epochs of some rows, and reads them.
func (s *Store) takeOver(ctx context.Context, group string, chunk []topicPartition) (map[topicPartition]position, error) {
	var text strings.Builder
	text.WriteString(`INSERT INTO {t} AS o (consumer_group, topic, partition_id, next_offset, epoch, updated_at) VALUES `)
	args := []any{group}
	for i, tp := range chunk {
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "($1, $%d, $%d, -1, 1, {now})", len(args)+1, len(args)+2)
		args = append(args, tp.topic, tp.partition)
	}
	text.WriteString(`
ON CONFLICT (consumer_group, topic, partition_id) DO UPDATE SET epoch = o.epoch + 1, updated_at = {now}
RETURNING topic, partition_id, next_offset, epoch`)
	statement := s.dialect.sql(text.String(), s.table)
	for try := 1; ; try++ {
		rows, err := s.raise(ctx, statement, args)
		if err == nil || try == conflictTries || ctx.Err() != nil || s.opts.Classify(err) != Conflict {
			return rows, err
		}
	}
}

func (s *Store) raise(ctx context.Context, statement string, args []any) (map[topicPartition]position, error) {
	tx, err := s.db.BeginTx(ctx, s.plain())
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after the commit
	rows, err := tx.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	out, err := scan(rows)
	if err != nil {
		return nil, err
	}
	// Without an answer to this COMMIT, the next Load raises the epochs again.
	return out, tx.Commit()
}

func scan(rows *sql.Rows) (map[topicPartition]position, error) {
	out := make(map[topicPartition]position)
	for rows.Next() {
		var tp topicPartition
		var p position
		if err := rows.Scan(&tp.topic, &tp.partition, &p.next, &p.epoch); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out[tp] = p
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// Skip implements consumer.OffsetStore: it moves a position past records that
// ended without the handler, by the same compare-and-set. It may be called
// again after an error, also if it was done.
func (s *Store) Skip(ctx context.Context, group, topic string, partition int32, next int64) error {
	if err := s.serve(group); err != nil {
		return err
	}
	tp := topicPartition{topic, partition}
	p, err := s.known(ctx, tp)
	if err != nil {
		return err
	}
	if next > p.next {
		if p, err = s.move(ctx, tp, p, next); err != nil {
			return err
		}
	}
	p.told = max(p.told, next)
	s.note(tp, p)
	return nil
}

// move stores a position outside of a handler's transaction.
func (s *Store) move(ctx context.Context, tp topicPartition, p position, next int64) (position, error) {
	t, err := s.begin(ctx, tp, p)
	if err != nil {
		return p, err
	}
	defer t.close()
	return t.commit(next)
}
