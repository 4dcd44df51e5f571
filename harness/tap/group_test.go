package tap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// script feeds requests and responses to a group, without a wire.
type script struct {
	*testing.T
	tap  *Tap
	seen int64
}

var topicUUID = topicID{1, 2, 3}

func newScript(t *testing.T, lives ...life) *script {
	s := &script{T: t, tap: New(Config{Log: history.NewMemory(history.Header{}), Seeds: []string{"-"}, Group: testGroup})}
	for _, l := range lives {
		s.tap.group.open(l)
	}
	return s
}

// exchange passes a request on and answers it; it returns the events that came of it.
func (s *script) exchange(l life, req kmsg.Request, resp kmsg.Response) string {
	ex := &exchange{req: req}
	s.tap.group.requested(l, ex)
	if resp != nil {
		if told := s.tap.group.answered(l, ex, resp, true); told != nil {
			s.tap.group.tell(l, *told)
		}
	}
	return s.events()
}

// events lists what is new in the history: "m1 assigned 0, m1 joining".
func (s *script) events() string {
	var out []string
	for _, e := range s.tap.cfg.Log.Events(s.seen) {
		line := fmt.Sprintf("%s %s", e.Who(), e.Kind)
		switch {
		case e.Topic != "":
			line += fmt.Sprintf(" %d", e.Partition)
		case e.Error != "":
			line += " " + e.Error
		}
		if e.Note != "" {
			line += " " + e.Note
		}
		out = append(out, line)
		s.seen = e.Seq
	}
	return strings.Join(out, ", ")
}

func (s *script) want(what, got, want string) {
	s.Helper()
	if got != want {
		s.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// join is a JoinGroup whose metadata lists owned partitions; version 0 of it cannot.
func join(id, instance string, metadata int16, owned ...int32) *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version, r.Group, r.MemberID, r.ProtocolType = 9, testGroup, id, protocolConsumer
	if instance != "" {
		r.InstanceID = &instance
	}
	meta := kmsg.ConsumerMemberMetadata{Version: metadata, Topics: []string{testTopic}}
	if len(owned) > 0 {
		meta.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: testTopic, Partitions: owned}}
	}
	r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "some", Metadata: meta.AppendTo(nil)}, {Name: "own format", Metadata: []byte{1}}}
	return r
}

func joined(id string, generation int32, code int16) *kmsg.JoinGroupResponse {
	r := kmsg.NewPtrJoinGroupResponse()
	r.MemberID, r.Generation, r.ErrorCode = id, generation, code
	return r
}

func (s *script) sync(l life, id string, generation int32, ps ...int32) string {
	req, resp := kmsg.NewPtrSyncGroupRequest(), kmsg.NewPtrSyncGroupResponse()
	req.Group, req.MemberID, req.Generation = testGroup, id, generation
	ma := kmsg.ConsumerMemberAssignment{Topics: []kmsg.ConsumerMemberAssignmentTopic{{Topic: testTopic, Partitions: ps}}}
	resp.MemberAssignment = ma.AppendTo(nil)
	return s.exchange(l, req, resp)
}

func (s *script) heartbeat(l life, id string, code int16) string {
	req, resp := kmsg.NewPtrHeartbeatRequest(), kmsg.NewPtrHeartbeatResponse()
	req.Group, req.MemberID, resp.ErrorCode = testGroup, id, code
	return s.exchange(l, req, resp)
}

func (s *script) leave(l life, id string) string {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.MemberID = 1, testGroup, id
	return s.exchange(l, req, nil)
}

var (
	m1  = life{"m1", 1}
	m1b = life{"m1", 2}
	m2  = life{"m2", 1}
)

// TestEagerClassic is what kafkajs and sarama do: metadata of version 0.
func TestEagerClassic(t *testing.T) {
	s := newScript(t, m1)
	s.want("without an id", s.exchange(m1, join("", "", 0), joined("a", -1, kerr.MemberIDRequired.Code)), "m1 joining")
	s.want("with it", s.exchange(m1, join("a", "", 0), joined("a", 1, 0)), "")
	s.want("sync", s.sync(m1, "a", 1, 0, 1), "m1 assigned 0, m1 assigned 1")
	if !s.tap.Stable(testTopic, 2, []string{"m1"}) || s.tap.Stable(testTopic, 3, []string{"m1"}) || s.tap.Stable(testTopic, 2, []string{"m1", "m2"}) {
		t.Error("stable")
	}
	s.want("rebalance", s.heartbeat(m1, "a", kerr.RebalanceInProgress.Code), "")
	if s.tap.Stable(testTopic, 2, []string{"m1"}) {
		t.Error("stable in a rebalance")
	}
	s.want("again", s.exchange(m1, join("a", "", 0), joined("a", 2, 0)), "m1 revoked 0, m1 revoked 1, m1 joining")
	s.want("the same again", s.sync(m1, "a", 2, 0, 1), "m1 assigned 0, m1 assigned 1")
	s.want("leave", s.leave(m1, "a"), "m1 revoked 0, m1 revoked 1, m1 left")
	if id := s.tap.group.identity(m1); id.id != "" || id.protocol != classic {
		t.Errorf("after leaving: %+v", id)
	}
	s.want("late", s.heartbeat(m1, "a", 0), "")
}

