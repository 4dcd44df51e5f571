package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// fakeOwner stands for the session.
type fakeOwner struct {
	mu      sync.Mutex
	paused  bool
	pauses  int
	stopped error
	aborted error

	tries   int           // dead letters
	refuse  error         // their answer
	letters chan struct{} // if not nil, it comes when this is closed
}

func (o *fakeOwner) pause(topicPartition)  { o.mu.Lock(); o.paused = true; o.pauses++; o.mu.Unlock() }
func (o *fakeOwner) resume(topicPartition) { o.mu.Lock(); o.paused = false; o.mu.Unlock() }
func (o *fakeOwner) commitSoon()           {}
func (o *fakeOwner) settled(int)           {}

func (o *fakeOwner) emit(*partition, int64, []*kgo.Record) {}
func (o *fakeOwner) memberOf(string) bool                  { return true }
func (o *fakeOwner) stop(err error)                        { o.mu.Lock(); o.stopped = err; o.mu.Unlock() }
func (o *fakeOwner) rejoin(err error)                      { o.abort(err) }
func (o *fakeOwner) abort(err error)                       { o.mu.Lock(); o.aborted = err; o.mu.Unlock() }

func (o *fakeOwner) letter(ctx context.Context, _ *kgo.Record) error {
	o.mu.Lock()
	o.tries++
	refuse, letters := o.refuse, o.letters
	o.mu.Unlock()
	if letters == nil {
		return refuse
	}
	select {
	case <-letters:
		return refuse
	case <-ctx.Done():
		return ctx.Err()
	}
}

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = []string{"127.0.0.1:1"}, []string{"t"}, "g"
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

func testPartition(cfg *Config, handler Handler) (*partition, *engine, *fakeOwner) {
	e := &engine{cfg: cfg, handler: handler, log: cfg.Logger, running: make(map[topicPartition]<-chan struct{})}
	e.pool = newPool(cfg.Concurrency, e.work)
	o := &fakeOwner{}
	return newPartition(topicPartition{"t", 0}, "m", cfg, o, e.pool, &e.attempts), e, o
}

// bench checks what a handler sees, and answers by chance.
type bench struct {
	mu       sync.Mutex
	random   *rand.Rand
	cfg      Config
	failures map[int64]int // failed attempts still to come; negative: poison
	attempts map[int64]int
	ended    map[int64]bool
	lane     map[string]int64 // highest offset ended, by lane
	running  map[string]int
	bad      string
	part     *partition
}

func (b *bench) laneOf(r *kgo.Record) string {
	switch {
	case b.cfg.Order == OrderPartition:
		return "all"
	case b.cfg.Order == OrderKey && r.Key != nil:
		return "key " + string(r.Key)
	}
	return ""
}

func (b *bench) wrong(format string, args ...any) {
	if b.bad == "" {
		b.bad = fmt.Sprintf(format, args...)
	}
}

func (b *bench) end(r *kgo.Record) {
	if b.ended[r.Offset] {
		b.wrong("%d ended twice", r.Offset)
	}
	b.ended[r.Offset] = true
	if lane := b.laneOf(r); lane != "" {
		if b.lane[lane] > r.Offset {
			b.wrong("%d ended after %d in lane %s", r.Offset, b.lane[lane], lane)
		}
		b.lane[lane] = r.Offset
	}
}

