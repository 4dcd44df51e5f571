package subject

import "errors"

// Starver is an Instance that can be left without memory. Only processes on Linux, in a
// cgroup that this process may make children of, are.
type Starver interface {
	// Starve moves all processes of the instance into a cgroup of their own without any
	// memory, so that the kernel kills them when one asks for the next page. It does not
	// wait for that. The error is [ErrNoCgroup] where there is no such cgroup to be
	// had, and [ErrEnded] after the end.
	Starve() (Starved, error)
}

// Starved is the cgroup of an instance without memory.
type Starved interface {
	// Kills is how many processes the kernel has killed in it for want of memory, by
	// the kernel's own count (oom_kill).
	Kills() (int, error)
	// Close takes the cgroup away. Its processes must have ended.
	Close() error
}

// ErrNoCgroup says that the memory of a process cannot be limited here, and why.
var ErrNoCgroup = errors.New("no cgroup to limit memory with")
