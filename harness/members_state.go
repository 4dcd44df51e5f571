package harness

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
