package consumer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What random runs against the model have found, each by itself.

// diary notes the calls of a handler, and answers by its script.
type diary struct {
	mu     sync.Mutex
	calls  [][]int64
	script func(call int, b Batch) error
}

func (d *diary) handle(_ context.Context, b Batch) error {
	d.mu.Lock()
	var offsets []int64
	for _, r := range b.Records {
		offsets = append(offsets, r.Offset)
	}
	d.calls = append(d.calls, offsets)
	n := len(d.calls)
	d.mu.Unlock()
	return d.script(n, b)
}

func (d *diary) is(want ...[]int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.EqualFunc(d.calls, want, slices.Equal)
}

func deliverAll(t *testing.T, p *partition, recs ...[]*kgo.Record) {
	t.Helper()
	for _, r := range recs {
		if err := p.deliver(r); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
}

// What the handler needs is down: the back-off grows by the times it was tried, not
// by the records that waited.
func TestUnavailableBacksOffByTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Retry.Jitter = 0
		d := &diary{script: func(int, Batch) error { return Unavailable(errors.New("down")) }}
		p, _, _ := testPartition(&cfg, d.handle)
		deliverAll(t, p, records(0, 100, ""))
		time.Sleep(cfg.Retry.Initial*(1+2+4) + time.Millisecond)
		synctest.Wait()
		if len(d.calls) != 4 {
			t.Errorf("%d calls after three back-offs", len(d.calls))
		}
		p.fence(errShutdown)
	})
}

// A record without an order that must stop the consumer is not handled again while
// it stops, and what is below it is no reason to wait.
func TestPoisonStopsWithoutAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Order, cfg.BatchSize, cfg.Concurrency = Unordered, 1, 1
		d := &diary{script: func(call int, _ Batch) error {
			if call == 1 {
				return Permanent(errors.New("never"))
			}
			return nil
		}}
		p, _, o := testPartition(&cfg, d.handle)
		deliverAll(t, p, records(0, 2, ""))
		var poison *PoisonError
		if o.mu.Lock(); !errors.As(o.stopped, &poison) || poison.Offset != 0 || poison.Attempts != 1 {
			t.Errorf("stopped: %v", o.stopped)
		}
		o.mu.Unlock()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if !drainAll(ctx, ctx, []*partition{p}, errShutdown) || time.Since(start) > 0 {
			t.Errorf("the drain took %v", time.Since(start))
		}
		if !d.is([]int64{0}, []int64{1}) {
			t.Errorf("handled %v", d.calls)
		}
		p.fence(errShutdown)
	})
}

// A batch that has become full does not wait for more, whatever its lane.
func TestFullBatchDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Order, cfg.BatchSize, cfg.BatchWait = OrderKey, 2, time.Hour
		d := &diary{script: func(int, Batch) error { return nil }}
		p, _, _ := testPartition(&cfg, d.handle)
		deliverAll(t, p, records(0, 1, "a"), records(1, 1, "b"))
		if !d.is() {
			t.Errorf("handled %v before they were full", d.calls)
		}
		deliverAll(t, p, records(2, 1, "a"))
		if !d.is([]int64{0, 2}) {
			t.Errorf("handled %v, want the full one", d.calls)
		}
		p.fence(errShutdown)
	})
}

// A drain fills the gaps below what is done, and goes not one record further.
func TestDrainEndsAtWhatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Order, cfg.Concurrency = OrderKey, 2
		release := make(chan struct{})
		d := &diary{script: func(call int, _ Batch) error {
			if call == 1 {
				<-release
			}
			return nil
		}}
		p, _, _ := testPartition(&cfg, d.handle)
		deliverAll(t, p, records(0, 1, "a"), records(1, 1, "a"), records(2, 1, "b"), records(3, 1, "a"))
		p.drain()
		close(release)
		<-p.drained
		if !d.is([]int64{0}, []int64{2}, []int64{1}) {
			t.Errorf("handled %v", d.calls)
		}
		if snap, _ := p.snapshot(); snap.offset != 3 {
			t.Errorf("the watermark is %d", snap.offset)
		}
		p.fence(errRevoked)
	})
}

