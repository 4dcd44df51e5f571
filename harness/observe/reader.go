package observe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

const (
	// metadataAge bounds how long a topic or partition that was created after
	// the reader goes unseen. franz-go's default is 5 minutes.
	metadataAge = time.Second
	// metadataRetry is the least time between two metadata requests while a topic is missing.
	metadataRetry = 100 * time.Millisecond
	// askAgain is the pause before a question that the broker could not answer
	// (no leader, coordinator moving) is put again.
	askAgain = 50 * time.Millisecond
)

// reader reads one topic from its start, as a direct consumer: no group, so it
// leaves no trace that a subject could meet. It reads what is committed:
// records of aborted transactions were never written as far as anyone may
// know. It keeps control records, because they are the only sign that a
// transaction's end has been passed.
type reader struct {
	topic  string
	client *kgo.Client
	admin  *kadm.Client

	mu    sync.Mutex
	next  map[int32]int64 // by partition: the offset after the last one handled
	moved chan struct{}   // closed and replaced whenever next changes
	err   error           // the newest error of a fetch, nil once a fetch works again
}

// newReader connects with opts, which name the brokers and how to authenticate.
func newReader(opts []kgo.Opt, topic string) (*reader, error) {
	all := append([]kgo.Opt{}, opts...)
	all = append(all,
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.MetadataMaxAge(metadataAge),
		kgo.MetadataMinAge(metadataRetry),
		kgo.DisableClientMetrics(), // KIP-714: requests of ours that tell nobody anything
	)
	client, err := kgo.NewClient(all...)
	if err != nil {
		return nil, fmt.Errorf("observe topic %s: %w", topic, err)
	}
	return &reader{
		topic: topic, client: client, admin: kadm.NewClient(client),
		next: make(map[int32]int64), moved: make(chan struct{}),
	}, nil
}

func (r *reader) close() { r.client.Close() }

// poll waits for records and hands each to handle, in offset order within a
// partition. It returns false when ctx has ended or the client is closed.
func (r *reader) poll(ctx context.Context, handle func(*kgo.Record)) bool {
	fetches := r.client.PollFetches(ctx)
	if fetches.IsClientClosed() || ctx.Err() != nil {
		return false
	}
	next := make(map[int32]int64)
	fetches.EachRecord(func(rec *kgo.Record) {
		if !rec.Attrs.IsControl() {
			handle(rec)
		}
		next[rec.Partition] = rec.Offset + 1
	})
	var failed error
	fetches.EachError(func(_ string, partition int32, err error) {
		failed = fmt.Errorf("read topic %s, partition %d: %w", r.topic, partition, err)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = failed
	for partition, offset := range next {
		r.next[partition] = offset
	}
	close(r.moved)
	r.moved = make(chan struct{})
	return true
}

// behind returns whether some partition has not been read up to end, and the channel that
// is closed when that may have changed.
func (r *reader) behind(end map[int32]int64) (bool, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for partition, offset := range end {
		if r.next[partition] < offset {
			return true, r.moved
		}
	}
	return false, r.moved
}

// readTo hands everything up to end to handle.
func (r *reader) readTo(ctx context.Context, end map[int32]int64, handle func(*kgo.Record)) error {
	for {
		if behind, _ := r.behind(end); !behind {
			return nil
		}
		if !r.poll(ctx, handle) {
			return errors.Join(ctx.Err(), r.state(end))
		}
	}
}

// seen starts the event about a record that was read.
func seen(kind history.Kind, rec *kgo.Record) history.Event {
	return history.Event{
		Kind: kind, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset,
		Key: bounded(string(rec.Key), maxKey), Hash: hash(rec.Value), Size: len(rec.Value),
	}
}

// state tells in words how far the reader is, for errors.
func (r *reader) state(end map[int32]int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for partition, offset := range end {
		if r.next[partition] >= offset {
			continue
		}
		if r.err != nil {
			return fmt.Errorf("read up to offset %d of %s/%d, which ends at %d: %w",
				r.next[partition], r.topic, partition, offset, r.err)
		}
		return fmt.Errorf("read up to offset %d of %s/%d, which ends at %d",
			r.next[partition], r.topic, partition, offset)
	}
	return nil
}

// ends asks for the end of what can be read now, of every partition that holds
// anything. A topic that does not exist holds nothing.
func (r *reader) ends(ctx context.Context) (map[int32]int64, error) {
	var ends map[int32]int64
	err := ask(ctx, func() error {
		ends = make(map[int32]int64)
		// The last stable offset: beyond it lie only open transactions, which
		// no reader of committed records gets.
		last, err := r.admin.ListCommittedOffsets(ctx, r.topic)
		if err != nil {
			return err
		}
		if err := last.Error(); errors.Is(err, kerr.UnknownTopicOrPartition) {
			return r.missing(ctx)
		} else if err != nil {
			return err
		}
		first, err := listed(r.admin.ListStartOffsets(ctx, r.topic))
		if err != nil {
			return err
		}
		for partition, end := range last[r.topic] {
			if start, ok := first.Lookup(r.topic, partition); !ok || start.Offset < end.Offset {
				ends[partition] = end.Offset
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the end of topic %s: %w", r.topic, err)
	}
	return ends, nil
}

// missing returns nil if the topic does not exist. The client answers questions about
// offsets from metadata that may be older than the topic, so this asks the
// broker itself; if the topic is there after all, the error says to ask again.
func (r *reader) missing(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(r.topic)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, r.client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if t.ErrorCode != kerr.UnknownTopicOrPartition.Code {
			return fmt.Errorf("topic %s has only just come into being: %w", r.topic, kerr.UnknownTopicOrPartition)
		}
	}
	return nil
}

// listed makes the error of a partition one of the whole answer.
func listed(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = offsets.Error()
	}
	return offsets, err
}

// ask puts a question to the broker until it is answered or ctx ends. Errors
// that will not go away by asking again end it at once.
func ask(ctx context.Context, question func() error) error {
	for {
		err := question()
		var known *kerr.Error
		if err == nil || (errors.As(err, &known) && !known.Retriable) {
			return err
		}
		if !pause(ctx, askAgain) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// pause waits for d; false means that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
