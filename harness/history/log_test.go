package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLogAndReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	l, err := Create(path, Header{Run: "r1", Topic: "orders", Promises: DefaultPromises()})
	if err != nil {
		t.Fatal(err)
	}
	first := l.Append(Event{Kind: Produced, Topic: "orders", Message: "m-1 <&>", Outcome: Acked})
	rest := l.AppendAll([]Event{{Kind: EffectStarted, Message: "m-1"}, {Kind: EffectDone, Ref: 2, At: 5 * time.Second}})
	if first.Seq != 1 || first.At == 0 || rest[0].Seq != 2 || rest[1].Seq != 3 || rest[1].At != 5*time.Second {
		t.Errorf("appended %+v %+v", first, rest)
	}
	if l.Last() != 3 || len(l.Events(1)) != 2 || l.Events(3) != nil || l.Events(99) != nil {
		t.Errorf("last %d, events %v", l.Last(), l.Events(1))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if late := l.Append(Event{Kind: Phase}); late.Seq != 0 || l.Last() != 3 {
		t.Errorf("appended after Close: %+v", late)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	h, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(h, l.History()) {
		t.Errorf("read %+v, wrote %+v", h, l.History())
	}
	if h.Header.Format != Format || h.Header.Start.IsZero() {
		t.Errorf("header %+v", h.Header)
	}
}

func TestHeaderIsOnDiskAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	l, err := Create(path, Header{Run: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if h, err := ReadFile(path); err != nil || h.Header.Run != "r1" {
		t.Errorf("%+v, %v", h, err)
	}
	l.Append(Event{Kind: Phase, Note: PhaseWarmUp})
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if h, err := ReadFile(path); err != nil || len(h.Events) != 1 {
		t.Errorf("after Flush: %+v, %v", h, err)
	}
}

func TestCreateErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, Header{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("over an existing file: %v", err)
	}
	if have, _ := os.ReadFile(path); string(have) != "precious" {
		t.Errorf("the file was changed: %q", have)
	}
	if _, err := Create(filepath.Join(path, "no", "such"), Header{}); err == nil {
		t.Error("below a file: no error")
	}
}

// broken fails after the header.
type broken struct{ writes int }

func (b *broken) Write(p []byte) (int, error) {
	if b.writes++; b.writes > 1 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestCloseReportsAWriteError(t *testing.T) {
	l, err := newLog(&broken{}, Header{})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 { // more than the buffer holds
		l.Append(Event{Kind: EffectUnmatched, Note: strings.Repeat("x", 200)})
	}
	if l.Last() != 1000 {
		t.Errorf("the run lost events: %d", l.Last())
	}
	for range 2 {
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := newLog(&broken{writes: 1}, Header{}); err == nil {
		t.Error("a header that cannot be written: no error")
	}
}

func TestAwait(t *testing.T) {
	l := NewMemory(Header{})
	is := func(k Kind) func(Event) bool { return func(e Event) bool { return e.Kind == k } }
	l.Append(Event{Kind: Joining})
	if e, err := l.Await(t.Context(), 0, is(Joining)); err != nil || e.Seq != 1 {
		t.Errorf("what is there already: %+v, %v", e, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if e, err := l.Await(t.Context(), 1, is(Told)); err != nil || e.Seq != 3 {
			t.Errorf("what is to come: %+v, %v", e, err)
		}
	})
	wg.Go(func() {
		if err := l.AwaitState(t.Context(), func() bool { return l.Last() >= 3 }); err != nil {
			t.Errorf("state: %v", err)
		}
	})
	l.Append(Event{Kind: Joining})
	l.Append(Event{Kind: Told})
	wg.Wait()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Await(ctx, 0, is(Lost)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := l.AwaitState(ctx, func() bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	wg.Go(func() {
		if _, err := l.Await(t.Context(), 0, is(Lost)); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
	wg.Go(func() {
		if err := l.AwaitState(t.Context(), func() bool { return false }); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if e, err := l.Await(t.Context(), 0, is(Told)); err != nil || e.Seq != 3 {
		t.Errorf("what came before Close: %+v, %v", e, err)
	}
}

func TestAppendFromManyGoroutines(t *testing.T) {
	l := NewMemory(Header{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				l.AppendAll([]Event{{Kind: EffectStarted}, {Kind: EffectDone}})
			}
		})
	}
	wg.Wait()
	for i, e := range l.Events(0) {
		want := EffectStarted
		if i%2 == 1 {
			want = EffectDone
		}
		if e.Seq != int64(i)+1 || e.Kind != want {
			t.Fatalf("event %d is %+v", i, e)
		}
	}
}

func TestNames(t *testing.T) {
	e := Event{Member: "m1", Incarnation: 1, Topic: "orders", Partition: 3, Offset: 118}
	if e.Who() != "m1" || e.Where() != "orders/3@118" {
		t.Errorf("%s %s", e.Who(), e.Where())
	}
	if e.Incarnation = 2; e.Who() != "m1#2" {
		t.Error(e.Who())
	}
	l := NewMemory(Header{})
	if d := l.Since(l.start.Add(time.Second)); d != time.Second {
		t.Error(d)
	}
	if a, b := l.Now(), l.Now(); a < 0 || b < a {
		t.Errorf("%s %s", a, b)
	}
}

// A run that is killed leaves what had happened up to its last turning point.
func TestTurningPointsReachTheFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	log, err := Create(path, Header{Scenario: "killed"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	log.Append(Event{Kind: Produced, Message: "m-1"})
	log.Append(Event{Kind: FaultBegan, Fault: "crash"})
	h, err := ReadFile(path)
	if err != nil || len(h.Events) != 2 || h.Events[0].Message != "m-1" {
		t.Fatalf("the file holds %+v (%v) while the run goes on, want both events", h.Events, err)
	}
}
