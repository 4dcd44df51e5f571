package dlq_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/dlq"
)

func (k *kafka) replay(opts dlq.ReplayOptions) dlq.Summary {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	defer cancel()
	s, err := dlq.Replay(ctx, k.config(), opts)
	if err != nil {
		k.Fatal(err)
	}
	return s
}

func TestReplay(t *testing.T) {
	everywhere(t, map[string]func(*testing.T, *kafka){
		"bytes": testBytes, "filters": testFilters, "cycles": testCycles, "two at once": testTwoAtOnce, "round trip": testRoundTrip, "kill": testKill,
	})
}

// Key, value and headers come back byte for byte, in order, to where they were; a
// second replay sends nothing.
func testBytes(t *testing.T, k *kafka) {
	sent := k.letters(100)
	odd := []*kgo.Record{k.letter(100, 0, nil, 1), k.letter(103, 0, []byte{}, 1), k.letter(106, 0, []byte{0xff, 0}, 1)}
	odd[0].Value, odd[1].Value = nil, []byte{} // a tombstone, and an empty value
	odd[0].Headers[1].Value = []byte{}
	k.produce(odd...)
	plan, err := dlq.MakePlan(t.Context(), k.config(), dlq.DefaultReplay())
	if err != nil {
		t.Fatal(err)
	}
	s := k.replay(dlq.DefaultReplay())
	for _, x := range []dlq.Summary{plan, s} {
		if x.Letters != 103 || len(x.Targets) != 1 || x.Targets[0] != (dlq.Target{Topic: k.origin, Letters: 103}) || len(x.Left) != 0 {
			t.Errorf("%+v", x)
		}
	}
	got := k.committed(k.origin)
	back := make(map[string]*kgo.Record)
	for partition, records := range got {
		if list := ids(records); partition > 0 && !slices.IsSorted(list) {
			t.Errorf("partition %d: %v", partition, list)
		}
		for _, r := range records {
			back[string(r.Headers[0].Value)] = r // the id is in it
		}
	}
	for _, want := range append(sent, odd...) {
		r := back[string(want.Headers[0].Value)]
		if r == nil {
			t.Errorf("%s did not come back", want.Value)
			continue
		}
		id := int(want.Headers[0].Value[2])
		place := dlq.Read(want).Origin.Partition
		if !same(r.Key, want.Key) || !same(r.Value, want.Value) || r.Partition != place || r.Timestamp.UnixMilli() != originalTime(id) {
			t.Errorf("%d came back as %v", id, r)
		}
		if len(r.Headers) != 4 || r.Headers[2].Key != consumer.HeaderCycles || string(r.Headers[2].Value) != "1" || r.Headers[3].Key != consumer.HeaderReplayed {
			t.Errorf("%d has headers %q", id, r.Headers)
			continue
		}
		for i, h := range r.Headers[:2] {
			if h.Key != want.Headers[i].Key || !same(h.Value, want.Headers[i].Value) {
				t.Errorf("%d: header %d is %q, was %q", id, i, h, want.Headers[i])
			}
		}
	}
	if s := k.replay(dlq.DefaultReplay()); s.Letters != 0 || len(s.Left) != 0 {
		t.Errorf("the second replay: %+v", s)
	}
	if n := len(slices.Concat(k.committed(k.origin)[0], k.committed(k.origin)[1], k.committed(k.origin)[2])); n != 103 {
		t.Errorf("%d records", n)
	}
}

// same tells nil from empty.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// A letter that a filter passed over is pending, until another run picks it; one
// that was sent is never sent again, whatever the filter.
func testFilters(t *testing.T, k *kafka) {
	k.letters(60)
	opts := dlq.DefaultReplay()
	opts.Batch = 7
	opts.Filter.Message = "error 1"
	if s := k.replay(opts); s.Letters != 20 || len(s.Left) != 1 || s.Left[0].Reason != dlq.LeftFiltered || s.Left[0].Letters != 40 {
		t.Errorf("%+v", s)
	}
	states := map[dlq.State]int{}
	for l, err := range dlq.List(t.Context(), k.config(), dlq.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if states[l.State]++; (l.State == dlq.Replayed) != (l.Message == "error 1") {
			t.Errorf("%s, %s is %s", l.Place(), l.Message, l.State)
		}
	}
	if states[dlq.Replayed] != 20 || states[dlq.Pending] != 40 {
		t.Errorf("%v", states)
	}
	opts.Filter = dlq.Filter{MinAttempts: 3}
	opts.Max = 10
	if s := k.replay(opts); s.Letters != 10 {
		t.Errorf("%+v", s)
	}
	opts = dlq.DefaultReplay()
	opts.Rate = 200
	s := k.replay(opts)
	if s.Letters != 30 {
		t.Errorf("%+v", s)
	}
	all := k.committed(k.origin)
	once := ids(slices.Concat(all[0], all[1], all[2]))
	slices.Sort(once)
	if !slices.Equal(once, upTo(60)) {
		t.Errorf("not each once: %v", once)
	}
	for l, err := range dlq.List(t.Context(), k.config(), dlq.ListOptions{Pending: true}) {
		t.Errorf("%v, %v is pending", l, err)
	}
}

