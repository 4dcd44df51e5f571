package schema

import (
	"bytes"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
)

func TestSplitHeader(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		id   int
		rest string
		ok   bool
	}{
		{[]byte{}, 0, "", false},
		{[]byte{0}, 0, "", false},
		{[]byte{0, 0, 0, 1}, 0, "", false},
		{[]byte{0, 0, 0, 0, 1}, 1, "", true}, // an Avro null, an empty message
		{[]byte{0, 0, 1, 2, 3, 'x'}, 0x010203, "x", true},
		{[]byte{0, 0x7f, 0xff, 0xff, 0xff}, 1<<31 - 1, "", true},
		{[]byte{0, 0x80, 0, 0, 0}, 0, "", false},
		{[]byte{1, 0, 0, 0, 1}, 0, "", false},
		{[]byte(`{"a":1}`), 0, "", false},
	} {
		id, rest, err := splitHeader(c.in)
		if (err == nil) != c.ok || id != c.id || string(rest) != c.rest {
			t.Errorf("%x: got %d, %q, %v", c.in, id, rest, err)
		}
	}
}

func TestSplitIndexes(t *testing.T) {
	long := append([]byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 0) // a count of 2^63-1
	for _, c := range []struct {
		in   []byte
		path []int
		rest string
		ok   bool
	}{
		{[]byte{0, 'x'}, []int{0}, "x", true},
		{[]byte{2, 0, 'x'}, []int{0}, "x", true}, // the same, not shortened
		{[]byte{4, 2, 6}, []int{1, 3}, "", true},
		{[]byte{}, nil, "", false},
		{[]byte{4, 2}, nil, "", false},
		{[]byte{1}, nil, "", false},    // a count of -1
		{[]byte{2, 1}, nil, "", false}, // an index of -1
		{[]byte{0x80}, nil, "", false},
		{long, nil, "", false}, // no memory is taken for it
	} {
		path, rest, err := splitIndexes(c.in)
		if (err == nil) != c.ok || !slices.Equal(path, c.path) || string(rest) != c.rest {
			t.Errorf("%x: got %v, %q, %v", c.in, path, rest, err)
		}
	}
}

// Whatever the bytes are: no panic, nothing read twice or skipped, and what the
// client's own encoder makes of the result reads as the same.
func FuzzWireFormat(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0, 8, 1})
	f.Add([]byte{0, 0, 0, 1, 1, 4, 2, 6, 'x'})
	f.Add([]byte{0, 0xff, 0, 0, 1})
	f.Add([]byte{1})
	f.Add([]byte{0, 0, 0, 0, 1, 0x80, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, rest, err := splitHeader(b)
		if err != nil {
			return
		}
		if len(rest) != len(b)-5 {
			t.Fatalf("%d of %d bytes are left", len(rest), len(b))
		}
		path, payload, err := splitIndexes(rest)
		if err != nil {
			path, payload = nil, rest
		} else if !bytes.HasSuffix(rest, payload) || len(payload) == len(rest) || len(path) == 0 {
			t.Fatalf("path %v leaves %x of %x", path, payload, rest)
		}
		again, _ := new(sr.ConfluentHeader).AppendEncode(nil, id, path)
		again = append(again, payload...)
		id2, rest2, err := splitHeader(again)
		if err != nil || id2 != id {
			t.Fatalf("id %d became %d: %v", id, id2, err)
		}
		if path == nil {
			return
		}
		path2, payload2, err := splitIndexes(rest2)
		if err != nil || !slices.Equal(path, path2) || !bytes.Equal(payload, payload2) {
			t.Fatalf("%v, %x became %v, %x: %v", path, payload, path2, payload2, err)
		}
	})
}
