package history

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Log is the append-only record of one run. All methods may be called from any
// goroutine. What it has accepted it keeps in memory, for Await, and writes to
// its file in the same order.
type Log struct {
	header Header
	start  time.Time // with its monotonic reading

	mu     sync.Mutex
	events []Event
	more   chan struct{} // closed and replaced on every append
	buf    *bufio.Writer
	enc    *json.Encoder
	file   io.Closer
	err    error // first write error
	closed bool
}

// ErrClosed is returned by Await once the log is closed: nothing more will come.
var ErrClosed = errors.New("history is closed")

// Create starts a Log in a new file at path. Start and Format of the header
// are set by Create.
func Create(path string, h Header) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create history: %w", err)
	}
	l, err := newLog(f, h)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	l.file = f
	return l, nil
}

// NewMemory starts a Log that is kept in memory only.
func NewMemory(h Header) *Log {
	l, err := newLog(io.Discard, h)
	if err != nil {
		panic(err) // a Header always encodes, and io.Discard never fails
	}
	return l
}

func newLog(w io.Writer, h Header) (*Log, error) {
	now := time.Now()
	h.Format, h.Start = Format, now.Round(0).UTC()
	l := &Log{header: h, start: now, more: make(chan struct{}), buf: bufio.NewWriterSize(w, 64<<10)}
	l.enc = json.NewEncoder(l.buf)
	l.enc.SetEscapeHTML(false)
	if err := l.enc.Encode(h); err != nil {
		return nil, fmt.Errorf("write history header: %w", err)
	}
	// The header goes out at once: a run that is killed leaves a history that
	// says at least what it was.
	if err := l.buf.Flush(); err != nil {
		return nil, fmt.Errorf("write history header: %w", err)
	}
	return l, nil
}

// Header returns what the log was created with.
func (l *Log) Header() Header { return l.header }

// Now is the time since the run began, as Event.At counts it.
func (l *Log) Now() time.Duration { return time.Since(l.start) }

// Since turns a wall or monotonic time into one that counts like Event.At.
func (l *Log) Since(t time.Time) time.Duration { return t.Sub(l.start) }

// Append adds e and returns it with Seq, and At if it was zero, filled in.
// After Close it is dropped and returned with Seq 0: late observers of a run that is
// over have nothing to add. A write error does not stop the run; Close reports it.
func (l *Log) Append(e Event) Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.append(e)
}

// AppendAll adds several events with nothing in between.
func (l *Log) AppendAll(es []Event) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range es {
		es[i] = l.append(es[i])
	}
	return es
}

func (l *Log) append(e Event) Event {
	if l.closed {
		e.Seq = 0
		return e
	}
	if e.At == 0 {
		e.At = time.Since(l.start)
	}
	e.Seq = int64(len(l.events)) + 1
	l.events = append(l.events, e)
	if l.err == nil {
		l.err = l.enc.Encode(e)
	}
	if turningPoint(e.Kind) {
		_ = l.flush() // kept in l.err
	}
	close(l.more)
	l.more = make(chan struct{})
	return e
}

// turningPoint tells of which events the file is brought up to date, so that a run
// that is killed leaves a history up to what happened last, at no cost for the rest.
func turningPoint(k Kind) bool {
	switch k {
	case Phase, FaultBegan, FaultEnded, MemberStarted, MemberStopping, MemberEnded:
		return true
	}
	return false
}

// Events returns what has been appended after Seq since (0 for all). The
// result shares memory with the log and must not be changed.
func (l *Log) Events(since int64) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since >= int64(len(l.events)) {
		return nil
	}
	return l.events[since:len(l.events):len(l.events)]
}

// Await returns the first event after Seq since for which match is true,
// waiting for it to come if it has not yet. It ends with the error of ctx or
// ErrClosed.
func (l *Log) Await(ctx context.Context, since int64, match func(Event) bool) (Event, error) {
	for {
		l.mu.Lock()
		events, more, closed := l.events, l.more, l.closed
		l.mu.Unlock()
		for ; since < int64(len(events)); since++ {
			if match(events[since]) {
				return events[since], nil
			}
		}
		if closed {
			return Event{}, ErrClosed
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// AwaitState waits until ready, called again after every append, is true. It
// is Await for conditions that depend on more than one event.
func (l *Log) AwaitState(ctx context.Context, ready func() bool) error {
	for {
		l.mu.Lock()
		more, closed := l.more, l.closed
		l.mu.Unlock()
		if ready() {
			return nil
		}
		if closed {
			return ErrClosed
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Last returns the Seq of the newest event, 0 if there is none.
func (l *Log) Last() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.events))
}

// History returns what is in the log now as a History to judge.
func (l *Log) History() History {
	return History{Header: l.header, Events: l.Events(0)}
}

// Flush writes what is buffered to the file.
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flush()
}

func (l *Log) flush() error {
	if l.err == nil {
		l.err = l.buf.Flush()
	}
	return l.err
}

// Close flushes, closes the file and returns the first error of any write.
// Later appends are dropped. It may be called again.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.err
	}
	l.closed = true
	err := l.flush()
	if l.file != nil {
		if cerr := l.file.Close(); err == nil {
			err = cerr
		}
	}
	l.err = err
	close(l.more)
	l.more = make(chan struct{})
	return err
}
