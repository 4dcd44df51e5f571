//go:build linux

package subject

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A shell that works on until the kernel takes it away.
func TestStarve(t *testing.T) {
	in, _ := start(t, sh(`i=0; while :; do i=$((i+1)); x=$(printf '%1000d' $i); sleep 0.01; done`))
	g, err := in.(Starver).Starve()
	if errors.Is(err, ErrNoCgroup) {
		t.Skipf("needs a cgroup that may be written to: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if exit := ended(t, in); exit.Signal != "killed" && exit.Code != 137 {
		t.Errorf("it ended with %+v, want SIGKILL", exit)
	}
	if n, err := g.Kills(); n < 1 || err != nil {
		t.Errorf("the kernel killed %d for want of memory: %v", n, err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(g.(*memoryCgroup).dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cgroup is still there: %v", err)
	}
	if _, err := in.(Starver).Starve(); !errors.Is(err, ErrEnded) {
		t.Errorf("starved after its end: %v", err)
	}
}

// tree is a /proc/self with these files, and a place for cgroups.
func tree(t *testing.T, cgroup, mountinfo string) (proc, mount string) {
	t.Helper()
	proc, mount = t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"cgroup": cgroup, "mountinfo": strings.ReplaceAll(mountinfo, "MOUNT", mount)} {
		if err := os.WriteFile(filepath.Join(proc, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return proc, mount
}

func TestFindMemory(t *testing.T) {
	const (
		v1 = "35 31 0:32 / MOUNT/memory rw,relatime - cgroup cgroup rw,memory\n"
		v2 = "41 31 0:38 / MOUNT/unified rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	)
	for _, c := range []struct {
		name, cgroup, mountinfo, own string
		v2                           bool
	}{
		{"v1", "4:memory:/job/7\n0::/\n", v1 + v2, "memory/job/7", false},
		{"v1 before the unified one", "0::/x\n12:cpu,memory:/y\n", v2 + v1, "memory/y", false},
		{"v2", "0::/user.slice/s\n", v2, "unified/user.slice/s", true},
		{"a container sees its own part", "0::/docker/abc\n", "41 31 0:38 /docker/abc MOUNT/unified rw - cgroup2 cgroup2 rw\n", "unified", true},
		{"a mount of another part", "0::/../../elsewhere\n", v2, "unified", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			proc, mount := tree(t, c.cgroup, c.mountinfo)
			h, err := findMemory(proc)
			if err != nil || h.v2 != c.v2 || h.own != filepath.Join(mount, c.own) {
				t.Errorf("%+v, %v; want %s, v2 %t", h, err, c.own, c.v2)
			}
		})
	}
	proc, _ := tree(t, "0::/\n", "1 2 0:1 / / rw - ext4 /dev/vda rw\n")
	if _, err := newMemoryCgroup("x", proc); !errors.Is(err, ErrNoCgroup) || !strings.Contains(err.Error(), "no cgroup hierarchy") {
		t.Errorf("without cgroups: %v", err)
	}
}

// A folder that is no cgroup has no file to set a limit in, as one without the controller has none.
func TestNoMemoryController(t *testing.T) {
	proc, mount := tree(t, "0::/own\n", "41 31 0:38 / MOUNT rw - cgroup2 cgroup2 rw\n")
	if err := os.Mkdir(filepath.Join(mount, "own"), 0o700); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err := newMemoryCgroup("x", proc)
	if !errors.Is(err, ErrNoCgroup) || !strings.Contains(err.Error(), "memory.max") {
		t.Errorf("want one that names memory.max: %v", err)
	}
	if time.Since(began) > emptyBound {
		t.Errorf("it took %s", time.Since(began))
	}
	for _, dir := range []string{"own/x", "x"} {
		if _, err := os.Stat(filepath.Join(mount, dir)); err == nil {
			t.Errorf("%s was left behind", dir)
		}
	}
}
