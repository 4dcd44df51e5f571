package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const head = `{"ksim_history":1,"run":"r1","topic":"orders"}` + "\n"

func line(seq int, kind string) string {
	return fmt.Sprintf(`{"seq":%d,"at":1,"kind":%q}`+"\n", seq, kind)
}

func TestReadCorrupt(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		line   int
		reason string
		events int
	}{
		"empty":            {"", 1, "empty", 0},
		"not a header":     {"hello\n", 1, "not a history header", 0},
		"another format":   {`{"ksim_history":2}` + "\n", 1, "format 2", 0},
		"no format":        {`{"a":1}` + "\n", 1, "ksim_history", 0},
		"header cut off":   {`{"ksim_history":1`, 1, "cut off", 0},
		"garbage":          {head + line(1, "phase") + "garbage\n" + line(2, "phase"), 3, "invalid character", 1},
		"cut off":          {head + line(1, "phase") + `{"seq":2,"at"`, 3, "cut off", 1},
		"no line feed":     {head + strings.TrimSuffix(line(1, "phase"), "\n"), 2, "cut off", 0},
		"a line is gone":   {head + line(1, "phase") + line(3, "phase"), 3, "seq is 3 where 2 follows", 1},
		"a line twice":     {head + line(1, "phase") + line(1, "phase"), 3, "seq is 1 where 2 follows", 1},
		"no kind":          {head + line(1, "phase") + line(2, ""), 3, "without a kind", 1},
		"wrong type":       {head + `{"seq":"1","kind":"phase"}` + "\n", 2, "cannot unmarshal", 0},
		"empty line":       {head + line(1, "phase") + "\n", 3, "unexpected end", 1},
		"a line too long":  {head + line(1, "phase") + strings.Repeat("x", maxLine+2) + "\n", 3, "longer than", 1},
		"too long, no end": {head + strings.Repeat("x", maxLine+2), 2, "longer than", 0},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Read(strings.NewReader(c.text))
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("error %v", err)
			}
			if corrupt.Line != c.line || !strings.Contains(corrupt.Reason, c.reason) || len(h.Events) != c.events {
				t.Errorf("line %d, %d events, %v", corrupt.Line, len(h.Events), err)
			}
			if text := err.Error(); !strings.Contains(text, fmt.Sprintf("line %d", c.line)) {
				t.Errorf("the line is not in %q", text)
			}
			if c.line > 1 && h.Header.Run != "r1" || c.line == 1 && h.Header.Run != "" {
				t.Errorf("header %+v", h.Header)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestReadErrors(t *testing.T) {
	h, err := Read(io.MultiReader(strings.NewReader(head+line(1, "phase")), failing{errors.New("the disk is gone")}))
	if err == nil || !strings.Contains(err.Error(), "the disk is gone") || len(h.Events) != 1 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none.jsonl")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// FuzzRead: whatever the bytes are, the reader does not panic, says where it
// stopped, and what it kept is what a history of the lines before would be.
func FuzzRead(f *testing.F) {
	good := head + line(1, "produced") + line(2, "phase") + line(3, "committed")
	for _, s := range []string{"", head, good, good[:len(good)-5], head + line(2, "phase"), "{}\n", head + "null\n", strings.ReplaceAll(good, "\n", "\r\n")} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := Read(bytes.NewReader(data))
		for i, e := range h.Events {
			if e.Seq != int64(i)+1 || e.Kind == "" {
				t.Fatalf("event %d is %+v", i, e)
			}
		}
		lines := bytes.SplitAfter(data, []byte("\n"))
		stop := len(h.Events) + 2
		if err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("error %v", err)
			}
			stop = corrupt.Line
			if stop < 1 || stop > len(lines) || stop > 1 && len(h.Events) != stop-2 {
				t.Fatalf("stopped at line %d of %d with %d events", stop, len(lines), len(h.Events))
			}
		}
		if stop == 1 {
			return
		}
		before, err := Read(bytes.NewReader(bytes.Join(lines[:stop-1], nil)))
		if err != nil || len(before.Events) != len(h.Events) {
			t.Fatalf("the lines before line %d: %d events, %v; read were %d", stop, len(before.Events), err, len(h.Events))
		}
		if !json.Valid(lines[0]) || h.Header.Format != Format {
			t.Fatalf("header %+v of %q", h.Header, lines[0])
		}
	})
}