func (b *bench) handle(_ context.Context, batch Batch) error {
	last := batch.Records[len(batch.Records)-1].Offset
	b.part.mu.Lock()
	oldest, _ := b.part.track.oldest()
	b.part.mu.Unlock()
	b.mu.Lock()
	if last-oldest >= int64(b.cfg.MaxSpan) {
		b.wrong("%d is handled, with %d not done", last, oldest)
	}
	lane := b.laneOf(batch.Records[0])
	b.running[lane]++
	if lane != "" && b.running[lane] > 1 {
		b.wrong("two batches of lane %s at once", lane)
	}
	if len(batch.Records) > b.cfg.BatchSize {
		b.wrong("a batch of %d", len(batch.Records))
	}
	for i, r := range batch.Records {
		if b.laneOf(r) != lane {
			b.wrong("lanes %s and %s in one batch", lane, b.laneOf(r))
		}
		if i > 0 && lane != "" && r.Offset <= batch.Records[i-1].Offset {
			b.wrong("a batch out of order")
		}
	}
	takes := time.Duration(b.random.IntN(5)) * time.Millisecond
	b.mu.Unlock()
	time.Sleep(takes)
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.running[lane]-- }()
	if b.random.IntN(8) == 0 && len(batch.Records) > 1 {
		for _, r := range batch.Records {
			if b.failures[r.Offset] < 0 {
				return Permanent(errors.New("one of them is bad"))
			}
		}
	}
	for i, r := range batch.Records {
		left := b.failures[r.Offset]
		if left != 0 {
			b.attempts[r.Offset]++
			if left < 0 {
				b.ended[r.Offset] = true // skipped by policy
				return FailedAt(i, Permanent(errors.New("poison")))
			}
			b.failures[r.Offset]--
			if b.attempts[r.Offset] == b.cfg.Retry.Attempts {
				b.ended[r.Offset] = true
			}
			return FailedAt(i, errors.New("not now"))
		}
		b.attempts[r.Offset]++
		b.end(r)
	}
	return nil
}

// Lanes, retries and acknowledgements of one epoch against a model, for any
// order and any fates: every record comes to its end once, in the order of its
// lane, within its attempts, and the watermark never passes one that has not.
func TestPartitionAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig()
		cfg.Order = rapid.SampledFrom([]Order{OrderPartition, OrderKey, Unordered}).Draw(rt, "order")
		cfg.BatchSize = rapid.IntRange(1, 10).Draw(rt, "batch")
		cfg.Concurrency = rapid.IntRange(1, 8).Draw(rt, "concurrency")
		cfg.BatchWait = rapid.SampledFrom([]time.Duration{0, 3 * time.Millisecond}).Draw(rt, "wait")
		cfg.MaxInFlight = rapid.IntRange(10, 50).Draw(rt, "in flight")
		cfg.MaxSpan = rapid.IntRange(10, 40).Draw(rt, "span")
		cfg.Retry.Attempts = rapid.IntRange(2, 4).Draw(rt, "attempts")
		cfg.Poison = Poison{Policy: PoisonSkip}
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 120).Draw(rt, "records")
		var bad string
		synctest.Test(t, func(*testing.T) { bad = partitionRun(cfg, seed, n) })
		if bad != "" {
			rt.Fatal(bad)
		}
	})
}

func partitionRun(cfg Config, seed uint64, n int) string {
	b := &bench{
		random: rand.New(rand.NewPCG(seed, 1)), cfg: cfg, failures: map[int64]int{}, attempts: map[int64]int{},
		ended: map[int64]bool{}, lane: map[string]int64{}, running: map[string]int{},
	}
	p, _, owner := testPartition(&cfg, b.handle)
	b.part = p
	offset, last := int64(b.random.IntN(100)), int64(0)
	for sent := 0; sent < n; {
		var recs []*kgo.Record
		b.mu.Lock()
		for range min(n-sent, 1+b.random.IntN(20)) {
			offset += int64(b.random.IntN(3))
			r := &kgo.Record{Topic: "t", Offset: offset}
			if k := b.random.IntN(5); k > 0 {
				r.Key = fmt.Append(nil, k)
			}
			switch b.random.IntN(15) {
			case 0:
				b.failures[offset] = -1
			case 1:
				b.failures[offset] = 1 + b.random.IntN(5)
			}
			recs, last = append(recs, r), offset
			offset++
		}
		b.mu.Unlock()
		sent += len(recs)
		if err := p.deliver(recs); err != nil {
			return err.Error()
		}
		time.Sleep(time.Duration(len(recs)) * time.Millisecond)
		if bad := b.watermark(p); bad != "" {
			return bad
		}
	}
	time.Sleep(time.Hour) // back-offs, in virtual time
	synctest.Wait()
	defer p.fence(errShutdown)
	switch p.mu.Lock(); {
	case p.track.next != last+1:
		b.wrong("the watermark is %d, want %d", p.track.next, last+1)
	case p.pending != 0, p.running != 0, len(p.keys) != 0, len(p.retries) != 0:
		b.wrong("left: %d pending, %d running, %d lanes, %d retries", p.pending, p.running, len(p.keys), len(p.retries))
	case owner.paused:
		b.wrong("paused for ever")
	}
	p.mu.Unlock()
	for o, attempts := range b.attempts {
		if attempts > cfg.Retry.Attempts {
			b.wrong("%d attempts at %d", attempts, o)
		}
	}
	return b.bad
}

