package harness

import (
	"math"
	"os"
	"path/filepath"
	"runtime/metrics"
	"testing"
	"time"
)

func TestReadCPUTimes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want cpuTimes
	}{
		"Linux":      {"cpu  100 5 50 800 20 1 4 20 30 0\ncpu0 1 2 3\n", cpuTimes{all: 10 * time.Second, idle: 8200 * time.Millisecond, steal: 200 * time.Millisecond, known: true}},
		"old":        {"cpu  100 5 50 800\n", cpuTimes{}},
		"other":      {"intr 1 2 3 4 5 6 7 8 9 10\n", cpuTimes{}},
		"no numbers": {"cpu  a b c d e f g h i j\n", cpuTimes{}},
		"empty":      {"", cpuTimes{}},
	} {
		path := filepath.Join(t.TempDir(), "stat")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readCPUTimes(path); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := readCPUTimes(filepath.Join(t.TempDir(), "none")); got.known {
		t.Error("known without a file")
	}
}

func TestWorstPause(t *testing.T) {
	buckets := []float64{math.Inf(-1), 0.001, 0.01, 0.1, math.Inf(1)}
	before := &metrics.Float64Histogram{Counts: []uint64{5, 3, 2, 1}, Buckets: buckets}
	for _, c := range []struct {
		counts []uint64
		want   float64
	}{{[]uint64{5, 3, 2, 1}, 0}, {[]uint64{6, 3, 2, 1}, 0}, {[]uint64{9, 4, 3, 1}, 0.01}, {[]uint64{5, 3, 2, 2}, 0.1}} {
		if got := worstPause(before, &metrics.Float64Histogram{Counts: c.counts, Buckets: buckets}); got != c.want {
			t.Errorf("%v: %g", c.counts, got)
		}
	}
	if worstPause(nil, before) != 0 {
		t.Error("a pause without a beginning")
	}
}

func TestWatchMachine(t *testing.T) {
	w := watchMachine()
	m := w.stop()
	if m.Known && (m.Busy < 0 || m.Busy > 1 || m.Steal < 0 || m.Steal > 1) {
		t.Errorf("%+v", m)
	}
}
