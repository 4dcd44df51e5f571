package consumer

import (
	"fmt"
	"strings"
	"time"
)

// Health is whether a consumer works, in the two senses of Kubernetes. It is not
// live when only a restart can help, and not ready while it does no work or
// cannot keep what it has done. What is not live is not ready either.
type Health struct {
	State  State   `json:"state"`
	Live   bool    `json:"live"`
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"` // all of them, in a fixed order
}

// Check is one thing that Health looks at.
type Check struct {
	Name     string `json:"name"`
	Liveness bool   `json:"liveness"` // if it fails, the consumer is not live
	OK       bool   `json:"ok"`
	Reason   string `json:"reason,omitempty"` // why it fails
}

// Reasons returns why the consumer is not live, or not ready, one reason for each
// check that failed; nil if it is.
func (h Health) Reasons(readiness bool) []string {
	var out []string
	for _, c := range h.Checks {
		if !c.OK && (c.Liveness || readiness) {
			out = append(out, c.Name+": "+c.Reason)
		}
	}
	return out
}

// Health tells whether the consumer works. It asks no broker, and may be called at
// any time from any goroutine, but not from a hook.
//
// It is not live if one of these checks fails:
//
//   - run: Run has returned an error, or takes longer to stop than
//     Config.ShutdownTimeout and Config.HealthTimeout together
//   - handlers: a handler call has run for longer than Config.StallTimeout
//   - poll-loop: it has not turned for Config.HealthTimeout, apart from the time
//     that a rebalance holds it up, which is Config.DrainTimeout at most; a hook
//     that blocks stops it, too
//   - commit-loop: it has not turned for Config.HealthTimeout, apart from
//     Config.CommitInterval and the time that a commit waits for its answer
//
// It is live, but not ready, if one of these fails:
//
//   - group: it is not in the group: it joins for the first time, or was thrown
//     out and joins again; or a rebalance takes longer than Config.RebalanceTimeout
//     and Config.HealthTimeout together
//   - shutdown: it was not started, stops, or has stopped
//   - commits: they have failed, or one had no answer, for Config.HealthTimeout
//   - brokers: none has answered anything for Config.HealthTimeout and a heartbeat
//     interval, apart from Config.RebalanceTimeout where a rebalance has begun
//
// An ordinary rebalance changes nothing: a consumer stays ready while the group
// shares out partitions anew, so that the members of a rolling update do not make
// each other unready. A member without partitions is ready as well, since a group
// may have more members than partitions. Brokers that are away make nobody restart.
// Lag is no matter of health: restarting a consumer that is behind puts it back
// further.
func (c *Consumer) Health() Health { return c.e.vitals.health(&c.cfg, consumerProbes) }

var consumerProbes = []probe{
	{"run", true, (*vitals).runTrouble},
	{"handlers", true, (*vitals).callTrouble},
	{"poll-loop", true, (*vitals).pollTrouble},
	{"commit-loop", true, (*vitals).commitLoopTrouble},
	{"group", false, (*vitals).groupTrouble},
	{"shutdown", false, (*vitals).shutdownTrouble},
	{"commits", false, (*vitals).commitTrouble},
	{"brokers", false, (*vitals).brokerTrouble},
}

// probe makes a Check. It is given vitals under their mutex, and returns what is
// wrong; empty if nothing is.
type probe struct {
	name     string
	liveness bool
	trouble  func(v *vitals, cfg *Config, now time.Time) string
}

func (v *vitals) health(cfg *Config, probes []probe) Health {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	h := Health{State: v.current(), Live: true, Ready: true, Checks: make([]Check, 0, len(probes))}
	for _, p := range probes {
		reason := p.trouble(v, cfg, now)
		h.Checks = append(h.Checks, Check{p.name, p.liveness, reason == "", reason})
		if reason != "" {
			h.Ready, h.Live = false, h.Live && !p.liveness
		}
	}
	return h
}

func (v *vitals) runTrouble(cfg *Config, now time.Time) string {
	switch took := now.Sub(v.since); {
	case v.state == StateFailed:
		return "Run has returned: " + oneLine(v.err)
	case v.state == StateStopping && took > cfg.ShutdownTimeout+cfg.HealthTimeout:
		return fmt.Sprintf("stopping has taken %v, more than ShutdownTimeout, %v", round(took), cfg.ShutdownTimeout)
	}
	return ""
}

