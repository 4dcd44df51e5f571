package tap

import (
	"cmp"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// decodesRequest tells which requests are read: those of groups, commits and
// the ends of transactions.
func decodesRequest(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.OffsetCommit, kmsg.TxnOffsetCommit,
		kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup,
		kmsg.ConsumerGroupHeartbeat, kmsg.ShareGroupHeartbeat,
		kmsg.InitProducerID, kmsg.EndTxn:
		return true
	}
	return false
}

// call describes a request (resp nil) or a response to rules; looked is whether one of them asks
// what it names.
func (c *conn) call(d Direction, ex *exchange, resp kmsg.Response, looked bool) Call {
	call := Call{
		Member: c.m.life.member, Incarnation: c.m.life.incarnation,
		Key: ex.key, Version: ex.version, Direction: d,
	}
	topic := c.m.tap.group.topic
	switch r := ex.req.(type) {
	case *kmsg.OffsetCommitRequest:
		call.Group, call.MemberID, call.Generation = r.Group, r.MemberID, r.Generation
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				call.Commits = append(call.Commits, Commit{Topic: topic(t.Topic, t.TopicID), Partition: p.Partition, Offset: p.Offset})
			}
		}
	case *kmsg.TxnOffsetCommitRequest:
		call.Group, call.MemberID, call.Generation = r.Group, r.MemberID, r.Generation
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				call.Commits = append(call.Commits, Commit{Topic: topic(t.Topic, t.TopicID), Partition: p.Partition, Offset: p.Offset})
			}
		}
	case *kmsg.EndTxnRequest:
		call.Commits = ex.ending
		if r.Commit && d == Request {
			call.Commits = c.m.tap.group.pending(c.m.life, r.TransactionalID)
		}
	case *kmsg.JoinGroupRequest:
		call.Group, call.MemberID, call.Joins = r.Group, r.MemberID, true
	case *kmsg.SyncGroupRequest:
		call.Group, call.MemberID, call.Generation = r.Group, r.MemberID, r.Generation
	case *kmsg.HeartbeatRequest:
		call.Group, call.MemberID, call.Generation = r.Group, r.MemberID, r.Generation
	case *kmsg.LeaveGroupRequest:
		call.Group, call.MemberID = r.Group, r.MemberID
	case *kmsg.ConsumerGroupHeartbeatRequest:
		call.Group, call.MemberID, call.Generation, call.Joins = r.Group, r.MemberID, r.MemberEpoch, r.MemberEpoch == epochJoin
	case *kmsg.ShareGroupHeartbeatRequest:
		call.Group, call.MemberID, call.Generation = r.GroupID, r.MemberID, r.MemberEpoch
	}
	if resp != nil {
		c.outcome(&call, resp)
	}
	if looked {
		c.lookInto(&call, ex, resp)
	}
	return call
}

// lookInto adds what a call names.
func (c *conn) lookInto(call *Call, ex *exchange, resp kmsg.Response) {
	s := selection{naming: c.m.tap.group.topic}
	var msg any
	switch {
	case resp != nil:
		msg = resp
	case call.Direction == Request && ex.req != nil:
		msg = ex.req
	default:
		return
	}
	if call.Group == "" && ex.req != nil {
		for _, p := range s.places(ex.req, "") {
			call.Group = cmp.Or(call.Group, p.group)
		}
	}
	call.places = s.places(msg, call.Group)
	call.Partitions = partitionsOf(call.places)
	if resp == nil || call.ErrorCode != 0 {
		return
	}
	for _, found := range s.coded(resp, call.Group) {
		if code := int16(found.v.FieldByName("ErrorCode").Int()); code != 0 {
			call.ErrorCode = code
			return
		}
	}
}

// outcome adds what a response says.
func (c *conn) outcome(call *Call, resp kmsg.Response) {
	topic := c.m.tap.group.topic
	switch r := resp.(type) {
	case *kmsg.OffsetCommitResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				call.refused(topic(t.Topic, t.TopicID), p.Partition, p.ErrorCode)
			}
		}
	case *kmsg.TxnOffsetCommitResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				call.refused(topic(t.Topic, t.TopicID), p.Partition, p.ErrorCode)
			}
		}
	case *kmsg.EndTxnResponse:
		call.ErrorCode = r.ErrorCode
	case *kmsg.JoinGroupResponse:
		call.ErrorCode, call.MemberID, call.Generation = r.ErrorCode, r.MemberID, r.Generation
	case *kmsg.SyncGroupResponse:
		call.ErrorCode, call.Assigns = r.ErrorCode, r.ErrorCode == 0
	case *kmsg.HeartbeatResponse:
		call.ErrorCode = r.ErrorCode
	case *kmsg.LeaveGroupResponse:
		call.ErrorCode = r.ErrorCode
	case *kmsg.ConsumerGroupHeartbeatResponse:
		call.ErrorCode, call.Generation, call.Assigns = r.ErrorCode, r.MemberEpoch, r.Assignment != nil
	case *kmsg.ShareGroupHeartbeatResponse:
		call.ErrorCode, call.Generation = r.ErrorCode, r.MemberEpoch
	}
}

// refused notes the answer to one partition of a commit.
func (c *Call) refused(topic string, partition int32, code int16) {
	if c.ErrorCode == 0 {
		c.ErrorCode = code
	}
	for i := range c.Commits {
		if c.Commits[i].Topic == topic && c.Commits[i].Partition == partition {
			c.Commits[i].ErrorCode = code
		}
	}
}
