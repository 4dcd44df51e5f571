package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/harness/subject"
)

// failed returns why members are not started again, nil if all is well.
func (g *members) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fail
}

func (g *members) incarnation(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.all[name]; m != nil {
		return m.incarnation
	}
	return 0
}

// partitions is how many the topic has now.
func (g *members) partitions() int32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(g.wider, g.cfg.Partitions)
}

// widen notes that the topic has got more partitions: the group is stable when it owns them all.
func (g *members) widen(partitions int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wider = partitions
}

// Spare implements fault.Members.
func (g *members) Spare() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n := 1; ; n++ {
		if name := memberName(n); g.all[name] == nil && !g.starting[name] {
			return name
		}
	}
}

// memberName names the n-th member, from 1.
func memberName(n int) string { return fmt.Sprintf("m%d", n) }

// noMoreStarts: from here on no member is started any more, not even one that
// waits for its turn after an exit of its own.
func (g *members) noMoreStarts() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
}

// endBound limits the wait for members that were killed. A process in an
// uninterruptible wait of the kernel may outlast it.
const endBound = 30 * time.Second

// await waits until all goroutines of the members have ended.
func (g *members) await() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.wg.Wait()
	}()
	bound := time.NewTimer(endBound)
	defer bound.Stop()
	select {
	case <-done:
		return nil
	case <-bound.C:
		return fmt.Errorf("a member has not ended %s after it was killed", endBound)
	}
}

// killAll ends every process that still runs, without a word in the history:
// the run is over, or it failed.
func (g *members) killAll() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
	var errs []error
	for _, m := range g.all {
		if m.alive {
			m.wanted, m.alive = false, false
			errs = append(errs, m.inst.Kill())
		}
		m.wire.Close()
	}
	return errors.Join(errs...)
}

// tail returns the last lines that the members wrote, to tell why they did not join.
func (g *members) tail() string {
	files, err := filepath.Glob(filepath.Join(g.dir, "*.log"))
	if err != nil || len(files) == 0 {
		return ""
	}
	slices.Sort(files)
	text, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// cpu is the CPU time that the members have used that live; of one inside the harness it is not known.
func (g *members) cpu() (total time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.all {
		if meter, ok := m.inst.(subject.Meter); ok {
			total += meter.CPU()
		}
	}
	return total
}
