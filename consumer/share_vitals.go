package consumer

import (
	"cmp"
	"fmt"
	"time"
)

// spell is a time in which all acknowledgements of a partition failed.
type spell struct {
	since, last time.Time // of the first and the last failure
	until       time.Time // when the last says nothing any more, if no other follows
	err         error     // of the last
}

// enterShare: the session of a share consumer starts its loops. Beat is the time
// between heartbeats; 0 if it is not known.
func (v *vitals) enterShare(beat time.Duration) {
	v.enter(nil)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.beat = cmp.Or(beat, 5*time.Second) // Kafka's default
}

// joinFailed: joining did not work yet, and is tried again.
func (v *vitals) joinFailed(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state == StateJoining {
		v.become(StateJoining, err)
	}
}

// beatRefused: the coordinator refused a heartbeat, and has not thrown the member
// out by that.
func (v *vitals) beatRefused(err error) {
	v.joinFailed(err)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.missed = err
	if v.missing.IsZero() {
		v.missing = time.Now()
	}
}

// acked: the broker has taken acknowledgements of a partition, or err tells why
// not. A failure is not repeated, unlike that of a commit, so it says something for
// a while only.
func (v *vitals) acked(tp topicPartition, err error, while time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err == nil {
		delete(v.refused, tp)
		return
	}
	now := time.Now()
	s, ok := v.refused[tp]
	if !ok || now.After(s.until) {
		s.since = now
	}
	s.last, s.until, s.err = now, now.Add(while), err
	if v.refused == nil {
		v.refused = make(map[topicPartition]spell)
	}
	v.refused[tp] = s
}

func (v *vitals) ackLoopTrouble(cfg *Config, now time.Time) string {
	return v.turnTrouble(cfg.HealthTimeout, now)
}

func (v *vitals) ackTrouble(cfg *Config, now time.Time) string {
	if !v.looping {
		return ""
	}
	var worst topicPartition
	var found spell
	for tp, s := range v.refused {
		lasting := s.last.Sub(s.since) >= cfg.HealthTimeout && !now.After(s.until)
		if lasting && (found.since.IsZero() || s.since.Before(found.since)) {
			worst, found = tp, s
		}
	}
	if !found.since.IsZero() {
		return fmt.Sprintf("all of %s/%d have failed for %v: %s", worst.topic, worst.partition, round(now.Sub(found.since)), oneLine(found.err))
	}
	if !v.sending.IsZero() {
		if long := now.Sub(v.sending); long > cfg.HealthTimeout {
			return fmt.Sprintf("the broker has taken none for %v", round(long))
		}
	}
	return ""
}