func TestCooperative(t *testing.T) {
	s := newScript(t, m1, m2)
	s.exchange(m1, join("a", "", 3), joined("a", 1, 0))
	s.want("first", s.sync(m1, "a", 1, 0, 1), "m1 assigned 0, m1 assigned 1")
	s.want("m2 joins", s.exchange(m2, join("b", "", 3), nil), "m2 joining")
	s.want("m1 keeps all", s.exchange(m1, join("a", "", 3, 0, 1), joined("a", 2, 0)), "m1 joining")
	s.want("less for m1", s.sync(m1, "a", 2, 0), "")
	if o := s.tap.Owners()[TopicPartition{testTopic, 1}]; o != (Owner{"m1", 1, 2}) {
		t.Errorf("owner before it is given up: %v", o)
	}
	if s.tap.Stable(testTopic, 2, []string{"m1"}) {
		t.Error("stable while something is to be given up")
	}
	s.want("m1 gives up", s.exchange(m1, join("a", "", 3, 0), joined("a", 3, 0)), "m1 revoked 1 asked, m1 joining")
	s.exchange(m2, join("b", "", 3), joined("b", 3, 0))
	s.want("m1 goes on", s.sync(m1, "a", 3, 0), "")
	s.want("m2 gets it", s.sync(m2, "b", 3, 1), "m2 assigned 1")
	if !s.tap.Stable(testTopic, 2, []string{"m1", "m2"}) {
		t.Error("not stable")
	}
}

// TestTwoConsumersInOneProcess: what one does leaves the other alone.
func TestTwoConsumersInOneProcess(t *testing.T) {
	s := newScript(t, m1)
	for i, id := range []string{"a", "b"} {
		s.exchange(m1, join("", "", 1), joined(id, -1, kerr.MemberIDRequired.Code))
		s.exchange(m1, join(id, "", 1), joined(id, 1, 0))
		s.sync(m1, id, 1, int32(i))
	}
	s.events()
	s.want("a joins again", s.exchange(m1, join("a", "", 1), joined("a", 2, 0)), "m1 revoked 0, m1 joining")
	if s.tap.Stable(testTopic, 2, []string{"m1"}) {
		t.Error("stable")
	}
	s.want("b is told", s.heartbeat(m1, "b", kerr.UnknownMemberID.Code), "m1 lost 1, m1 told UNKNOWN_MEMBER_ID")
	s.want("a gets all", s.sync(m1, "a", 2, 0, 1), "m1 assigned 0, m1 assigned 1")
	if ids := s.tap.group.ids(m1); !slices.Equal(ids, []string{"a"}) || !s.tap.Stable(testTopic, 2, []string{"m1"}) {
		t.Error("ids", ids)
	}
}

// TestLostAndDropped: who is silently replaced loses; who is closed does not.
func TestLostAndDropped(t *testing.T) {
	s := newScript(t, m1, m2)
	s.exchange(m1, join("a", "", 0), joined("a", 1, 0))
	s.sync(m1, "a", 1, 0, 1)
	s.exchange(m2, join("b", "", 0), joined("b", 2, 0))
	s.events()
	s.want("m2 takes one over", s.sync(m2, "b", 2, 0), "m1 lost 0, m2 assigned 0")
	s.want("stale", s.heartbeat(m1, "a", kerr.IllegalGeneration.Code), "m1 told ILLEGAL_GENERATION")
	s.tap.group.end(m1)
	s.exchange(m2, join("b", "", 0), joined("b", 3, 0))
	s.events()
	s.want("a closed life", s.sync(m2, "b", 3, 0, 1), "m2 assigned 0, m2 assigned 1")
	if s.tap.group.identity(m1).id != "a" {
		t.Error("the id of a closed life is gone")
	}
}

// TestStatic: a static member comes back under a new id and the same instance.
func TestStatic(t *testing.T) {
	s := newScript(t, m1)
	s.want("join", s.exchange(m1, join("", "i-1", 1), joined("a", 1, 0)), "m1 joining static")
	s.want("sync", s.sync(m1, "a", 1, 0), "m1 assigned 0")
	s.want("back in the same life", s.exchange(m1, join("", "i-1", 1), joined("b", 1, 0)), "m1 revoked 0, m1 joining static")
	s.want("sync", s.sync(m1, "b", 1, 0), "m1 assigned 0")
	s.tap.group.end(m1)
	s.tap.group.open(m1b)
	s.want("next life", s.exchange(m1b, join("", "i-1", 1), joined("c", 1, 0)), "m1#2 joining static")
	s.want("sync", s.sync(m1b, "c", 1, 0), "m1#2 assigned 0")
	if id := s.tap.group.identity(m1b); id != (identity{"c", "i-1", classic, 1}) {
		t.Errorf("%+v", id)
	}
}

