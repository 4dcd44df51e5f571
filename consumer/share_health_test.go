package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// heartbeat plays what franz-go does about one: it writes it, reads the answer,
// and logs what came of it, unless it is mute.
func (s *standing) heartbeat(epoch int32, err error, mute bool) {
	const key = int16(kmsg.ShareGroupHeartbeat)
	if !mute {
		s.Log(kgo.LogLevelDebug, saysBeat, "group", "g", "member_id", "m-1", "member_epoch", int32(0))
	}
	s.OnBrokerWrite(kgo.BrokerMetadata{}, key, 1, 0, 0, nil)
	s.OnBrokerE2E(kgo.BrokerMetadata{}, key, kgo.BrokerE2E{})
	if !mute {
		s.Log(kgo.LogLevelDebug, saysBeaten, "group", "g", "new_member_epoch", epoch, "err", err)
	}
}

func testShareConfig() ShareConfig {
	cfg := DefaultShareConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.Logger = []string{"127.0.0.1:1"}, []string{"t"}, "g", slog.New(slog.DiscardHandler)
	return cfg
}

// sharePatient is a share consumer whose loops turn, and whose session is not run.
type sharePatient struct {
	patient
	share *ShareConsumer
	s     *shareSession
}

func newSharePatient(t *testing.T) *sharePatient {
	t.Helper()
	c, err := NewShare(testShareConfig(), func(context.Context, Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	p := &sharePatient{patient{t, c, &c.e.vitals}, c, newShareSession(&c.cfg, c.e, c.handler, &c.counts)}
	c.session.Store(p.s)
	return p
}

func (p *sharePatient) holds(offset int64, delivery int) *held {
	r := &kgo.Record{Topic: "t", Offset: offset, Timestamp: time.Now().Add(-time.Hour)}
	h := &held{entry: entry{rec: r}, tp: topicPartition{"t", 0}, delivery: delivery}
	h.renewed(time.Now(), time.Hour)
	p.s.buffer(h)
	return h
}

// The rules of a share consumer's Health, case by case.
func TestShareHealth(t *testing.T) {
	boom := errors.New("boom\nand more")
	a, b := topicPartition{"t", 0}, topicPartition{"t", 1}
	for name, run := range map[string]func(p *sharePatient, cfg ShareConfig){
		"idle for long": func(p *sharePatient, _ ShareConfig) {
			p.alive(24 * time.Hour)
			p.want(true, true)
		},
		"a poll loop that does not turn": func(p *sharePatient, cfg ShareConfig) {
			p.alive(cfg.HealthTimeout-tick, "poll")
			p.want(true, true)
			p.alive(2*tick, "poll")
			p.want(false, false, "poll-loop")
			p.v.pollTurned()
			p.want(true, true)
		},
		"an ack loop that does not turn": func(p *sharePatient, cfg ShareConfig) {
			p.alive(cfg.HealthTimeout-tick, "commit")
			p.want(true, true)
			p.alive(2*tick, "commit")
			p.want(false, false, "ack-loop")
		},
		"acknowledgements without an answer": func(p *sharePatient, cfg ShareConfig) {
			answered := p.v.commitSent()
			p.alive(cfg.HealthTimeout-tick, "commit")
			p.want(true, true)
			p.alive(time.Hour, "commit")
			p.want(true, false, "acknowledgements")
			answered()
			p.v.commitTurned()
			p.want(true, true)
		},
		"acknowledgements of a partition fail": func(p *sharePatient, cfg ShareConfig) {
			while := cfg.HealthTimeout + time.Minute
			p.v.acked(a, boom, while)
			p.alive(cfg.HealthTimeout + tick)
			p.want(true, true) // it was one, and may have been the only one
			p.v.acked(b, nil, while)
			p.v.acked(a, boom, while)
			p.want(true, false, "acknowledgements")
			p.alive(while - tick)
			p.want(true, false, "acknowledgements")
			p.v.acked(a, nil, while)
			p.want(true, true)
		},
		"an acknowledgement that failed is forgotten": func(p *sharePatient, cfg ShareConfig) {
			while := cfg.HealthTimeout + time.Minute
			p.v.acked(a, boom, while)
			p.v.acked(b, boom, while)
			p.alive(cfg.HealthTimeout)
			p.v.acked(b, boom, while)
			p.want(true, false, "acknowledgements")
			p.alive(while + tick)
			p.want(true, true)
			p.v.acked(a, boom, while) // a new trouble
			p.want(true, true)
		},
		"brokers are away": func(p *sharePatient, cfg ShareConfig) {
			p.alive(cfg.HealthTimeout+5*time.Second-tick, "brokers")
			p.want(true, true)
			p.alive(24*time.Hour, "brokers")
			p.s.member.heartbeat(0, context.DeadlineExceeded, false)
			p.alive(cfg.HealthTimeout+5*time.Second+tick, "brokers")
			p.want(true, false, "brokers")
			p.alive(tick)
			p.want(true, true)
		},
		"thrown out": func(p *sharePatient, _ ShareConfig) {
			p.s.member.heartbeat(0, fmt.Errorf("words: %w", kerr.UnknownMemberID), false)
			p.alive(time.Hour)
			p.want(true, false, "group")
			if s := p.share.Status(); s.State != StateJoining || !errors.Is(s.Err, kerr.UnknownMemberID) || s.Member != "" || s.Epoch != -1 {
				p.Errorf("%+v", s)
			}
			p.s.member.heartbeat(7, nil, false)
			p.want(true, true)
			if s := p.share.Status(); s.Member != "m-1" || s.Epoch != 7 || s.Err != nil {
				p.Errorf("%+v", s)
			}
		},
		"heartbeats are refused": func(p *sharePatient, cfg ShareConfig) {
			p.s.member.heartbeat(0, kerr.CoordinatorNotAvailable, false)
			p.alive(cfg.HealthTimeout - tick)
			p.want(true, true)
			p.s.member.heartbeat(0, kerr.CoordinatorNotAvailable, false)
			p.alive(2 * tick)
			p.want(true, false, "group")
			p.s.member.heartbeat(3, nil, false)
			p.want(true, true)
		},
		"a handler that stalls": func(p *sharePatient, cfg ShareConfig) {
			end := p.v.calls.begin(RecordID{"t", 0, 7}, 3, cfg.StallTimeout, func(*call) {})
			p.alive(cfg.StallTimeout - tick)
			p.want(true, true)
			p.alive(2 * tick)
			p.want(false, false, "handlers")
			if s := p.share.Status(); s.Calls.Stalled != 1 || s.Calls.StalledAt != (RecordID{"t", 0, 7}) {
				p.Errorf("%+v", s.Calls)
			}
			end()
			p.want(true, true)
		},
		"shutting down": func(p *sharePatient, cfg ShareConfig) {
			p.v.acked(a, boom, time.Hour)
			p.v.leaving(nil)
			p.alive(cfg.ShutdownTimeout, "poll", "commit", "brokers")
			p.want(true, false, "shutdown")
			p.s.member.heartbeat(0, kerr.UnknownMemberID, false) // no state goes back
			p.s.member.heartbeat(9, nil, false)
			p.want(true, false, "shutdown")
			p.alive(cfg.HealthTimeout + tick)
			p.want(false, false, "run", "shutdown")
		},
		"stopped": func(p *sharePatient, _ ShareConfig) {
			p.v.leaving(nil)
			p.v.end(nil)
			p.alive(time.Hour, "poll", "commit", "brokers")
			p.want(true, false, "shutdown")
		},
		"failed": func(p *sharePatient, _ ShareConfig) {
			p.v.end(boom)
			p.want(false, false, "run", "shutdown")
			if s := p.share.Status(); s.State != StateFailed || !errors.Is(s.Err, boom) {
				p.Errorf("%+v", s)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newSharePatient(t)
				p.want(true, false, "shutdown")
				if s := p.share.Status(); s.State != StateNew || s.Group != "g" || s.Epoch != -1 || !s.Since.IsZero() {
					t.Errorf("%+v", s)
				}
				p.v.begin()
				p.v.joinFailed(boom) // it is prepared
				p.want(true, false, "group")
				p.v.enterShare(0)
				p.v.commitTurned()
				p.s.member.heartbeat(0, kerr.GroupMaxSizeReached, false)
				p.alive(time.Minute)
				p.want(true, false, "group")
				if s := p.share.Status(); s.State != StateJoining || !errors.Is(s.Err, kerr.GroupMaxSizeReached) {
					t.Errorf("%+v", s)
				}
				p.s.member.heartbeat(1, nil, false)
				p.want(true, true)
				run(p, testShareConfig())
			})
		})
	}
}

