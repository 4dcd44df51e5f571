package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/observe"
)

// lagInterval is how often the broker is asked for lag.
const lagInterval = 250 * time.Millisecond

// observe starts what watches the broker's side of the scenario.
func (s *stage) observe() error {
	opts := s.kafka.ClientOpts()
	var err error
	s.dead, err = observe.NewDeadLetters(observe.DeadLettersConfig{Opts: opts, Log: s.log, Ledger: s.ledger, Topic: s.names.deadLetter})
	if err != nil {
		return fmt.Errorf("watch the dead-letter topic: %w", err)
	}
	s.lag, err = observe.StartLag(observe.LagConfig{Opts: opts, Log: s.log, Group: s.names.group, Topic: s.names.topic, Interval: lagInterval})
	if err != nil {
		return fmt.Errorf("watch the lag: %w", err)
	}
	return nil
}

func (s *stage) stopObserving() {
	if s.metrics != nil {
		s.metrics.Close()
	}
	if s.lag != nil {
		s.lag.Close()
	}
	if s.dead != nil {
		s.dead.Close()
	}
}

// awaitDrained waits until the group has committed everything, or gets nowhere.
func (s *stage) awaitDrained(ctx context.Context) (bool, error) {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.DrainBound)
	defer cancel()
	d, err := observe.AwaitDrained(bounded, s.lag, s.cfg.StallBound)
	if err != nil {
		return false, err
	}
	return d.Outcome == observe.DrainedAll, nil
}

// lookBack reads what is left to know once all members have stopped: the last
// dead letters, the final commits, and the fate of unanswered produces.
func (s *stage) lookBack(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.ReadyBound)
	defer cancel()
	if err := s.dead.CaughtUp(bounded); err != nil {
		return fmt.Errorf("read the dead-letter topic to its end: %w", err)
	}
	if _, err := s.lag.Once(bounded); err != nil {
		return fmt.Errorf("read the final commits: %w", err)
	}
	if _, err := observe.Scan(bounded, s.kafka.ClientOpts(), s.names.topic, s.ledger, s.log, 0); err != nil {
		return fmt.Errorf("read the topic back: %w", err)
	}
	return s.readOutputs(ctx)
}

// readOutputs reads what can be seen of outputs, where there are any. That they
// cannot be read to their end, because a transaction of a member that is gone is
// still open, is for the check to tell.
func (s *stage) readOutputs(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.ReadyBound)
	defer cancel()
	all := true
	switch {
	case s.cfg.Outputs != nil:
		outputs, err := s.cfg.Outputs(bounded, s.names.topic)
		if err != nil {
			return fmt.Errorf("read the outputs: %w", err)
		}
		observe.LogOutputs(outputs, s.ledger, s.log)
	case s.names.output != "":
		var err error
		if all, err = observe.ReadOutputs(bounded, s.kafka.ClientOpts(), s.names.output, s.ledger, s.log); err != nil {
			return fmt.Errorf("read the output topic: %w", err)
		}
	default:
		return nil
	}
	if all {
		s.log.Append(history.Event{Kind: history.Phase, Note: history.PhaseOutputs})
	}
	return nil
}
