package subject

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// LogHead and LogTail are how many bytes are kept of the beginning and of the
// end of what an instance writes. What lies between is dropped, and the log
// says how much it was. So a subject that prints a gigabyte is read as fast as
// it prints, and fills neither disk nor memory.
const (
	LogHead = 512 << 10
	LogTail = 512 << 10
)

const (
	tailLines = 20       // of Exit.Tail
	tailLine  = 500      // bytes of one of them
	recentMax = 16 << 10 // bytes looked at for Exit.Tail
)

// logFile is a bounded log. The head goes to the file at once; the tail waits
// in memory, once the head is full, until Close. One goroutine at a time uses it.
type logFile struct {
	file    *os.File
	head    int    // bytes of the head written
	ring    []byte // the tail, made when the head is full
	next    int    // where the ring goes on
	beyond  int64  // bytes written after the head
	recent  []byte // the newest bytes, for Tail
	failure error  // the first failed write; what follows is only kept in recent
}

func createLog(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("subject: make the folder of the log: %w", err)
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("subject: create the log: %w", err)
	}
	return &logFile{file: file}, nil
}

// Write never fails: a full disk must not stop the subject. Close tells.
func (l *logFile) Write(p []byte) (int, error) {
	n := len(p)
	l.recent = append(l.recent, p[max(0, n-recentMax):]...)
	if extra := len(l.recent) - recentMax; extra > 0 {
		l.recent = append(l.recent[:0], l.recent[extra:]...)
	}
	if l.head < LogHead {
		first := p[:min(n, LogHead-l.head)]
		l.toFile(first)
		l.head += len(first)
		p = p[len(first):]
	}
	l.beyond += int64(len(p))
	if len(p) > 0 && l.ring == nil {
		l.ring = make([]byte, LogTail)
	}
	p = p[max(0, len(p)-LogTail):]
	for len(p) > 0 {
		c := copy(l.ring[l.next:], p)
		l.next = (l.next + c) % LogTail
		p = p[c:]
	}
	return n, nil
}

func (l *logFile) toFile(p []byte) {
	if l.failure == nil {
		_, l.failure = l.file.Write(p)
	}
}

// Close writes the tail, and what was dropped before it.
func (l *logFile) Close() error {
	if l.beyond > LogTail {
		l.toFile(fmt.Appendf(nil, "\n[ksim: %d bytes dropped here: the first %d KiB and the last %d KiB are kept]\n", l.beyond-LogTail, LogHead>>10, LogTail>>10))
	}
	if l.beyond >= LogTail { // the ring is full: its oldest byte is the next to go
		l.toFile(l.ring[l.next:])
	}
	l.toFile(l.ring[:l.next])
	return errors.Join(l.failure, l.file.Close())
}

// Tail returns the last lines.
func (l *logFile) Tail() string {
	lines := bytes.Split(bytes.TrimRight(l.recent, "\n"), []byte("\n"))
	lines = lines[max(0, len(lines)-tailLines):]
	out := make([]string, 0, len(lines))
	for _, line := range lines {
		if len(line) > tailLine {
			line = append(line[:tailLine:tailLine], "…"...)
		}
		out = append(out, strings.ToValidUTF8(string(line), "?"))
	}
	return strings.Join(out, "\n")
}
