package tap

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// lie is what a rule has made a member believe about its place in the group, while for the
// broker nothing has changed. Ownership follows what the member does about it: one
// that heard of it by a commit may well go on, and the broker agrees with it.
type lie struct {
	memberID string
	code     int16
	joins    bool // by an answer after which every client joins anew
}

// lieOf tells what an answer that a rule has made means to a member of the group; nil if nothing.
func (c *conn) lieOf(call Call) (*lie, *tidings) {
	switch kmsg.Key(call.Key) {
	case kmsg.OffsetCommit, kmsg.TxnOffsetCommit, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.ConsumerGroupHeartbeat:
	default:
		return nil, nil
	}
	if !c.m.tap.group.watches(call.Group) {
		return nil, nil
	}
	code := call.ErrorCode
	for _, commit := range call.Commits {
		if isTold(commit.ErrorCode) {
			code = commit.ErrorCode
			break
		}
	}
	l := &lie{memberID: call.MemberID, code: code, joins: givesSeat(call.Key)}
	if !isTold(code) {
		return l, nil
	}
	return l, &tidings{code: code, generation: call.Generation}
}

// believe has the tap's view follow what a member is told.
func (g *group) believe(l life, told lie) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.find(l, told.memberID, nil)
	if s == nil {
		return
	}
	if told.joins && s.state == synced && (isTold(told.code) || told.code == kerr.RebalanceInProgress.Code) {
		s.state = rebalancing
	}
	s.deceived = s.deceived || isFenced(told.code)
	g.touch()
}

// undeceived takes from a life what it held under an id that a rule has made it give up: it
// joins as somebody else.
func (g *group) undeceived(l life) (events []history.Event) {
	for _, s := range append([]*seat(nil), g.seats...) {
		if s.life == l && s.deceived {
			g.remove(s)
			events = append(events, s.give(history.Lost, all)...)
		}
	}
	return events
}

// parting is how a seat that joins anew has parted from what it does not list any more. One that a
// rule made believe that it is out has lost it.
func (s *seat) parting() history.Kind {
	if s.deceived {
		s.deceived = false
		return history.Lost
	}
	return history.Revoked
}
