package harness

import (
	"context"
	"fmt"
	"time"

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
	if _, err := observe.Scan(bounded, s.kafka.ClientOpts(), s.names.topic, s.ledger, s.log); err != nil {
		return fmt.Errorf("read the topic back: %w", err)
	}
	return nil
}
