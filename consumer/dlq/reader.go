package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// lookahead is how many letters of a partition are read before one is chosen.
	lookahead = 500
	// maxAhead bounds the keys and values that are read ahead, in bytes, over all
	// partitions. It wins over lookahead.
	maxAhead = 64 << 20
)

// bounds are the first offset of a partition and where what is committed ends.
type bounds struct{ start, end int64 }

// topicBounds asks for the bounds of every partition of a topic.
func topicBounds(ctx context.Context, adm *kadm.Client, topic string) (map[int32]bounds, error) {
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = topicError(topic, starts)
	}
	if err != nil {
		return nil, fmt.Errorf("dlq: read %s: %w", topic, plain(err))
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = topicError(topic, ends)
	}
	if err != nil {
		return nil, fmt.Errorf("dlq: read %s: %w", topic, plain(err))
	}
	all := make(map[int32]bounds)
	for partition, start := range starts[topic] {
		end, ok := ends[topic][partition]
		if !ok {
			return nil, fmt.Errorf("dlq: read %s: partition %d has no end", topic, partition)
		}
		all[partition] = bounds{start.Offset, end.Offset}
	}
	return all, nil
}

func topicError(topic string, offsets kadm.ListedOffsets) error {
	if len(offsets[topic]) == 0 {
		return kerr.UnknownTopicOrPartition
	}
	return offsets.Error()
}

// plain says what the common refusals of a broker mean here.
func plain(err error) error {
	var hint string
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		hint = "there is no such topic, or it may not be seen"
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		hint = "it needs READ and DESCRIBE on the dead-letter topic, WRITE and DESCRIBE on the topics to send to"
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		hint = "it needs READ and DESCRIBE on the group that keeps the progress"
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		hint = "it needs WRITE and DESCRIBE on the transactional id, which is the name of the group"
	case errors.Is(err, kerr.InvalidTimestamp):
		hint = "the topic does not take timestamps that old: choose the time of sending"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}

// reader reads a dead-letter topic from given offsets to given ends, merged.
type reader struct {
	topic string
	idle  time.Duration // how long nothing may come
	cl    *kgo.Client
	lanes []*lane
	byID  map[int32]*lane
	ahead int // bytes for each lane
}

// newReader reads up to each partition's end, from the offset that from gives for it.
func newReader(cfg *Config, all map[int32]bounds, from func(partition int32) int64) (*reader, error) {
	r := &reader{topic: cfg.Topic, idle: cfg.Timeout, byID: make(map[int32]*lane)}
	at := make(map[int32]kgo.Offset)
	for partition, b := range all {
		start := max(b.start, from(partition))
		if start >= b.end {
			continue
		}
		l := &lane{partition: partition, pos: start, end: b.end}
		r.byID[partition] = l
		r.lanes = append(r.lanes, l)
		at[partition] = kgo.NewOffset().At(start)
	}
	slices.SortFunc(r.lanes, func(a, b *lane) int { return int(a.partition - b.partition) })
	if len(r.lanes) == 0 {
		return r, nil
	}
	r.ahead = maxAhead / len(r.lanes)
	// Control records are the only sign that the end of a transaction has been
	// passed, where nothing of it is to be read.
	var err error
	r.cl, err = cfg.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{cfg.Topic: at}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		// What is asked for is there. A partition that has come to its end while the
		// others are paused would otherwise hold up their next fetch.
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(1<<20),
	)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *reader) close() {
	if r.cl != nil {
		r.cl.Close()
	}
}

// next returns the next letter, in merged order; nil at the end.
func (r *reader) next(ctx context.Context) (*Letter, error) {
	for slices.ContainsFunc(r.lanes, r.short) {
		if err := r.poll(ctx); err != nil {
			return nil, err
		}
	}
	l := choose(r.lanes)
	if l == nil {
		return nil, nil
	}
	letter := l.take()
	if l.paused && r.short(l) {
		l.paused = false
		r.cl.ResumeFetchPartitions(map[string][]int32{r.topic: {l.partition}})
	}
	return letter, nil
}

// short tells whether more of a lane has to be read before one of it is chosen.
func (r *reader) short(l *lane) bool {
	return l.pos < l.end && len(l.window) < lookahead && l.bytes < r.ahead
}

// full tells whether enough of it was read for now.
func (r *reader) full(l *lane) bool {
	return l.pos >= l.end || len(l.window) >= 2*lookahead || l.bytes >= 2*r.ahead
}

// poll waits for records of any lane that is not paused.
func (r *reader) poll(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, r.idle)
	defer cancel()
	f := r.cl.PollRecords(wait, lookahead)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if wait.Err() != nil && f.NumRecords() == 0 {
		return r.stuck()
	}
	for _, e := range f.Errors() {
		// kgo tries again what can be tried again.
		if !errors.Is(e.Err, context.DeadlineExceeded) && !kerr.IsRetriable(e.Err) {
			return fmt.Errorf("dlq: read %s/%d: %w", r.topic, e.Partition, plain(e.Err))
		}
	}
	f.EachPartition(func(p kgo.FetchTopicPartition) {
		l := r.byID[p.Partition]
		for _, rec := range p.Records {
			if l.pos = rec.Offset + 1; rec.Offset < l.end && !rec.Attrs.IsControl() {
				l.push(Read(rec))
			}
		}
		if !l.paused && r.full(l) {
			l.paused = true
			r.cl.PauseFetchPartitions(map[string][]int32{r.topic: {l.partition}})
		}
	})
	return nil
}

func (r *reader) stuck() error {
	for _, l := range r.lanes {
		if r.short(l) {
			return fmt.Errorf("dlq: nothing of %s/%d came for %v, at offset %d of %d", r.topic, l.partition, r.idle, l.pos, l.end)
		}
	}
	return fmt.Errorf("dlq: nothing of %s came for %v", r.topic, r.idle)
}
