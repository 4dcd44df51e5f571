package load

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// every makes message i due at i times d.
func every(d time.Duration) func(int) time.Duration {
	return func(i int) time.Duration { return time.Duration(i) * d }
}

// A span in 16 bits is the span, but for one part in 2048, and keeps the order.
func TestShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(40*24*time.Hour)).Draw(t, "d"))
		got := shorten(d).span()
		if diff := (got - d).Abs(); diff > max(time.Microsecond, d/2048) {
			t.Fatalf("%s became %s", d, got)
		}
		more := d + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "more"))
		if shorten(more) < shorten(d) {
			t.Fatalf("%s is before %s", more, d)
		}
	})
	for _, d := range []time.Duration{-time.Second, 0, 1} {
		if got := shorten(d).span(); got != time.Microsecond {
			t.Errorf("%s became %s", d, got)
		}
	}
	if shorten(1<<62) == 0 {
		t.Error("the longest span wraps around")
	}
}

func TestRecords(t *testing.T) {
	r := NewRecords(2, every(time.Millisecond))
	if _, ok := r.Known(0); ok {
		t.Error("a message is known that was not sent")
	}
	for i := range 3 {
		r.Sent(i, int32(i%2), time.Duration(i)*time.Millisecond+100*time.Microsecond)
	}
	r.Acked(0, 0, 2*time.Millisecond)
	r.Acked(2, 1, 4*time.Millisecond) // offset 0 of another's transaction, say
	r.Failed(1)
	if p, ok := r.Known(1); !ok || p != 1 {
		t.Errorf("message 1 is in partition %d, %v", p, ok)
	}
	if i, ok := r.At(0, 1); !ok || i != 2 {
		t.Errorf("offset 1 is message %d, %v", i, ok)
	}
	for _, at := range []struct {
		partition int32
		offset    int64
	}{{0, 2}, {1, 0}, {2, 0}, {-1, 0}, {0, -1}, {0, 1 << 40}} {
		if i, ok := r.At(at.partition, at.offset); ok {
			t.Errorf("%v is message %d", at, i)
		}
	}
	if n := r.Done(0, 1, 5*time.Millisecond, 6*time.Millisecond); n != 0 {
		t.Errorf("the first time was %d before", n)
	}
	for want := 1; want <= 300; want++ {
		got := r.Done(0, 2, 7*time.Millisecond, 8*time.Millisecond)
		if want < 256 && got != want {
			t.Fatalf("time %d was %d before", want, got)
		}
	}
	repeats, n := r.Repeats()
	if n != 300 || repeats[0] != (Repeat{Message: 0, Partition: 0, Member: 2, At: 8 * time.Millisecond, After: 2 * time.Millisecond}) {
		t.Errorf("%d repeats, the first %+v", n, repeats[0])
	}
	if sent, ended, failed, done := r.Count(); sent != 3 || ended != 3 || failed != 1 || done != 1 {
		t.Errorf("%d sent, %d ended, %d failed, %d done", sent, ended, failed, done)
	}
	r.Done(2, 1, 9*time.Millisecond, 10*time.Millisecond)
	if first, last := r.Span(); first != 6*time.Millisecond || last != 10*time.Millisecond {
		t.Errorf("done from %s to %s", first, last)
	}
}

// Who meets a record before its producer has the answer waits for that.
func TestAwaitAt(t *testing.T) {
	r := NewRecords(1, every(time.Millisecond))
	r.Sent(0, 0, 0)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := r.AwaitAt(gone, 0, 0); ok {
		t.Error("found what nobody has acknowledged")
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if i, ok := r.AwaitAt(t.Context(), 0, 0); !ok || i != 0 {
				t.Errorf("message %d, %v", i, ok)
			}
		})
	}
	r.Acked(0, 0, time.Millisecond)
	wg.Wait()
	if _, ok := r.AwaitAt(t.Context(), 7, 0); ok {
		t.Error("found a partition that is not there")
	}
}

// Two members do the same messages at once: each message is done first by one of them.
func TestRecordsAtOnce(t *testing.T) {
	const n = 20_000
	r := NewRecords(4, every(time.Microsecond))
	for i := range n {
		r.Sent(i, int32(i%4), time.Duration(i)*time.Microsecond)
	}
	var wg sync.WaitGroup
	for m := range 4 {
		wg.Go(func() {
			for i := range n {
				if m == 0 {
					r.Acked(i, int64(i/4), time.Second)
				}
				r.Done(i, uint8(m), time.Second, time.Second+time.Millisecond)
			}
		})
	}
	wg.Wait()
	if _, ended, _, done := r.Count(); done != n || ended != n {
		t.Errorf("%d done, %d ended", done, ended)
	}
	if _, repeats := r.Repeats(); repeats != 3*n {
		t.Errorf("%d repeats", repeats)
	}
}

// A message takes 20 bytes.
func TestRecordsAreSmall(t *testing.T) {
	const n = 1 << 20
	before := heap()
	r := NewRecords(4, every(time.Microsecond))
	for i := range n {
		r.Sent(i, int32(i%4), 0)
		r.Acked(i, int64(i/4), 0)
	}
	each := float64(heap()-before) / n
	runtime.KeepAlive(r)
	if each > 21 {
		t.Errorf("%.1f bytes a message", each)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkRecords is all that is recorded of a message: sent, acknowledged, done.
func BenchmarkRecords(b *testing.B) {
	due := every(time.Microsecond)
	r := NewRecords(4, due)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r.Sent(i, int32(i%4), due(i)+time.Microsecond)
		r.Acked(i, int64(i/4), due(i)+time.Millisecond)
		r.Done(i, 1, due(i)+2*time.Millisecond, due(i)+3*time.Millisecond)
		i++
	}
}