// Where franz-go's log is silent, heartbeats alone tell, one later.
func TestShareStandingWithoutALog(t *testing.T) {
	p := newSharePatient(t)
	p.v.begin()
	p.v.enterShare(0)
	m := p.s.member
	m.heartbeat(0, nil, true)
	m.OnGroupManageError(kerr.GroupMaxSizeReached)
	m.heartbeat(0, nil, true)
	p.want(true, false, "group")
	if s := p.share.Status(); !errors.Is(s.Err, kerr.GroupMaxSizeReached) {
		t.Errorf("%+v", s)
	}
	m.heartbeat(0, nil, true)
	p.want(true, true)
	if s := p.share.Status(); s.State != StateRunning || s.Member != "" || s.Epoch != -1 {
		t.Errorf("%+v", s)
	}
}

// A log that tells is believed: an answer with an error is no answer.
func TestShareStandingByTheLog(t *testing.T) {
	p := newSharePatient(t)
	p.v.begin()
	for range 3 {
		p.s.member.heartbeat(0, kerr.NotCoordinator, false)
	}
	p.want(true, false, "group")
}

// The oldest of what is held, in the client's buffer too, until its end is decided.
func TestShareStatusOfWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSharePatient(t)
		s := p.s
		look := func(buffered int, inFlight int64, oldest time.Duration) {
			t.Helper()
			got := p.share.Status()
			if got.Buffered != buffered || got.Stats.InFlight != inFlight || got.OldestHeld != oldest || (oldest > 0) == got.OldestRecord.IsZero() {
				t.Errorf("%+v, want %d buffered, %d in flight, oldest %v", got, buffered, inFlight, oldest)
			}
		}
		look(0, 0, 0)
		first := p.holds(3, 1)
		time.Sleep(time.Minute)
		p.holds(4, 1)
		look(2, 0, time.Minute)
		s.admit(s.unbuffer(first.rec))
		time.Sleep(time.Minute)
		look(1, 1, 2*time.Minute)
		s.mu.Lock()
		s.end(first, kgo.AckAccept)
		s.mu.Unlock()
		look(1, 0, time.Minute)
		s.closing = true
		s.endCalls(nil)
	})
}

