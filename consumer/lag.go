package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lagLoop asks the brokers where the logs of the session's partitions end. What
// fetches tell is not enough: while a partition is paused none is made, and one
// that is caught up hears nothing until records come.
type lagLoop struct {
	s    *session
	wake chan struct{}
}

func newLagLoop(s *session) *lagLoop {
	return &lagLoop{s: s, wake: make(chan struct{}, 1)}
}

// soon asks at once: there are new partitions.
func (l *lagLoop) soon() { signal(l.wake) }

// run asks every Config.LagInterval, and when woken, until ctx ends. After a
// failure it asks again earlier.
func (l *lagLoop) run(ctx context.Context) {
	interval := l.s.e.cfg.LagInterval
	if interval == 0 {
		return
	}
	again := Retry{Initial: min(200*time.Millisecond, interval), Max: interval, Multiplier: 2}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
		err := l.ask(ctx, max(interval, time.Second))
		wait := interval
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failures = 0
		default:
			if failures++; failures == 1 {
				l.s.e.log.Warn("the lag is not up to date: could not ask where logs end", "err", err)
			}
			wait = again.after(failures, 0)
		}
		timer.Reset(wait)
	}
}

// ask asks for the ends of all partitions of the session, and returns the first
// thing that went wrong.
func (l *lagLoop) ask(ctx context.Context, bound time.Duration) error {
	parts := l.s.all()
	if len(parts) == 0 {
		return nil
	}
	for _, p := range parts {
		p.askingEnd()
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.IsolationLevel = 1 // read committed, as the consumer fetches: the last stable offset
	for topic, partitions := range byTopic(parts) {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for _, partition := range partitions {
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Partition, part.Timestamp = partition, -1 // the latest
			t.Partitions = append(t.Partitions, part)
		}
		req.Topics = append(req.Topics, t)
	}
	at := time.Now()
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	answers := readEnds(l.s.cl.RequestSharded(ctx, req))
	var first error
	for _, p := range parts {
		a, ok := answers[p.topicPartition]
		if !ok {
			a.err = errNoAnswer
		}
		p.learnEnd(a.end, at, a.err)
		if a.err != nil && first == nil {
			first = fmt.Errorf("end of %s/%d: %w", p.topic, p.partition, a.err)
		}
	}
	return first
}

type endAnswer struct {
	end int64
	err error
}

var errNoEnd = errors.New("consumer: the broker does not know where the log ends")

// readEnds maps what the brokers answered to partitions.
func readEnds(shards []kgo.ResponseShard) map[topicPartition]endAnswer {
	answers := make(map[topicPartition]endAnswer)
	for _, shard := range shards {
		if shard.Err != nil {
			req, ok := shard.Req.(*kmsg.ListOffsetsRequest)
			if !ok {
				continue
			}
			for _, t := range req.Topics {
				for _, p := range t.Partitions {
					answers[topicPartition{t.Topic, p.Partition}] = endAnswer{err: shard.Err}
				}
			}
			continue
		}
		resp, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if !ok {
			continue
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				a := endAnswer{p.Offset, kerr.ErrorForCode(p.ErrorCode)}
				if a.err == nil && a.end < 0 {
					a.err = errNoEnd
				}
				answers[topicPartition{t.Topic, p.Partition}] = a
			}
		}
	}
	return answers
}

// askingEnd: the broker is being asked. What records tell from here on may be
// newer than its answer.
func (p *partition) askingEnd() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place.raised = Unknown
}

// learnEnd takes the answer. It may be less than what was known: the log was
// truncated, or the topic made anew.
func (p *partition) learnEnd(end int64, at time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place.endErr = err
	if err == nil {
		p.place.end, p.place.endAt = max(end, p.place.raised), at
	}
}

// raiseEnd: a fetch has told that the log reaches to end at least. A fetch may
// have waited in the client, so it says nothing about now.
func (p *partition) raiseEnd(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place.raised = max(p.place.raised, end)
	p.place.end = max(p.place.end, end)
}

// begin notes where partitions start, and puts the positions of the store, if
// there is one, in place of those that the group has. The client calls it after
// onAssigned and before the first fetch; where nothing is committed, an offset is
// negative.
func (s *session) begin(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	broker := make(map[topicPartition]int64)
	for topic, parts := range offsets {
		for partition, o := range parts {
			broker[topicPartition{topic, partition}] = max(o.EpochOffset().Offset, Unknown)
		}
	}
	s.learnAttempts(ctx, broker)
	if s.e.cfg.Offsets != nil {
		var err error
		if offsets, err = s.stored(ctx, offsets); err != nil {
			return nil, err
		}
	}
	for tp, committed := range broker {
		p := s.part(tp)
		if p == nil {
			continue
		}
		store := Unknown
		if at := offsets[tp.topic][tp.partition].EpochOffset().Offset; s.e.cfg.Offsets != nil && at >= 0 && at != committed {
			store = at
		}
		p.startsAt(committed, store)
	}
	return offsets, nil
}
