package consumer_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// logbook is a log that a test reads while it is written.
type logbook struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed and replaced with each line
}

func newLogbook() *logbook { return &logbook{grown: make(chan struct{})} }

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return l.text.Write(line)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logbook) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

// await waits for a line with all of these words.
func (l *logbook) await(t *testing.T, words ...string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		grown := l.grown
		l.mu.Unlock()
		if l.has(words...) {
			return
		}
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("no line of the log has %q:\n%s", words, l)
		}
	}
}

func (l *logbook) has(words ...string) bool {
	for line := range strings.Lines(l.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}