// TestForeign: another group, and a group of another kind, are let be.
func TestForeign(t *testing.T) {
	s := newScript(t, m1)
	other := join("x", "", 1)
	other.Group = "other"
	s.want("another group", s.exchange(m1, other, joined("x", 1, 0)), "")
	connect := join("a", "", 1)
	connect.ProtocolType = "connect"
	s.exchange(m1, connect, joined("a", 1, 0))
	s.want("connect", s.sync(m1, "a", 1, 0), "")
	late := join("gone", "", 1)
	s.exchange(m1, late, nil)
	s.leave(m1, "gone")
	s.events()
	s.want("an answer after leaving", s.sync(m1, "gone", 1, 3), "")
}

func (s *script) beat(l life, id string, epoch int32, owned []int32, code int16, answer int32, assigned []int32) string {
	req, resp := kmsg.NewPtrConsumerGroupHeartbeatRequest(), kmsg.NewPtrConsumerGroupHeartbeatResponse()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, testGroup, id, epoch
	if owned != nil {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: topicUUID, Partitions: owned}}
	}
	resp.ErrorCode, resp.MemberID, resp.MemberEpoch = code, &id, answer
	if assigned != nil {
		resp.Assignment = &kmsg.ConsumerGroupHeartbeatResponseAssignment{Topics: []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{{TopicID: topicUUID, Partitions: assigned}}}
	}
	return s.exchange(l, req, resp)
}

func (s *script) metadata() string {
	topic := testTopic
	r := kmsg.NewPtrMetadataResponse()
	r.Topics = []kmsg.MetadataResponseTopic{{Topic: &topic, TopicID: topicUUID}}
	s.tap.group.learn(r)
	return s.events()
}

func TestConsumerProtocol(t *testing.T) {
	s := newScript(t, m1, m2)
	s.want("join", s.beat(m1, "a", 0, nil, 0, 1, []int32{0, 1, 2}), "m1 joining")
	s.want("the name comes later", s.metadata(), "m1 assigned 0, m1 assigned 1, m1 assigned 2")
	s.want("not that far yet", s.beat(m1, "a", 1, []int32{}, 0, 1, nil), "")
	s.want("confirmed", s.beat(m1, "a", 1, []int32{0, 1, 2}, 0, 1, nil), "")
	s.want("m2 joins", s.beat(m2, "b", 0, nil, 0, 2, []int32{}), "m2 joining")
	s.want("one to give up", s.beat(m1, "a", 1, nil, 0, 1, []int32{0, 1}), "")
	s.want("given up", s.beat(m1, "a", 1, []int32{0, 1}, 0, 2, []int32{0, 1}), "m1 revoked 2 asked")
	if s.tap.Stable(testTopic, 3, []string{"m1", "m2"}) {
		t.Error("stable without an owner of 2")
	}
	s.want("m2 gets it", s.beat(m2, "b", 2, nil, 0, 2, []int32{2}), "m2 assigned 2")
	if !s.tap.Stable(testTopic, 3, []string{"m1", "m2"}) {
		t.Error("not stable")
	}
	s.want("stale", s.beat(m1, "a", 1, nil, kerr.StaleMemberEpoch.Code, 0, nil), "m1 told STALE_MEMBER_EPOCH")
	s.want("fenced", s.beat(m1, "a", 2, nil, kerr.FencedMemberEpoch.Code, 0, nil), "m1 lost 0, m1 lost 1, m1 told FENCED_MEMBER_EPOCH")
	s.want("back", s.beat(m1, "a", 0, []int32{}, 0, 4, []int32{0}), "m1 joining, m1 assigned 0")
	s.want("static leave", s.beat(m1, "a", epochLeaveStatic, nil, 0, -2, nil), "m1 revoked 0, m1 left static")
	flying := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	flying.Group, flying.MemberID, flying.MemberEpoch = testGroup, "b", 4
	ex := &exchange{req: flying}
	s.tap.group.requested(m2, ex)
	s.want("leave", s.beat(m2, "b", epochLeave, nil, 0, -1, nil), "m2 revoked 2, m2 left")
	late := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	late.MemberEpoch, late.Assignment = 4, &kmsg.ConsumerGroupHeartbeatResponseAssignment{
		Topics: []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{{TopicID: topicUUID, Partitions: []int32{2}}},
	}
	s.tap.group.answered(m2, ex, late, true)
	s.want("an answer after leaving", s.events(), "")
}

func TestShareGroup(t *testing.T) {
	s := newScript(t, m1)
	req, resp := kmsg.NewPtrShareGroupHeartbeatRequest(), kmsg.NewPtrShareGroupHeartbeatResponse()
	req.GroupID, req.MemberID, resp.MemberEpoch = testGroup, "a", 1
	s.want("join", s.exchange(m1, req, resp), "m1 joining share")
	if id := s.tap.group.identity(m1); id != (identity{"a", "", share, 1}) {
		t.Errorf("%+v", id)
	}
	req.MemberEpoch = -1
	s.want("leave", s.exchange(m1, req, resp), "m1 left share")
}
