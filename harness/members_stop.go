package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/subject"
)

// Stop implements fault.Members.
func (g *members) Stop(ctx context.Context, name string) error {
	m, err := g.take(name, anyLife)
	if err != nil {
		return err
	}
	_, err = g.stop(ctx, m, nil)
	return err
}

// Interrupt implements fault.Members.
func (g *members) Interrupt(ctx context.Context, name string, incarnation int, kill <-chan struct{}) error {
	m, err := g.take(name, incarnation)
	if err != nil {
		return err
	}
	switch how, err := g.stop(ctx, m, kill); {
	case err != nil:
		return err
	case how != history.Killed:
		return fmt.Errorf("member %s ended in good order before it could be killed: %w", name, fault.ErrNotRunning)
	}
	return ctx.Err()
}

// stop sends SIGTERM to a life whose end has been asked for, and waits for its end. At
// the deadline it is killed; so it is when kill is closed, and the broker is not told.
func (g *members) stop(ctx context.Context, m *member, kill <-chan struct{}) (history.Outcome, error) {
	stopping := g.log.Append(history.Event{Kind: history.MemberStopping, Member: m.name, Incarnation: m.incarnation})
	if err := m.inst.Terminate(); err != nil {
		return "", fmt.Errorf("stop %s: %w", m.name, err)
	}
	deadline := time.NewTimer(g.cfg.StopDeadline)
	defer deadline.Stop()
	how, text := history.Stopped, ""
	select {
	case <-m.inst.Done():
	case <-kill:
		m.wire.HalfOpen()
		how = history.Killed
	case <-deadline.C:
		how, text = history.Killed, deadlineNote
	case <-ctx.Done():
		how, text = history.Killed, "the run was cancelled"
	}
	// Kill is harmless after an orderly end, and ends children left behind.
	if err := m.inst.Kill(); err != nil {
		return "", fmt.Errorf("stop %s: %w", m.name, err)
	}
	<-m.inst.Done()
	if text == "" {
		text = exitText(m.inst.Exit())
	}
	g.mu.Lock()
	g.end(m, how, text)
	g.mu.Unlock()
	if how == history.Killed {
		_ = g.Release(context.WithoutCancel(ctx), m.name)
	} else if m.wire.InstanceID() == "" || m.wire.Protocol() != "classic" { // a static member of a classic group keeps its seat, without a word
		g.awaitLastWords(ctx, m, stopping.Seq)
	}
	m.wire.Close()
	return how, nil
}

// lastWords is how long the tap may take to read what a member sent before it ended.
const lastWords = time.Second

// awaitLastWords waits until the tap has read that the member left. A client
// that does not wait for the answer has ended by then, and closing its
// connections at once would cut off what it said.
func (g *members) awaitLastWords(ctx context.Context, m *member, since int64) {
	bounded, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	// That it did not leave is for the check to say.
	_, _ = g.log.Await(bounded, since, func(e history.Event) bool {
		return e.Kind == history.Left && e.Member == m.name && e.Incarnation == m.incarnation
	})
}

// Starve implements fault.Members.
func (g *members) Starve(ctx context.Context, name string, incarnation int, starving func()) (kills int, err error) {
	g.mu.Lock()
	m, err := g.alive(name, incarnation)
	g.mu.Unlock()
	if err != nil {
		return 0, err
	}
	s, ok := m.inst.(subject.Starver)
	if !ok {
		return 0, fault.Missed("the memory of %s cannot be limited: it is no process on Linux", name)
	}
	starved, err := s.Starve()
	switch {
	case errors.Is(err, subject.ErrEnded):
		return 0, fmt.Errorf("member %s: %w", name, fault.ErrNotRunning)
	case errors.Is(err, subject.ErrNoCgroup):
		return 0, fault.Missed("the memory of %s cannot be limited: %v", name, err)
	case err != nil:
		return 0, err
	}
	starving()
	select {
	case <-m.inst.Done():
	case <-ctx.Done():
		// It asks for no more memory. It cannot be let out again, so its end is ours.
		err := g.Kill(ctx, name, incarnation)
		if errors.Is(err, fault.ErrNotRunning) {
			err = nil
		}
		return 0, errors.Join(fault.Missed("%s asked for no more memory", name), err, starved.Close())
	}
	kills, err = starved.Kills()
	return kills, errors.Join(err, starved.Close())
}
