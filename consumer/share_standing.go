package consumer

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// standing is what a session knows of its place in the share group.
//
// franz-go has no callback for it. What came of each heartbeat it only says in its
// log, at level debug, so this is its logger and listens. Should it not hear
// anything there (another version, another logger in ClientOpts) it goes by the
// heartbeats: one that was answered, and followed by the next without an error that
// franz-go tells otherwise, was a good one.
type standing struct {
	kafkaLog // gets what is meant for people
	v        *vitals

	mu       sync.Mutex
	id       string
	epoch    int32
	told     bool // the log tells
	answered bool // a heartbeat was answered, and nothing bad came of it yet
}

func newStanding(v *vitals, log *slog.Logger) *standing {
	return &standing{kafkaLog: kafkaLog{log}, v: v, epoch: -1}
}

// Level implements kgo.Logger.
func (m *standing) Level() kgo.LogLevel { return kgo.LogLevelDebug }

// What franz-go says before a heartbeat and after it.
const (
	saysBeat   = "share group heartbeating"
	saysBeaten = "share group heartbeat complete"
)

// Log implements kgo.Logger.
func (m *standing) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if level <= m.kafkaLog.Level() {
		m.kafkaLog.Log(level, msg, keyvals...)
	}
	switch msg {
	case saysBeat:
		if id, ok := said(keyvals, "member_id").(string); ok {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.id = id
		}
	case saysBeaten:
		epoch, ok := said(keyvals, "new_member_epoch").(int32)
		err, _ := said(keyvals, "err").(error)
		if ok {
			m.beaten(epoch, err)
		}
	}
}

func said(keyvals []any, key string) any {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if keyvals[i] == key {
			return keyvals[i+1]
		}
	}
	return nil
}

// beaten takes what came of a heartbeat. Brokers that do not answer are another
// matter, and seen by pulse.
func (m *standing) beaten(epoch int32, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = true
	switch {
	case err == nil:
		m.epoch = epoch
		m.v.joined()
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.FencedMemberEpoch), errors.Is(err, kerr.GroupIDNotFound):
		m.epoch = -1
		m.v.joinFailed(err)
		m.v.lost(err)
	case errors.As(err, new(*kerr.Error)):
		m.v.beatRefused(err)
	default:
		m.v.joinFailed(err)
	}
}

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (m *standing) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil && key == int16(kmsg.ShareGroupHeartbeat) && m.answered && !m.told {
		m.v.joined()
	}
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (m *standing) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if key == int16(kmsg.ShareGroupHeartbeat) {
		m.answered = e2e.Err() == nil
	}
}

// OnGroupManageError implements kgo.HookGroupManageError.
func (m *standing) OnGroupManageError(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answered = false
	if !m.told {
		m.v.beatRefused(err)
	}
}

// identity is the member's id, and its epoch as the coordinator gave it last; empty
// and -1 while it has none.
func (m *standing) identity() (id string, epoch int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch < 0 {
		return "", -1
	}
	return m.id, m.epoch
}
