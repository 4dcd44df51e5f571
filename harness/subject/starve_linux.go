package subject

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Starve implements Starver.
func (r *running) Starve() (Starved, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, ErrEnded
	}
	g, err := newMemoryCgroup("ksim-"+r.life, "/proc/self")
	if err != nil {
		return nil, err
	}
	for _, pid := range relatives(r.PID(), r.life) {
		// The limit is there before the process is. What the process has already stays
		// charged to where it was, so any page from now on is one too many.
		err := g.write("cgroup.procs", strconv.Itoa(pid))
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return nil, errors.Join(fmt.Errorf("%w: process %d cannot be moved: %w", ErrNoCgroup, pid, err), g.Close())
		}
	}
	return g, nil
}

// memoryCgroup is a cgroup without memory.
type memoryCgroup struct {
	dir    string
	counts string // the file in which the kernel counts what it has killed
}

// newMemoryCgroup makes a cgroup with a limit of 0, below the one that the process of
// proc (a folder like /proc/self) is in, or beside it.
//
// In cgroup v2 a group that has processes cannot hand the memory controller down to a child, so
// the one beside it is tried too.
func newMemoryCgroup(name, proc string) (*memoryCgroup, error) {
	h, err := findMemory(proc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCgroup, err)
	}
	limit, counts := "memory.limit_in_bytes", "memory.oom_control"
	if h.v2 {
		limit, counts = "memory.max", "memory.events"
	}
	var errs []error
	for _, parent := range []string{h.own, filepath.Dir(h.own)} {
		if !strings.HasPrefix(parent, h.mount) {
			break
		}
		g := &memoryCgroup{dir: filepath.Join(parent, name), counts: counts}
		if err := os.Mkdir(g.dir, 0o755); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := g.write(limit, "0"); err != nil {
			errs = append(errs, err, g.Close())
			continue
		}
		return g, nil
	}
	return nil, fmt.Errorf("%w: %w", ErrNoCgroup, errors.Join(errs...))
}

func (g *memoryCgroup) write(file, text string) error {
	// Without O_CREAT: a file that is not there means a controller that is not.
	f, err := os.OpenFile(filepath.Join(g.dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Kills implements Starved.
func (g *memoryCgroup) Kills() (int, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, g.counts))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
	return 0, fmt.Errorf("%s has no line oom_kill: the kernel is older than 4.13", filepath.Join(g.dir, g.counts))
}

// emptyBound is how long the kernel may take to see that a cgroup has no process any more.
const emptyBound = 2 * time.Second

// Close implements Starved.
func (g *memoryCgroup) Close() error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for deadline := time.Now().Add(emptyBound); ; <-ticker.C {
		err := os.Remove(g.dir)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove the cgroup %s: %w", g.dir, err)
		}
	}
}

// hierarchy is where the memory controller is.
type hierarchy struct {
	v2         bool
	mount, own string // where it is mounted, and the folder of this process in it
}

// findMemory looks the memory controller up for a process: in a hierarchy of its own (cgroup
// v1) first, since in a mixed system it is not in the unified one then.
func findMemory(proc string) (hierarchy, error) {
	paths, err := cgroupPaths(filepath.Join(proc, "cgroup"))
	if err != nil {
		return hierarchy{}, err
	}
	mounts, err := os.Open(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return hierarchy{}, err
	}
	defer func() { _ = mounts.Close() }() // only read
	var found []hierarchy
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		root, at, kind, options := parseMount(lines.Text())
		v1 := kind == "cgroup" && has(options, "memory")
		if !v1 && kind != "cgroup2" {
			continue
		}
		path, ok := paths["memory"]
		if !v1 {
			path, ok = paths[""]
		}
		below, err := filepath.Rel(root, path)
		if !ok || err != nil || strings.HasPrefix(below, "..") || strings.HasPrefix(path, "/..") {
			below = "." // the mount shows another part of the tree, as in some containers
		}
		h := hierarchy{v2: !v1, mount: at, own: filepath.Join(at, below)}
		if v1 {
			return h, lines.Err()
		}
		found = append(found, h)
	}
	if len(found) == 0 {
		return hierarchy{}, errors.Join(errors.New("no cgroup hierarchy with a memory controller is mounted"), lines.Err())
	}
	return found[0], nil
}

// cgroupPaths reads /proc/PID/cgroup: the path of the process for each controller; "" is v2's.
func cgroupPaths(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(f[1], ",") {
			paths[controller] = f[2]
		}
	}
	return paths, nil
}

// parseMount reads a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
func parseMount(line string) (root, at, kind, options string) {
	left, right, ok := strings.Cut(line, " - ")
	f, g := strings.Fields(left), strings.Fields(right)
	if !ok || len(f) < 5 || len(g) < 3 {
		return "", "", "", ""
	}
	return f[3], f[4], g[0], g[2]
}

func has(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}
