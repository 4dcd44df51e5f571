package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// History is a whole run, read back or taken from a Log.
type History struct {
	Header Header
	Events []Event
}

// maxLine bounds one line, so that a corrupt file cannot ask for all memory.
// The largest honest line is a dead letter with all its headers.
const maxLine = 4 << 20

// CorruptError says where a history stops making sense. What stood before
// Line was read and can be judged.
type CorruptError struct {
	Line   int // from 1; the header is line 1
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("history is corrupt at line %d: %s; what stands before that line can still be judged", e.Line, e.Reason)
}

// ReadFile reads the history at path, as Read does.
func ReadFile(path string) (History, error) {
	f, err := os.Open(path)
	if err != nil {
		return History{}, fmt.Errorf("read history: %w", err)
	}
	defer func() { _ = f.Close() }()
	return Read(f)
}

// Read reads a history. With a *CorruptError it returns what stood before the
// corrupt line too, with len(Events) == 0 and a zero Header if that is line 1.
func Read(r io.Reader) (History, error) {
	var h History
	br := bufio.NewReaderSize(r, 64<<10)
	for line := 1; ; line++ {
		text, err := readLine(br)
		switch {
		case errors.Is(err, io.EOF) && len(text) == 0:
			if line == 1 {
				return h, &CorruptError{Line: 1, Reason: "the file is empty"}
			}
			return h, nil
		case errors.Is(err, io.EOF):
			return h, &CorruptError{Line: line, Reason: "the last line is cut off (no line feed): the run was killed while writing, or the file was truncated"}
		case err != nil:
			return h, &CorruptError{Line: line, Reason: err.Error()}
		}
		if line == 1 {
			if err := readHeader(text, &h.Header); err != nil {
				return History{}, &CorruptError{Line: 1, Reason: err.Error()}
			}
			continue
		}
		var e Event
		if err := json.Unmarshal(text, &e); err != nil {
			return h, &CorruptError{Line: line, Reason: err.Error()}
		}
		if want := int64(len(h.Events)) + 1; e.Seq != want {
			return h, &CorruptError{Line: line, Reason: fmt.Sprintf("seq is %d where %d follows: lines were lost, repeated or edited", e.Seq, want)}
		}
		if e.Kind == "" {
			return h, &CorruptError{Line: line, Reason: "an event without a kind"}
		}
		h.Events = append(h.Events, e)
	}
}

func readHeader(text []byte, h *Header) error {
	if err := json.Unmarshal(text, h); err != nil {
		return fmt.Errorf("not a history header: %w", err)
	}
	if h.Format == 0 {
		return errors.New(`not a history: the first line has no "ksim_history"`)
	}
	if h.Format != Format {
		return fmt.Errorf("format %d was written by another version of ksim; this one reads format %d", h.Format, Format)
	}
	return nil
}

// readLine returns one line without its line feed; io.EOF comes with what
// stood after the last line feed.
func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, fmt.Errorf("a line longer than %d bytes", maxLine)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return line, err
		}
		return bytes.TrimSuffix(line, []byte("\n")), nil
	}
}
