package harness

import (
	"context"
	"math"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/subject"
)

// machineLook is how often the machine is looked at while it is measured.
const machineLook = 100 * time.Millisecond

// machineWatch looks at what the machine does while a load is measured.
type machineWatch struct {
	cancel context.CancelFunc
	done   chan struct{}
	first  cpuTimes
	gc     *metrics.Float64Histogram

	mu       sync.Mutex
	last     cpuTimes
	stealMax time.Duration
}

// cpuTimes are those of all CPUs together since the machine started.
type cpuTimes struct {
	all, idle, steal time.Duration
	known            bool
}

func watchMachine() *machineWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &machineWatch{cancel: cancel, done: make(chan struct{}), first: readCPUTimes("/proc/stat"), gc: gcPauses()}
	w.last = w.first
	go func() {
		defer close(w.done)
		tick := time.NewTicker(machineLook)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.look()
			}
		}
	}()
	return w
}

func (w *machineWatch) look() {
	now := readCPUTimes("/proc/stat")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stealMax = max(w.stealMax, now.steal-w.last.steal)
	w.last = now
}

// stop returns what was seen since the watch began.
func (w *machineWatch) stop() *load.Machine {
	w.cancel()
	<-w.done
	w.look()
	m := &load.Machine{Known: w.first.known && w.last.known, GCPauseMS: worstPause(w.gc, gcPauses()) * 1000}
	if all := w.last.all - w.first.all; m.Known && all > 0 {
		m.Busy = 1 - float64(w.last.idle-w.first.idle)/float64(all)
		m.Steal = float64(w.last.steal-w.first.steal) / float64(all)
		m.StealMaxMS = float64(w.stealMax) / float64(time.Millisecond)
	}
	return m
}

// readCPUTimes reads the first line of /proc/stat: cpu, then ticks of user, nice, system, idle, iowait, irq, softirq, steal, guest
// and guest_nice, of which the last two are in the first two as well (proc(5)).
func readCPUTimes(path string) cpuTimes {
	text, err := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if err != nil || len(fields) < 9 || fields[0] != "cpu" {
		return cpuTimes{}
	}
	t := cpuTimes{known: true}
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return cpuTimes{}
		}
		d := time.Duration(n) * subject.ClockTick
		t.all += d
		switch i {
		case 3, 4:
			t.idle += d
		case 7:
			t.steal = d
		}
	}
	return t
}

const gcMetric = "/sched/pauses/total/gc:seconds"

// gcPauses is the distribution of the pauses that this process has had for garbage collection.
func gcPauses() *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: gcMetric}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return nil
	}
	h := sample[0].Value.Float64Histogram()
	return &metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}
}

// worstPause is the longest pause that is in after and not in before, in seconds: the lower end of its bucket.
func worstPause(before, after *metrics.Float64Histogram) float64 {
	if before == nil || after == nil || len(before.Counts) != len(after.Counts) {
		return 0
	}
	for i := len(after.Counts) - 1; i >= 0; i-- {
		if after.Counts[i] > before.Counts[i] {
			if low := after.Buckets[i]; !math.IsInf(low, -1) {
				return low
			}
			return 0
		}
	}
	return 0
}