// A drain fills a gap as soon as it is one, not when the batch above it has ended
// altogether, which may wait for a dead letter.
func TestDrainFillsGapsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Order, cfg.BatchSize, cfg.Concurrency, cfg.Poison.Topic = Unordered, 2, 2, "dead"
		cfg.Retry.Initial, cfg.Retry.Jitter = time.Second, 0
		release := make(chan struct{})
		d := &diary{script: func(call int, _ Batch) error {
			switch call {
			case 1:
				return errors.New("not yet")
			case 2:
				<-release
				return FailedAt(1, Permanent(errors.New("never")))
			}
			return nil
		}}
		p, _, o := testPartition(&cfg, d.handle)
		o.letters = make(chan struct{})
		deliverAll(t, p, records(0, 1, ""), records(1, 2, ""))
		p.drain()
		time.Sleep(time.Minute) // the back-off of 0 ends when it is no gap yet
		close(release)
		synctest.Wait()
		if !d.is([]int64{0}, []int64{1, 2}, []int64{0}) {
			t.Errorf("handled %v", d.calls)
		}
		close(o.letters)
		<-p.drained
		p.fence(errRevoked)
	})
}

// Batches without an order come back in any, and their records are handed out again
// in the order of offsets.
func TestBatchesAreInOrderOfOffsets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Order, cfg.BatchSize, cfg.Concurrency, cfg.CommitEachBatch = Unordered, 2, 2, true
		d := &diary{script: func(_ int, b Batch) error {
			switch b.Records[0].Offset {
			case 0:
				time.Sleep(time.Second)
			case 2:
				time.Sleep(2 * time.Second)
			default:
				return nil
			}
			return FailedAt(1, ErrStopped) // 1, then 3
		}}
		p, _, _ := testPartition(&cfg, d.handle)
		deliverAll(t, p, records(0, 6, ""))
		time.Sleep(3 * time.Second)
		p.mu.Lock()
		var waiting []int64
		for i := range p.main.items.len() {
			waiting = append(waiting, p.main.items.at(i).rec.Offset)
		}
		p.mu.Unlock()
		if !slices.Equal(waiting, []int64{1, 3, 4, 5}) {
			t.Errorf("waiting %v", waiting)
		}
		for range 2 { // the last batch may be held until the commit of the one before
			snap, _ := p.snapshot()
			p.answered(snap, true)
			synctest.Wait()
		}
		// Two handlers run at once: who calls first is open, what each gets is not.
		slices.SortFunc(d.calls, slices.Compare)
		if !d.is([]int64{0, 1}, []int64{1, 3}, []int64{2, 3}, []int64{4, 5}) {
			t.Errorf("handled %v", d.calls)
		}
		p.fence(errShutdown)
	})
}

// A handler that says it was asked to stop, and was not, is not called again at once,
// and not for ever: not in a drain either.
func TestStoppedWithoutBeingAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Order, cfg.Concurrency, cfg.Poison.Policy = OrderKey, 2, PoisonSkip
		d := &diary{script: func(call int, b Batch) error {
			if b.Records[0].Offset == 1 {
				return FailedAt(0, ErrStopped)
			}
			time.Sleep(time.Second)
			return nil
		}}
		p, _, _ := testPartition(&cfg, d.handle)
		deliverAll(t, p, records(0, 1, "a"), records(1, 1, "a"), records(2, 1, "b"))
		p.drain()
		<-p.drained
		tried := 0
		for _, c := range d.calls {
			if c[0] == 1 {
				tried++
			}
		}
		if tried != cfg.Retry.Attempts {
			t.Errorf("1 was tried %d times, want %d", tried, cfg.Retry.Attempts)
		}
		p.fence(errRevoked)
	})
}

// A call that ends after its epoch has nothing to say about who has the partition,
// what becomes of its poison, or whether the consumer has to stop.
func TestLateWords(t *testing.T) {
	for name, err := range map[string]error{"fenced": Fenced(errors.New("another has it")), "poison": Permanent(errors.New("never"))} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testConfig()
				cfg.StallTimeout = 0
				p, _, o := testPartition(&cfg, func(context.Context, Batch) error { time.Sleep(time.Hour); return err })
				deliverAll(t, p, records(0, 1, ""))
				p.fence(errLost)
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if o.aborted != nil || o.stopped != nil {
					t.Errorf("aborted: %v, stopped: %v", o.aborted, o.stopped)
				}
			})
		})
	}
}

// A dead letter is not tried again after its partition was lost, though a handler
// that watches Stopping has a moment more.
func TestNoDeadLetterAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Poison.Topic = "dead"
		cfg.Retry.Initial, cfg.Retry.Jitter = lostGrace/2, 0
		p, _, o := testPartition(&cfg, func(ctx context.Context, _ Batch) error {
			_ = Stopping(ctx)
			return Permanent(errors.New("never"))
		})
		o.refuse = errors.New("no")
		deliverAll(t, p, records(0, 1, ""))
		loseAll(t.Context(), []*partition{p}, errLost)
		time.Sleep(time.Minute)
		if o.tries != 1 || o.stopped != nil {
			t.Errorf("%d dead letters, stopped: %v", o.tries, o.stopped)
		}
	})
}
