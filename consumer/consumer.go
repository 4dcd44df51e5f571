package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Consumer is one member of a consumer group. Make it with [New].
type Consumer struct {
	cfg  Config
	used atomic.Bool
	e    *engine
}

// New checks the configuration, reads the files and variables that Config.TLS and
// Config.SASL name, and returns a consumer. It connects to nothing before
// [Consumer.Run]. Its error lists all that is wrong.
func New(cfg Config, handler Handler) (*Consumer, error) {
	var v validation
	v.need(cfg.TransactionalID == "", "TransactionalID: %q is set; make the consumer with NewTransactional", cfg.TransactionalID)
	v.need(handler != nil, "New: give it a handler")
	return newConsumer(cfg, v, handler, nil)
}

func newConsumer(cfg Config, v validation, handler Handler, tx TxHandler) (*Consumer, error) {
	if err := append(v, cfg.validate()...).join(); err != nil {
		return nil, err
	}
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	c := &Consumer{cfg: cfg}
	c.e = &engine{cfg: &c.cfg, handler: handler, tx: tx, log: c.cfg.Logger, running: make(map[topicPartition]<-chan struct{})}
	// What would fail in Run fails here: options that contradict each other.
	if err := kgo.ValidateOpts(newSession(c.e).clientOpts(context.Background())...); err != nil {
		return nil, fmt.Errorf("consumer: ClientOpts: %w", err)
	}
	if err := kgo.ValidateOpts(letterOpts(&c.cfg, c.cfg.Logger)...); err != nil && tx == nil && cfg.Poison.policy() == PoisonDeadLetter {
		return nil, fmt.Errorf("consumer: ClientOpts, which the dead-letter producer gets too: %w", err)
	}
	return c, nil
}

// prepare reads what Config.TLS and Config.SASL name into options of Kafka clients, and
// gives it a logger.
func (c *Config) prepare() error {
	security, err := c.SecurityOpts()
	if err != nil {
		return err
	}
	c.ClientOpts = slices.Concat(security, c.ClientOpts)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// Run joins the group and consumes until ctx ends; then it stops taking
// records, drains, commits and leaves the group, within Config.ShutdownTimeout,
// and returns nil. It returns an error
//
//   - that the handler gave to [Fatal],
//   - [*PoisonError] if a record can be neither handled nor put aside,
//   - [ErrStalled], [ErrShutdownTimeout],
//   - if the broker refuses what only an operator can put right: a lack of
//     authorization, or another member with the same Config.InstanceID.
//
// It gets over all else by itself: brokers that are away or do not take its password
// (which may be about to be renewed), rebalances, and being thrown out of the group.
// Run may be called once.
func (c *Consumer) Run(ctx context.Context) (err error) {
	if c.used.Swap(true) {
		return errors.New("consumer: Run was called before; make another Consumer")
	}
	e := c.e
	e.vitals.begin()
	defer func() { e.vitals.end(err) }()
	e.pool = newPool(c.cfg.Concurrency, e.work)
	if e.tx == nil && c.cfg.Poison.policy() == PoisonDeadLetter {
		letters, err := kgo.NewClient(letterOpts(e.cfg, e.log)...)
		if err != nil {
			return fmt.Errorf("consumer: %w", err)
		}
		defer letters.Close()
		e.letters = letters
	}
	e.log.Debug("configuration", "config", c.cfg)
	err = e.run(ctx)
	e.await()
	if err == nil {
		e.log.Info("stopped", "group", e.cfg.Group)
	}
	return err
}

// engine is what one Run shares over its sessions.
type engine struct {
	cfg      *Config
	handler  Handler   // nil with NewTransactional
	tx       TxHandler // nil with New
	log      *slog.Logger
	pool     *pool
	letters  *kgo.Client // nil unless poison is dead-lettered outside of a transaction
	attempts attemptLog
	vitals   vitals

	mu      sync.Mutex
	session *session                // at work
	halt    context.CancelCauseFunc // ends Run, whatever session is at work
	// running tells for each partition when the last handler call of its newest
	// epoch has returned.
	running map[topicPartition]<-chan struct{}
}

// run runs session after session, until one ends for good.
func (e *engine) run(ctx context.Context) error {
	backoff := Retry{Initial: 100 * time.Millisecond, Max: 10 * time.Second, Multiplier: 2, Jitter: 0.2}
	halted, release := e.halting()
	defer release(nil)
	for failures := 1; ; failures++ {
		began := time.Now()
		s := newSession(e)
		e.works(s)
		if halted.Err() != nil {
			s.halt(context.Cause(halted))
		}
		err := s.run(ctx)
		var again *rejoinError
		if !errors.As(err, &again) {
			return err
		}
		if ctx.Err() != nil {
			return nil // it was to stop anyway, and has nothing that it may commit
		}
		if time.Since(began) > time.Minute {
			failures = 1
		}
		wait := backoff.after(failures, 0)
		e.log.Warn("joining again from scratch", "wait", wait, "err", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-halted.Done():
			timer.Stop()
			err := context.Cause(halted)
			var f *fatal
			if errors.As(err, &f) {
				err = f.err
			}
			return err
		}
	}
}

func (e *engine) works(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.session = s
}

// succeed notes a new epoch of a partition, and returns when the last handler
// call of the one before has returned; nil if there was none.
func (e *engine) succeed(tp topicPartition, idle <-chan struct{}) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	earlier := e.running[tp]
	e.running[tp] = idle
	return earlier
}

// await gives handler calls that were cancelled a moment to return, unless all
// that is left has stalled.
func (e *engine) await() {
	if s := e.vitals.calls.status(time.Now()); s.Running > 0 && s.Running == s.Stalled {
		return
	}
	timer := time.NewTimer(e.cfg.ShutdownTimeout / 10)
	defer timer.Stop()
	select {
	case <-e.pool.wait():
	case <-timer.C:
		e.log.Error("handler calls still run after the consumer has stopped")
	}
}