// watermark checks that a commit now would cover only what has ended.
func (b *bench) watermark(p *partition) string {
	snap, ok := p.snapshot()
	if !ok {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	bad := ""
	p.track.pending(func(e *entry) {
		if e.rec.Offset < snap.offset && !b.ended[e.rec.Offset] {
			bad = fmt.Sprintf("the watermark %d passes %d, which has not ended", snap.offset, e.rec.Offset)
		}
	})
	return bad
}

func records(from, n int64, key string) []*kgo.Record {
	out := make([]*kgo.Record, n)
	for i := range out {
		out[i] = &kgo.Record{Topic: "t", Offset: from + int64(i)}
		if key != "" {
			out[i].Key = []byte(key)
		}
	}
	return out
}

// A drain by key finishes what lies below the highest record that is done, so
// nothing has to be repeated, and starts nothing above it.
func TestDrainFillsHoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Order, cfg.BatchSize = OrderKey, 1
		var mu sync.Mutex
		var handled []int64
		p, _, _ := testPartition(&cfg, func(_ context.Context, b Batch) error {
			if string(b.Records[0].Key) == "slow" {
				time.Sleep(time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			handled = append(handled, b.Records[0].Offset)
			return nil
		})
		for _, recs := range [][]*kgo.Record{records(0, 3, "slow"), records(3, 1, "fast"), records(4, 3, "slow")} {
			if err := p.deliver(recs); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // 3 is done, 0 runs
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if !drainAll(ctx, ctx, []*partition{p}, errRevoked) {
			t.Fatal("not drained")
		}
		if snap, ok := p.snapshot(); !ok || snap.offset != 4 {
			t.Fatalf("the watermark is %d, want 4; handled %v", snap.offset, handled)
		}
		p.fence(errRevoked)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(handled) != 4 {
			t.Fatalf("handled %v, want 0 to 3", handled)
		}
	})
}

// A handler that watches Stopping is waited for until its next record only; one
// that ignores everything until the deadline, and then no longer counts.
func TestDrainDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		p, _, _ := testPartition(&cfg, Each(func(context.Context, *kgo.Record) error { time.Sleep(time.Second); return nil }))
		if err := p.deliver(records(0, 50, "")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if !drainAll(ctx, ctx, []*partition{p}, errRevoked) || time.Since(start) > time.Second {
			t.Fatalf("the drain took %v", time.Since(start))
		}
		if snap, _ := p.snapshot(); snap.offset != 3 {
			t.Fatalf("the watermark is %d, want 3", snap.offset)
		}
		p.fence(errRevoked)

		stubborn, _, _ := testPartition(&cfg, func(context.Context, Batch) error { time.Sleep(time.Hour); return nil })
		if err := stubborn.deliver(records(0, 1, "")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		soft, cancelSoft := context.WithTimeout(t.Context(), time.Second)
		defer cancelSoft()
		hard, cancelHard := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancelHard()
		if drainAll(soft, hard, []*partition{stubborn}, errRevoked) {
			t.Fatal("drained, though the handler runs")
		}
		stubborn.fence(errRevoked)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if _, ok := stubborn.snapshot(); ok {
			t.Fatal("it was counted after the fence")
		}
		select {
		case <-stubborn.idle:
		default:
			t.Fatal("the next epoch would wait for ever")
		}
	})
}

