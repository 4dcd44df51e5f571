// Careful is a sound at-least-once consumer on IBM/sarama: a commit says that the work
// is done, and nothing else does.
//
// Sarama runs ConsumeClaim once for each partition and heartbeats apart from it, so each
// partition stays in order and a slow one costs neither the membership nor the others. A record
// is marked when it has reached its end, its effect or its dead letter, and only what is marked is committed.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/IBM/sarama"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	s, err := settingsFromEnv()
	if err != nil {
		return err
	}
	// SIGTERM: finish the record in hand, commit, leave. The rest was never begun.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	letters, err := newDeadLetters(s)
	if err != nil {
		return err
	}
	defer letters.close()
	group, err := sarama.NewConsumerGroup(s.brokers, s.group, s.consumer())
	if err != nil {
		return err
	}
	go func() {
		for err := range group.Errors() {
			log.Printf("group: %v", err)
		}
	}()
	h := &handler{settings: s, effects: newEffects(s.sink), letters: letters, fail: fail}
	for ctx.Err() == nil {
		// Returns when the session has ended: the member was thrown out, or a claim gave up.
		if err := group.Consume(ctx, []string{s.topic}, h); err != nil && ctx.Err() == nil {
			log.Printf("consume: %v", err)
			pause(ctx, backoffFirst)
		}
	}
	if err := group.Close(); err != nil {
		log.Printf("close: %v", err)
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// handler has no state of its own between claims, so there is nothing to lock.
type handler struct {
	settings settings
	effects  *effects
	letters  *deadLetters
	fail     context.CancelCauseFunc // ends the process
}

// Setup implements sarama.ConsumerGroupHandler.
func (h *handler) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup implements sarama.ConsumerGroupHandler.
func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler. It returns when the partition is
// revoked (the channel is closed), at the end, or when it cannot go on.
func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	// Before this returns: another member begins at what is committed. When the member was thrown out the broker refuses.
	defer session.Commit()
	uncommitted := 0
	idle := time.NewTicker(commitInterval)
	defer idle.Stop()
	for {
		select {
		case <-session.Context().Done():
			return nil
		case <-idle.C:
			session.Commit() // of nothing, if nothing is marked
			uncommitted = 0
		case r, open := <-claim.Messages():
			if !open || session.Context().Err() != nil {
				return nil
			}
			if done, err := h.handle(session.Context(), r); err != nil || !done {
				return err
			}
			session.MarkMessage(r, "")
			if uncommitted++; uncommitted >= h.settings.batchSize {
				session.Commit()
				uncommitted = 0
			}
		}
	}
}

// handle reports whether the record has reached an end. A retry stays in place, so the
// order of the partition is kept. When ctx ends, the attempt under way is finished and no other begun.
func (h *handler) handle(ctx context.Context, r *sarama.ConsumerMessage) (bool, error) {
	for attempt := 1; ; attempt++ {
		a := h.effects.apply(r)
		switch a.fate {
		case applied:
			return true, nil
		case notOwner: // drop what is in hand; the session ends, and the next one begins at the last commit
			log.Printf("%s: dropped: %s", where(r), a.reason)
			pause(ctx, backoffFirst)
			return false, nil
		}
		log.Printf("%s: attempt %d of %d: %s", where(r), attempt, h.settings.maxAttempts, a.reason)
		if a.fate == poison || attempt >= h.settings.maxAttempts {
			if err := h.letters.send(r, attempt, a.reason); err != nil {
				h.fail(err)
				return false, err
			}
			return true, nil
		}
		if !pause(ctx, h.settings.backoff(attempt, a.retryAfter)) {
			return false, nil // not finished, so not committed: the next owner begins anew
		}
	}
}
