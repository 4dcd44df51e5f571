package subject

import "time"

// ClockTick is the unit of times in /proc, USER_HZ: 100 a second on every Linux that Go runs on.
const ClockTick = 10 * time.Millisecond

// Meter is an Instance that tells what it costs. Processes are; only on Linux is it more than 0.
type Meter interface {
	// CPU is the CPU time that its processes have used that live, and the children that these have waited for.
	CPU() time.Duration
}

// CPU implements Meter.
func (r *running) CPU() time.Duration { return cpuOf(relatives(r.PID(), r.life)) }