func (v *vitals) callTrouble(cfg *Config, now time.Time) string {
	s := v.calls.status(now)
	if s.Stalled == 0 {
		return ""
	}
	return fmt.Sprintf("%d handler calls have run for more than StallTimeout, %v; the oldest at %s/%d@%d, for %v",
		s.Stalled, cfg.StallTimeout, s.StalledAt.Topic, s.StalledAt.Partition, s.StalledAt.Offset, round(s.Oldest))
}

func (v *vitals) pollTrouble(cfg *Config, now time.Time) string {
	if !v.looping {
		return ""
	}
	if !v.callback.IsZero() {
		if took := now.Sub(v.callback); took > cfg.DrainTimeout+cfg.HealthTimeout {
			return fmt.Sprintf("a rebalance callback has run for %v, more than DrainTimeout, %v", round(took), cfg.DrainTimeout)
		}
		return ""
	}
	if still := now.Sub(v.polled); still > cfg.HealthTimeout {
		return fmt.Sprintf("it has not turned for %v", round(still))
	}
	return ""
}

func (v *vitals) commitLoopTrouble(cfg *Config, now time.Time) string {
	return v.turnTrouble(cfg.CommitInterval+maxCommitPause*6/5+cfg.HealthTimeout, now)
}

// turnTrouble is for the loop that tells the broker what is done.
func (v *vitals) turnTrouble(bound time.Duration, now time.Time) string {
	if !v.looping || v.turned.IsZero() || !v.sending.IsZero() {
		return ""
	}
	if still := now.Sub(v.turned); still > bound {
		return fmt.Sprintf("it has not turned for %v", round(still))
	}
	return ""
}

func (v *vitals) groupTrouble(cfg *Config, now time.Time) string {
	switch {
	case v.state == StateJoining && v.err != nil:
		return fmt.Sprintf("joining again for %v: %s", round(now.Sub(v.since)), oneLine(v.err))
	case v.state == StateJoining:
		return fmt.Sprintf("joining for %v", round(now.Sub(v.since)))
	case v.state == StateRunning && !v.moving.IsZero():
		if took := now.Sub(v.moving); took > cfg.RebalanceTimeout+cfg.HealthTimeout {
			return fmt.Sprintf("a rebalance has taken %v, more than RebalanceTimeout, %v", round(took), cfg.RebalanceTimeout)
		}
	case v.state == StateRunning && !v.missing.IsZero():
		if long := now.Sub(v.missing); long > cfg.HealthTimeout {
			return fmt.Sprintf("heartbeats have failed for %v: %s", round(long), oneLine(v.missed))
		}
	}
	return ""
}

func (v *vitals) shutdownTrouble(_ *Config, now time.Time) string {
	switch v.current() {
	case StateNew:
		return "Run was not called"
	case StateStopping:
		return fmt.Sprintf("stopping for %v", round(now.Sub(v.since)))
	case StateStopped, StateFailed:
		return fmt.Sprintf("stopped %v ago", round(now.Sub(v.since)))
	}
	return ""
}

// commitTrouble leaves a rebalance alone: it holds up commits, and has a bound of
// its own.
func (v *vitals) commitTrouble(cfg *Config, now time.Time) string {
	if !v.looping || !v.moving.IsZero() {
		return ""
	}
	if !v.failing.IsZero() {
		if long := now.Sub(v.failing); long > cfg.HealthTimeout {
			return fmt.Sprintf("they have failed for %v: %s", round(long), oneLine(v.failure))
		}
	}
	if !v.sending.IsZero() {
		if long := now.Sub(v.sending); long > cfg.HealthTimeout+cfg.CommitTimeout {
			return fmt.Sprintf("one has had no answer for %v", round(long))
		}
	}
	return ""
}

func (v *vitals) brokerTrouble(cfg *Config, now time.Time) string {
	if v.state != StateJoining && v.state != StateRunning {
		return ""
	}
	bound := cfg.HealthTimeout + max(cfg.HeartbeatInterval, v.beat)
	if !v.moving.IsZero() {
		bound += cfg.RebalanceTimeout // a request to join is answered when all have joined
	}
	if long := now.Sub(v.answered); long > bound {
		return fmt.Sprintf("none has answered for %v", round(long))
	}
	return ""
}

// round makes a duration fit for people.
func round(d time.Duration) time.Duration {
	switch {
	case d > time.Minute:
		return d.Round(time.Second)
	case d > time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
