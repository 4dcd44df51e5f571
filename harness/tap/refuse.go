package tap

import (
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Error answers a call with an error code, wherever a broker would put this one: beside every
// partition where the API has such codes, else beside each topic, group or member, else at the top.
//
// In direction Response the broker has done what it was asked, and the member is told
// otherwise. The history has what the broker did.
//
// In direction Request the broker never sees what is hit: the tap answers in its place. Where a rule selects
// some partitions of a request, the rest of it goes to the broker, and what is
// hit is added to its answer. That is how a broker treats partitions: each by itself. Exceptions:
//
//   - Fetch and Metadata always go to the broker, which only reads for them, and the error is laid over its answer: the
//     fetch session (KIP-227) stays right, and a client knows its brokers.
//   - So do ListOffsets, OffsetFetch, FindCoordinator and the like if only a part of them is hit.
//   - AddPartitionsToTxn is answered as a whole, with OPERATION_NOT_ATTEMPTED beside the rest: a broker adds all or none.
//   - Produce with acks=0 has no answer: what is hit vanishes.
//
// What the broker did not see is not in the history. What the member was told is, where it may act on that:
// an answer that it is out of the group or generation is Told. It has lost its
// partitions when it joins anew, since for the broker it is still in.
type Error struct {
	Code int16
}

func (e Error) act(f *flight) outcome {
	s := f.selection(f.armed.rule)
	if f.call.Direction == Response {
		s.setCodes(f.resp, f.call.Group, e.Code)
		f.changed, f.lie = true, true
		f.armed.announce(f.call)
		return forward
	}
	answer, part := s.refuse(f.ex.req, f.call.Group, e.Code)
	out := forward
	switch key := kmsg.Key(f.ex.key); {
	case key == kmsg.Fetch, key == kmsg.Metadata, part && readsOnly(key):
		f.ex.alter(func(resp kmsg.Response) { s.layOver(resp, answer, e.Code) })
	case part:
		s.prune(reflect.ValueOf(f.ex.req).Elem(), place{group: f.call.Group}, func(p place) bool { return !s.names(p) })
		f.ex.alter(func(resp kmsg.Response) { s.layOver(resp, answer, e.Code) })
		f.changed = true
	default:
		f.reply, f.lie, out = answer, true, replied
	}
	f.armed.announce(f.call)
	return out
}

// refuse makes the answer to a request, or to the part of it that is selected.
func (s selection) refuse(req kmsg.Request, group string, code int16) (answer kmsg.Response, part bool) {
	answer = skeleton(req)
	if !s.everything() && isList(req) {
		rest := s.prune(reflect.ValueOf(skeleton(req)).Elem(), place{group: group}, func(p place) bool { return !s.names(p) })
		part = rest > 0
	}
	if part && kmsg.Key(req.Key()) == kmsg.AddPartitionsToTxn {
		selection{naming: s.naming}.setCodes(answer, group, kerr.OperationNotAttempted.Code)
		part = false
	} else if part {
		s.prune(reflect.ValueOf(answer).Elem(), place{group: group}, s.names)
	}
	s.setCodes(answer, group, code)
	if key := kmsg.Key(req.Key()); key == kmsg.ApiVersions && code == kerr.UnsupportedVersion.Code {
		answer.SetVersion(0) // KIP-511
	}
	return answer, part
}

// isList tells whether a request asks about several things, each with an answer of its own.
func isList(req kmsg.Request) bool {
	return NamesTopics(req.Key()) || kmsg.Key(req.Key()) == kmsg.FindCoordinator
}

// layOver puts the error into the answer of a broker.
func (s selection) layOver(resp, answer kmsg.Response, code int16) {
	switch r := resp.(type) {
	case *kmsg.MetadataResponse: // the request may have named no topics
		s.setCodes(resp, "", code)
		return
	case *kmsg.FetchResponse:
		if r.ErrorCode != 0 {
			return // the session is over: there is nothing to lay it over
		}
		if a := answer.(*kmsg.FetchResponse); a.ErrorCode != 0 {
			fail(reflect.ValueOf(r).Elem(), code)
			return
		}
	}
	overlay(reflect.ValueOf(resp).Elem(), reflect.ValueOf(answer).Elem())
}

// readsOnly tells whether an API changes nothing at the broker.
func readsOnly(key kmsg.Key) bool {
	switch key {
	case kmsg.Fetch, kmsg.Metadata, kmsg.ListOffsets, kmsg.OffsetFetch, kmsg.FindCoordinator, kmsg.OffsetForLeaderEpoch, kmsg.DescribeProducers:
		return true
	}
	return false
}

func (e Error) applies(f *flight, s selection) bool {
	if f.call.Direction == Response {
		if f.resp == nil {
			return false
		}
		return len(s.hit(f.resp, f.call.Group, e.Code)) > 0
	}
	if f.ex.req == nil {
		return false
	}
	if kmsg.Key(f.ex.key) == kmsg.Metadata {
		return true
	}
	answer, _ := s.refuse(f.ex.req, f.call.Group, e.Code)
	return slices.ContainsFunc(s.coded(answer, f.call.Group), func(c coded) bool { return c.v.FieldByName("ErrorCode").Int() != 0 })
}

func (e Error) validate(r Rule, bad func(bool, string, ...any)) {
	bad(e.Code == 0, "the error code is 0, which is no error")
	bad(e.Code != 0 && ErrorName(e.Code) == "", "there is no error with code %d", e.Code)
	if r.Key == AnyKey {
		bad(true, "an error is answered to one API: name it")
		return
	}
	for _, key := range r.keys() {
		bad(!slices.Contains(refusable, kmsg.Key(key)), "the tap cannot answer %s with an error", APIName(key))
		share := kmsg.Key(key) == kmsg.ShareFetch || kmsg.Key(key) == kmsg.ShareAcknowledge
		bad(share && r.Direction == Request && (r.Topic != "" || r.Partitions != nil),
			"%s belongs to a session of its group: leave topic and partitions out, or choose responses", APIName(key))
	}
}

// refusable lists the APIs that the tap can answer with an error: those that clients use which read,
// write and take part in groups, and some of the others.
var refusable = []kmsg.Key{
	kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator,
	kmsg.JoinGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.SyncGroup, kmsg.DescribeGroups, kmsg.ListGroups, kmsg.ApiVersions,
	kmsg.CreateTopics, kmsg.DeleteRecords, kmsg.InitProducerID, kmsg.OffsetForLeaderEpoch, kmsg.AddPartitionsToTxn,
	kmsg.AddOffsetsToTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.DescribeConfigs, kmsg.CreatePartitions, kmsg.DeleteGroups,
	kmsg.OffsetDelete, kmsg.DescribeCluster, kmsg.DescribeProducers, kmsg.ListTransactions, kmsg.ConsumerGroupHeartbeat,
	kmsg.ConsumerGroupDescribe, kmsg.GetTelemetrySubscriptions, kmsg.PushTelemetry, kmsg.ShareGroupHeartbeat,
	kmsg.ShareFetch, kmsg.ShareAcknowledge,
}

func (e Error) String() string { return nameError + " " + ErrorName(e.Code) }
