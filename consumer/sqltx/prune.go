package sqltx

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Prune forgets ids that were marked longer ago than olderThan, by the
// database's clock and to the millisecond, in chunks of ProcessedOptions.Chunk, each
// committed by itself, and returns how many rows it deleted. On an error, or when
// ctx ends, what it has deleted stays deleted. See ProcessedOptions.Retention for how long ids
// must be kept.
func (p *Processed) Prune(ctx context.Context, olderThan time.Duration) (int64, error) {
	if olderThan < 0 {
		return 0, fmt.Errorf("sqltx: prune: %v is negative", olderThan)
	}
	total := int64(0)
	for {
		result, err := p.db.ExecContext(ctx, p.prune, olderThan.Milliseconds(), p.opts.Chunk)
		if err != nil {
			return total, fmt.Errorf("sqltx: prune %s: %w", p.opts.Table, err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return total, fmt.Errorf("sqltx: prune %s: %w", p.opts.Table, err)
		}
		total += n
		if n < int64(p.opts.Chunk) {
			return total, nil
		}
	}
}

// Run prunes ids older than ProcessedOptions.Retention every Interval, until ctx
// ends; then it returns nil. The first time comes at random within the first
// interval, so that members started together do not prune together. A database
// that is away is logged, and tried again at the next interval.
func (p *Processed) Run(ctx context.Context) error {
	if p.opts.Retention <= 0 {
		return errors.New("sqltx: Run needs ProcessedOptions.Retention, which must be longer than the oldest record that can come again is old")
	}
	timer := time.NewTimer(rand.N(p.opts.Interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		n, err := p.Prune(ctx, p.opts.Retention)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			p.opts.Logger.Warn("could not prune processed ids, will try again", "table", p.opts.Table, "deleted", n, "wait", p.opts.Interval, "err", err)
		case n > 0:
			p.opts.Logger.Info("pruned processed ids", "table", p.opts.Table, "deleted", n)
		}
		timer.Reset(p.opts.Interval)
	}
}
