package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/null"
)

// Bounds on how many messages the ceiling is measured with: enough for each partition to have some batches, and not more than a
// broker holds with ease.
const (
	minCeilingMessages = 4_000
	maxCeilingMessages = 400_000
	ceilingBatches     = 4
)

// ceilingBound bounds how long the consumer that does nothing may take.
const ceilingBound = 2 * time.Minute

// measureCeiling returns how many messages/s a consumer does that does nothing, at the same setting, of messages that are in
// the topic before it starts: from the first that it does to the last.
func measureCeiling(ctx context.Context, cfg Config, lc LoadConfig, kafka backend.Kafka) (perSecond float64, err error) {
	cfg.Subject, cfg.Extra, cfg.Protocol, cfg.Assignor, cfg.Static = null.Subject(), nil, "classic", "", false
	cfg.Promises.LagMetric = "" // it serves none
	n := max(minCeilingMessages, int(2*lc.Rate), ceilingBatches*lc.BatchSize*int(cfg.Partitions))
	n = min(n, maxCeilingMessages)
	atOnce := func(int) time.Duration { return 0 }
	l, err := newLoadRun(ctx, cfg, lc, kafka, lc.Name+"-ceiling", atOnce)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	bounded, cancel := context.WithTimeout(ctx, ceilingBound)
	defer cancel()
	playing, abandon := context.WithCancelCause(bounded)
	defer abandon(nil)
	l.members.abandon = abandon
	l.begin()
	if _, err := l.gen.Run(playing, n, nil); err != nil {
		return 0, err
	}
	if err := l.startMembers(playing); err != nil {
		return 0, errors.Join(err, context.Cause(playing))
	}
	if err := l.records.awaitOpen(playing, 0); err != nil {
		return 0, fmt.Errorf("%d of %d messages were done: %w", n-l.records.open(), n, err)
	}
	l.log.Append(history.Event{Kind: history.Phase, Note: history.PhaseEnd})
	first, last := l.records.Span()
	if last <= first {
		return 0, errors.New("all messages were done at one moment")
	}
	return float64(n-1) / (last - first).Seconds(), nil
}
