package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// meter counts what a consumer handles, and notes what the process used for it.
type meter struct {
	want    int64
	window  time.Duration // of a key order trial
	profile string

	count   atomic.Int64
	once    sync.Once
	started chan struct{} // closed when the first record was handed over
	full    chan struct{} // closed when all records were handled
	file    *os.File
	begin   mark
	end     mark
}

// mark is a moment, and what the process had handled and used by then.
type mark struct {
	at      time.Time
	count   int64
	cpu     time.Duration
	mallocs uint64
}

func (m *meter) mark() mark {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // cannot fail
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return mark{
		at: time.Now(), count: m.count.Load(), mallocs: mem.Mallocs,
		cpu: time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
	}
}

// start is called when the first record is handed over, and may be called again.
func (m *meter) start() {
	m.once.Do(func() {
		if m.profile != "" {
			if file, err := os.Create(m.profile); err == nil && pprof.StartCPUProfile(file) == nil {
				m.file = file
			}
		}
		m.begin = m.mark()
		close(m.started)
	})
}

// handle is the handler of all throughput trials: it counts n records. It may be
// called from many goroutines, and tells whether these were the last.
func (m *meter) handle(n int) bool {
	m.start()
	if m.count.Add(int64(n)) != m.want {
		return false
	}
	close(m.full)
	return true
}

// hand calls the handler with a partition's records, batch by batch.
func (m *meter) hand(records []*kgo.Record) (last bool) {
	for len(records) > 0 {
		n := min(len(records), batchSize)
		last = m.handle(n) || last
		records = records[n:]
	}
	return last
}

// committed is called when all that was handled is committed.
func (m *meter) committed() { m.end = m.mark() }

// watch measures a key order trial: over the window, from a moment after the first
// record on, when all goroutines are at work. Then it calls stop.
func (m *meter) watch(stop func()) {
	defer stop()
	<-m.started
	<-time.After(warmUp)
	m.begin = m.mark()
	<-time.After(m.window)
	m.end = m.mark()
}

const warmUp = 500 * time.Millisecond

func (m *meter) result() (result, error) {
	if m.file != nil {
		pprof.StopCPUProfile()
		_ = m.file.Close()
	}
	if m.end.at.IsZero() {
		return result{}, fmt.Errorf("ended after %d of %d records", m.count.Load(), m.want)
	}
	if n := m.count.Load(); m.window == 0 && n != m.want {
		return result{}, fmt.Errorf("handled %d records in place of %d", n, m.want)
	}
	return result{
		Records: int(m.end.count - m.begin.count), Took: m.end.at.Sub(m.begin.at), CPU: m.end.cpu - m.begin.cpu,
		Mallocs: m.end.mallocs - m.begin.mallocs,
	}, nil
}