// The next epoch of a partition starts only after the last handler call of the
// one before has returned.
func TestEpochsDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		var mu sync.Mutex
		running := 0
		handler := func(context.Context, Batch) error {
			mu.Lock()
			if running++; running > 1 {
				t.Error("two epochs at once")
			}
			mu.Unlock()
			time.Sleep(time.Second) // deaf to its context
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		}
		first, e, o := testPartition(&cfg, handler)
		e.succeed(first.topicPartition, first.idle)
		last := first
		for range 3 {
			if err := last.deliver(records(0, 1, "")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			last.fence(errLost)
			next := newPartition(first.topicPartition, "m", &cfg, o, e.pool, &e.attempts)
			next.gate(e.succeed(next.topicPartition, next.idle))
			last = next
		}
		if err := last.deliver(records(0, 1, "")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if snap, ok := last.snapshot(); !ok || snap.offset != 1 {
			t.Fatal("the last epoch did not work")
		}
		last.fence(errShutdown)
	})
}

func TestBoundsPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.BatchSize, cfg.MaxInFlight = 1, 10
		release := make(chan struct{})
		p, _, o := testPartition(&cfg, func(context.Context, Batch) error { <-release; return nil })
		if err := p.deliver(records(0, 9, "")); err != nil || o.paused {
			t.Fatalf("paused %v, %v", o.paused, err)
		}
		if err := p.deliver(records(9, 7, "")); err != nil || o.paused {
			t.Fatalf("paused, though there was room when they came: %v", err)
		}
		if err := p.deliver(records(16, 4, "")); err != nil || !o.paused {
			t.Fatalf("not paused, though there was no room: %v", err)
		}
		for range 9 {
			release <- struct{}{}
		}
		synctest.Wait()
		if !o.paused {
			t.Fatal("goes on with more than half of what it was paused at")
		}
		release <- struct{}{}
		synctest.Wait()
		if o.paused {
			t.Fatal("still paused at half of what it was paused at")
		}
		close(release)
		synctest.Wait()
		if err := p.deliver(records(20, 181, "")); err != nil || o.pauses != 1 {
			t.Fatalf("%d pauses, %v", o.pauses, err)
		}
		synctest.Wait()
		if err := p.deliver(records(200, 1, "")); !errors.Is(err, errRewound) {
			t.Fatalf("an old offset: %v", err)
		}
		p.fence(errShutdown)
	})
}

func TestFatalAbortsAndUnavailableCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		calls := 0
		p, _, o := testPartition(&cfg, func(context.Context, Batch) error {
			if calls++; calls <= 20 {
				return FailedAt(1, Unavailable(errors.New("down")))
			}
			return Fatal(errors.New("enough"))
		})
		if err := p.deliver(records(0, 100, "")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if o.aborted == nil || o.aborted.Error() != "enough" || o.stopped != nil || calls != 21 {
			t.Fatalf("aborted %v, stopped %v after %d calls", o.aborted, o.stopped, calls)
		}
		p.fence(o.aborted)
	})
}

// A commit speaks for an epoch only in the name of the member that it belongs
// to, and never after its fence: it may have waited for a join in between.
func TestCommitSpeaksForItsEpochOnly(t *testing.T) {
	cfg := testConfig()
	p, e, _ := testPartition(&cfg, func(context.Context, Batch) error { return nil })
	if err := p.deliver(records(0, 10, "")); err != nil {
		t.Fatal(err)
	}
	<-e.pool.wait()
	if snap, ok := p.snapshot(); !ok || snap.offset != 10 || !p.current("m") {
		t.Fatalf("nothing to commit: %v", snap)
	}
	if p.current("another") || p.current("") {
		t.Error("another member may commit for it")
	}
	p.fence(errLost)
	if _, ok := p.snapshot(); ok || p.current("m") {
		t.Error("it is committed after its fence")
	}
}