// A call that returns as its watchdog bites is not waited for twice: what else
// runs is drained.
func TestShareStallOfACallThatReturned(t *testing.T) {
	p := newSharePatient(t)
	s := p.s
	s.running = 1 // another one
	b := &shareBatch{queue: s.queue(topicPartition{"t", 0}), over: true, cancel: func(error) {}}
	s.stalled(b, &call{began: time.Now()})
	if s.stuck != 0 || !errors.Is(context.Cause(s.stopped), ErrStalled) {
		t.Errorf("%d stuck, %v", s.stuck, context.Cause(s.stopped))
	}
}

// A record whose lock was lost, and whose handler then hangs, is not given back: it may
// be somebody else's, and its release would be taken for theirs.
func TestShareStallOfACallWhoseLockIsLost(t *testing.T) {
	p := newSharePatient(t)
	s := p.s
	lost, ours := p.holds(3, 1), p.holds(4, 1)
	s.admit(s.unbuffer(lost.rec))
	s.admit(s.unbuffer(ours.rec))
	b := s.take(s.queue(lost.tp))
	s.running++
	s.loseAll([]*held{lost}, errExpired)
	s.stalled(b, &call{began: time.Now()})
	if len(s.ends) != 1 || s.ends[0] != ours || ours.status != kgo.AckRelease {
		t.Errorf("%d records are acknowledged, want the release of the one that is ours", len(s.ends))
	}
	if lost.state != holdEnded || s.stuck != 1 || s.counts.flightCount.Load() != 0 {
		t.Errorf("state %d, %d stuck, %d in flight", lost.state, s.stuck, s.counts.flightCount.Load())
	}
}