// Letters that went round too often, and those that do not tell where they came
// from, are left, and do not hold up others.
func testCycles(t *testing.T, k *kafka) {
	k.produce(k.letter(0, 0, []byte("a"), 4), k.letter(1, 1, []byte("b"), 3), &kgo.Record{Topic: k.dead, Key: []byte("a"), Value: []byte("2")})
	s := k.replay(dlq.DefaultReplay())
	left := map[dlq.Reason]int{}
	for _, l := range s.Left {
		left[l.Reason] = l.Letters
		if len(l.First) != 1 || !strings.HasPrefix(l.First[0], k.dead+"/") {
			t.Errorf("places %v", l.First)
		}
	}
	if s.Letters != 1 || left[dlq.LeftMaxCycles] != 1 || left[dlq.LeftNoOrigin] != 1 {
		t.Errorf("%+v", s)
	}
	if got := k.committed(k.origin); len(got[1]) != 1 || len(got[0]) != 0 {
		t.Errorf("%v", got)
	}
	other := k.origin + ".other"
	k.topic(other, 1)
	opts := dlq.DefaultReplay()
	opts.To, opts.MaxCycles, opts.Timestamp = other, 0, dlq.Now
	began := time.Now().Truncate(time.Millisecond)
	if s := k.replay(opts); s.Letters != 2 {
		t.Errorf("%+v", s)
	}
	got := k.committed(other)[0]
	if len(got) != 2 || got[0].Timestamp.Before(began) || got[1].Timestamp.Before(began) {
		t.Errorf("%v", got)
	}
}

// Two replays of the same letters at once: the later one takes over, and each
// letter is sent once.
func testTwoAtOnce(t *testing.T, k *kafka) {
	const n = 300
	k.letters(n)
	begun := make(chan struct{})
	first := make(chan error, 1)
	sent := 0
	opts := dlq.DefaultReplay()
	opts.Batch, opts.Rate = 5, 50
	opts.OnLetter = func(*dlq.Letter, *kgo.Record) {
		if sent++; sent == 10 {
			close(begun)
		}
	}
	go func() {
		_, err := dlq.Replay(t.Context(), k.config(), opts)
		first <- err
	}()
	select {
	case <-begun:
	case err := <-first:
		t.Fatal(err)
	case <-time.After(patience):
		t.Fatal("it does not begin")
	}
	s := k.replay(dlq.DefaultReplay())
	select {
	case err := <-first:
		if !errors.Is(err, dlq.ErrTakenOver) {
			t.Errorf("the first one returned %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the first one goes on")
	}
	if sent+s.Letters != n {
		t.Errorf("%d and %d letters", sent, s.Letters)
	}
	k.exactly(upTo(n))
}

// What a consumer put aside is handled once it can be; what fails again is put aside
// again, and its cycles are counted.
func testRoundTrip(t *testing.T, k *kafka) {
	var records []*kgo.Record
	for id := range 30 {
		records = append(records, &kgo.Record{Topic: k.origin, Key: []byte{byte(id)}, Value: []byte{byte(id)}, Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte{byte(id)}}}})
	}
	k.produce(records...)
	handled := k.consume(30, func(id byte) bool { return id%3 != 0 })
	if len(handled) != 20 {
		t.Fatalf("%d handled", len(handled))
	}
	if s := k.replay(dlq.DefaultReplay()); s.Letters != 10 {
		t.Fatalf("%+v", s)
	}
	// Fixed, but for one.
	for _, r := range k.consume(10, func(id byte) bool { return id != 9 }) {
		if len(r.Headers) != 3 || string(r.Headers[0].Value) != string(r.Value) {
			t.Errorf("%v has headers %q", r.Value, r.Headers)
		}
	}
	var again []*dlq.Letter
	for l, err := range dlq.List(t.Context(), k.config(), dlq.ListOptions{Pending: true}) {
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, l)
	}
	if len(again) != 1 || again[0].Record.Value[0] != 9 || again[0].Cycles != 2 || len(again[0].Headers()) != 1 || again[0].Attempts != 1 {
		t.Fatalf("%+v", again)
	}
	if s := k.replay(dlq.DefaultReplay()); s.Letters != 1 {
		t.Errorf("%+v", s)
	}
	if got := k.consume(1, func(byte) bool { return true }); len(got) != 1 || string(got[0].Headers[1].Value) != "2" {
		t.Errorf("%v", got)
	}
}

// consume runs a consumer until it has handled or put aside n records, and returns
// those that it handled.
func (k *kafka) consume(n int, ok func(id byte) bool) (handled []*kgo.Record) {
	k.Helper()
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = k.brokers, []string{k.origin}, "billing-"+k.origin
	cfg.Poison, cfg.Concurrency = consumer.Poison{Topic: k.dead, Headers: []consumer.HeaderStyle{consumer.HeadersConnect, consumer.HeadersSpring}}, 1
	cfg.Logger = k.config().Logger
	ctx, stop := context.WithTimeout(k.Context(), patience)
	defer stop()
	aside := 0
	cfg.Hooks.OnPoison = func(*kgo.Record, int, error, consumer.PoisonPolicy) {
		if aside++; aside+len(handled) == n {
			stop()
		}
	}
	c, err := consumer.New(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
		if !ok(r.Value[0]) {
			return consumer.Permanent(errors.New("no such price"))
		}
		if handled = append(handled, r); aside+len(handled) == n {
			stop()
		}
		return nil
	}))
	if err == nil {
		err = c.Run(ctx)
	}
	if err != nil || aside+len(handled) != n {
		k.Fatalf("%d handled, %d put aside, %v", len(handled), aside, err)
	}
	return handled
}
