package load

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Bounds beyond which a measurement is not to be believed.
const (
	// maxLate is how far the generator may fall behind its schedule at worst.
	maxLate = 50 * time.Millisecond
	// maxLateShare is the share of p99 that may be the generator's own delay at p99.
	maxLateShare = 0.1
	// MinThrough is the share of the offered rate that a consumer which keeps up does.
	MinThrough = 0.9
	// MinCeiling is how much more a consumer that does nothing has to reach, at the same settings, than what is claimed.
	MinCeiling = 1.5
	// maxSteal is the share of the machine that other guests of its host may take.
	maxSteal = 0.05
	// tailShare is the share of a tail, p99.9 beyond p50, that a pause of the machine or of the generator may be as long as.
	tailShare = 0.5
	// minPause is too short a pause to explain anything, in ms: the kernel tells of steal in steps of 10 ms.
	minPause = 10.0
)

// Judge marks r invalid if one of its figures says that it must not be believed. Failed and undone are messages that were not
// acknowledged, and that were and never done. A measurement that is invalid is no statement about the subject.
func (r *Result) Judge(failed, undone int) {
	var reasons []string
	wrong := func(is bool, format string, args ...any) {
		if is {
			reasons = append(reasons, fmt.Sprintf(format, args...))
		}
	}
	late := time.Duration(r.LateMS * float64(time.Millisecond))
	wrong(late > maxLate, "the generator fell %s behind its schedule: the machine is too busy for %g messages/s; choose a lower --rate, or give the subject a machine of its own", late.Round(time.Millisecond), r.Rate)
	if s, ok := r.stage(Schedule); ok && late <= maxLate {
		wrong(s.P99 > 1 && s.P99 > maxLateShare*r.Latency.P99, "%.1f ms of p99, which is %.1f ms, are the generator's own delay: choose a lower --rate", s.P99, r.Latency.P99)
	}
	wrong(failed > 0, "%d messages were not acknowledged by the broker: see whether it is healthy", failed)
	wrong(undone > 0, "%d messages were never done", undone)
	wrong(r.Through < MinThrough*r.Rate, "the consumer kept up with %.0f of %.0f messages/s: its latency grows with the length of the run; choose a lower --rate", r.Through, r.Rate)
	if c := r.Ceiling; c != nil {
		wrong(c.Ratio < MinCeiling, "a consumer that does nothing reaches %.0f messages/s here, %.2f times what is claimed, and %g times are asked for: it is the harness and the machine that were measured; choose a lower --rate, or larger batches", c.Through, c.Ratio, MinCeiling)
	}
	reasons = append(reasons, r.pauses()...)
	if len(reasons) > 0 {
		r.Valid, r.Reason = false, strings.Join(reasons, "; ")
	}
}

// FellBehind tells whether r is invalid because the subject did not keep up, and not because of the generator, the broker or
// the machine.
func (r *Result) FellBehind() bool {
	late := time.Duration(r.LateMS * float64(time.Millisecond))
	return !r.Valid && r.Seconds > 0 && r.Rate > 0 && late <= maxLate && r.Through < MinThrough*r.Rate && (r.Ceiling == nil || r.Ceiling.Ratio >= MinCeiling)
}

// pauses are those of the machine and of the generator that explain the tail.
func (r *Result) pauses() (reasons []string) {
	m := r.Machine
	if m == nil {
		return nil
	}
	if m.Steal > maxSteal {
		reasons = append(reasons, fmt.Sprintf("other guests of the host took %.0f %% of the machine: measure again when it is quieter, or elsewhere", 100*m.Steal))
	}
	least := max(minPause, tailShare*math.Max(0, r.Latency.P999-r.Latency.P50))
	if m.StealMaxMS > least && m.Steal <= maxSteal {
		reasons = append(reasons, fmt.Sprintf("other guests of the host took %.0f ms at once, and p99.9 is %.0f ms above p50: the tail may be theirs; measure again", m.StealMaxMS, r.Latency.P999-r.Latency.P50))
	}
	if m.GCPauseMS > least {
		reasons = append(reasons, fmt.Sprintf("the generator's garbage collector stopped it for %.0f ms, and p99.9 is %.0f ms above p50: the tail may be its; choose a lower --rate or a shorter --duration", m.GCPauseMS, r.Latency.P999-r.Latency.P50))
	}
	return reasons
}

// stage is what is known of a stage.
func (r *Result) stage(s Stage) (StageLatency, bool) {
	for _, l := range r.Stages {
		if l.Stage == s.String() && l.Count > 0 {
			return l, true
		}
	}
	return StageLatency{}, false
}
