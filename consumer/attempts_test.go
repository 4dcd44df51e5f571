package consumer

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

func TestAttemptsNote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known := make(map[int64]trial)
		for offset, n := range rapid.MapOf(rapid.Int64Range(0, 1<<40), rapid.IntRange(1, 1000)).Draw(t, "known") {
			known[offset] = trial{attempts: n}
		}
		note := formatAttempts(known)
		if len(note) > maxMetadata || (note == "") != (len(known) == 0) {
			t.Fatalf("%d bytes for %d records", len(note), len(known))
		}
		got, err := parseAttempts(note)
		if err != nil {
			t.Fatal(err)
		}
		for offset, tr := range got {
			if known[offset].attempts != tr.attempts {
				t.Fatalf("%d attempts at %d, want %d", tr.attempts, offset, known[offset].attempts)
			}
		}
		if len(got) < min(len(known), 60) {
			t.Fatalf("only %d of %d are noted", len(got), len(known))
		}
		for offset := range known { // what is left out lies above what is in
			for in := range got {
				if _, ok := got[offset]; !ok && offset < in {
					t.Fatalf("%d is noted and %d is not", in, offset)
				}
			}
		}
	})
	for _, bad := range []string{"x", "ksim-attempts/2 1:1", "ksim-attempts/1 1", "ksim-attempts/1 -1:1", "ksim-attempts/1 1:0", "ksim-attempts/1 2:1 1:1", "ksim-attempts/1  1:1", "ksim-attempts/1 1:99999999999", attemptsFormat + strings.Repeat(" 1:1", 600)} {
		if got, err := parseAttempts(bad); !errors.Is(err, errNoNote) || got != nil {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

func FuzzParseAttempts(f *testing.F) {
	f.Add("")
	f.Add("ksim-attempts/1 118:3 121:1")
	f.Add("ksim-attempts/1 118:3 121")
	f.Fuzz(func(t *testing.T, note string) {
		known, err := parseAttempts(note)
		if err != nil {
			return
		}
		if again, err := parseAttempts(formatAttempts(known)); err != nil || len(again) != len(known) {
			t.Fatalf("%q becomes %v, %v", note, again, err)
		}
	})
}

// A note is committed though the position has not moved, and again when the
// record is done; then there is nothing more to commit.
func TestAttemptsAreCommitted(t *testing.T) {
	cfg := testConfig()
	fail := make(chan error)
	p, _, _ := testPartition(&cfg, func(context.Context, Batch) error { return <-fail })
	p.startsAt(7, Unknown)
	if err := p.deliver([]*kgo.Record{{Topic: "t", Offset: 7}}); err != nil {
		t.Fatal(err)
	}
	if snap, ok := p.snapshot(); ok {
		t.Fatalf("commits %+v before anything has happened", snap)
	}
	fail <- errors.New("no")
	var snap snapshot
	for ok := false; !ok; snap, ok = p.snapshot() { // the attempt is counted a moment after the handler has returned
		runtime.Gosched()
	}
	if snap.offset != 7 || snap.note != "ksim-attempts/1 7:1" {
		t.Fatalf("commits %+v", snap)
	}
	p.answered(snap, true)
	if snap, ok := p.snapshot(); ok {
		t.Fatalf("commits %+v again", snap)
	}
	fail <- nil
	for ok := false; !ok; snap, ok = p.snapshot() {
		runtime.Gosched()
	}
	if snap.offset != 8 || snap.note != "" {
		t.Fatalf("commits %+v", snap)
	}
	p.answered(snap, true)
	if snap, ok := p.snapshot(); ok {
		t.Fatalf("commits %+v again", snap)
	}
	p.fence(errShutdown)
}
