package dlq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Timestamp says which timestamp a record gets when it is sent back.
type Timestamp string

// The timestamps.
const (
	// OriginalTime is the one that the record had. If it is older than the topic's
	// retention, the brokers would delete it at once, so Replay refuses it.
	OriginalTime Timestamp = "original"
	// Now is the time of sending.
	Now Timestamp = "now"
)

// ReplayOptions say which letters go back, and how. Start from [DefaultReplay].
type ReplayOptions struct {
	Filter Filter
	// To sends letters to this topic, wherever they came from, also those that do
	// not tell.
	To string
	// Timestamp of the records; empty means [OriginalTime].
	Timestamp Timestamp
	// MaxCycles leaves letters that were dead-lettered more often than this, so
	// that none goes round for ever. Zero: no bound.
	MaxCycles int
	// Max is how many letters are sent at most. Zero: all.
	Max int
	// Rate is how many letters a second are sent at most. Zero: as fast as they go.
	Rate float64
	// Batch is how many letters go in one transaction at most, and no more than
	// Rate sends in a second.
	Batch int
	// First says that nothing was sent back before: needed for letters that are
	// older than brokers keep offsets, if the group has none.
	First bool
	// OnLetter is called for each letter: by Replay after it was committed, by
	// MakePlan if it would be sent. The record is what was sent. May be nil.
	OnLetter func(*Letter, *kgo.Record)
}

// DefaultReplay returns the defaults: all letters, with their original timestamps,
// 100 in a transaction, three cycles.
func DefaultReplay() ReplayOptions {
	return ReplayOptions{Timestamp: OriginalTime, MaxCycles: 3, Batch: 100}
}

// Validate returns all that is wrong, joined; nil if nothing is.
func (o ReplayOptions) Validate() error {
	errs := []error{o.Filter.Validate()}
	if o.Timestamp != "" && o.Timestamp != OriginalTime && o.Timestamp != Now {
		errs = append(errs, fmt.Errorf("dlq: ReplayOptions.Timestamp: %q is neither %s nor %s", o.Timestamp, OriginalTime, Now))
	}
	if o.MaxCycles < 0 || o.Max < 0 || o.Rate < 0 {
		errs = append(errs, errors.New("dlq: ReplayOptions: MaxCycles, Max and Rate cannot be negative; 0 is no bound"))
	}
	if o.Batch < 1 {
		errs = append(errs, fmt.Errorf("dlq: ReplayOptions.Batch: %d is less than 1", o.Batch))
	}
	return errors.Join(errs...)
}

// ErrExpired is returned by [Replay] before a letter that retention would delete as
// soon as it is sent.
var ErrExpired = errors.New("dlq: the record is older than the retention of its topic, which would delete it at once: send it with the time of sending instead")

// ErrForgotten is returned by [Replay] before a letter that may have been sent so
// long ago that the brokers have forgotten it.
var ErrForgotten = errors.New("dlq: the group has no progress, and the letter is older than brokers keep it (offsets.retention.minutes): if it was not sent back before, say so by First")

// MakePlan tells what [Replay] would do now. It sends and stores nothing, and does
// not disturb a replay that is running.
func MakePlan(ctx context.Context, cfg Config, opts ReplayOptions) (Summary, error) {
	p, err := newPass(ctx, cfg, opts, false)
	if err != nil {
		return Summary{}, err
	}
	defer p.close()
	for opts.Max == 0 || p.sum.Letters < opts.Max {
		o, err := p.pick(ctx)
		if err != nil || o == nil {
			return p.sum, err
		}
		p.sum.send(o)
		if opts.OnLetter != nil {
			opts.OnLetter(o.letter, o.record)
		}
	}
	return p.sum, nil
}

// Replay sends letters back, those that lie in the topic when it is called. It
// stops between two transactions when ctx ends, and returns its cause. Whatever the
// error, the summary tells what was sent, and running it again sends the rest.
func Replay(ctx context.Context, cfg Config, opts ReplayOptions) (Summary, error) {
	p, err := newPass(ctx, cfg, opts, true)
	if err != nil {
		return Summary{}, err
	}
	defer p.close()
	err = p.run(ctx)
	return p.sum, err
}

// run sends one batch after the other.
func (p *pass) run(ctx context.Context) error {
	size := p.opts.Batch
	if p.opts.Rate > 0 {
		size = min(size, max(1, int(p.opts.Rate)))
	}
	due := time.Now()
	for {
		batch, more, err := p.gather(ctx, size)
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			if err := pause(ctx, time.Until(due)); err != nil {
				return err
			}
			if p.opts.Rate > 0 {
				due = time.Now().Add(time.Duration(float64(len(batch)) / p.opts.Rate * float64(time.Second)))
			}
			// What has begun is not broken off: it would only have to be done again.
			if err := p.send(context.WithoutCancel(ctx), batch); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// maxBatchBytes bounds the keys and values of a transaction, so that a batch of large
// letters does not fill the memory.
const maxBatchBytes = 16 << 20

// gather picks the next letters to send; more tells whether there may be others.
func (p *pass) gather(ctx context.Context, size int) (batch []*outgoing, more bool, err error) {
	bytes := 0
	for len(batch) < size && bytes < maxBatchBytes {
		if p.opts.Max > 0 && p.sum.Letters+len(batch) == p.opts.Max {
			return batch, false, nil
		}
		o, err := p.pick(ctx)
		if err != nil || o == nil {
			return batch, false, err
		}
		switch {
		case o.expired:
			return nil, false, fmt.Errorf("%w: %s of %s, to topic %s", ErrExpired, o.letter.Place(), o.record.Timestamp.Format(time.RFC3339), o.record.Topic)
		case o.old:
			return nil, false, fmt.Errorf("%w: %s of %s", ErrForgotten, o.letter.Place(), o.letter.Record.Timestamp.Format(time.RFC3339))
		}
		batch = append(batch, o)
		bytes += len(o.record.Key) + len(o.record.Value)
	}
	return batch, true, nil
}

// send sends a batch, with the progress that it means.
func (p *pass) send(ctx context.Context, batch []*outgoing) error {
	next := make(map[int32]*progress, len(p.sent))
	for partition, was := range p.sent {
		next[partition] = was.clone()
	}
	records := make([]*kgo.Record, len(batch))
	for i, o := range batch {
		next[o.letter.Record.Partition].mark(o.from, o.letter.Record.Offset+1)
		records[i] = o.record
	}
	if err := p.out.send(ctx, records, next); err != nil {
		return err
	}
	p.sent = next
	for _, o := range batch {
		p.sum.send(o)
		o.letter.State = Replayed
		if p.opts.OnLetter != nil {
			p.opts.OnLetter(o.letter, o.record)
		}
	}
	return nil
}

// pause waits for d, or returns why ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
