package tap

import (
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// level is the kind of thing that an error code stands beside.
type level int

const (
	ofAll       level = iota // the whole response
	ofItem                   // a group, a coordinator, a member…
	ofTopic                  // a topic
	ofPartition              // a partition
)

// coded is a place in a response that has an error code.
type coded struct {
	at    place
	level level
	v     reflect.Value // the struct
}

// coded lists the places of a response that have one.
func (s selection) coded(resp kmsg.Response, group string) (cs []coded) {
	root := reflect.ValueOf(resp).Elem()
	s.walk(root, place{group: group}, func(at place, v reflect.Value) {
		if v.Kind() != reflect.Struct || !v.FieldByName("ErrorCode").IsValid() {
			return
		}
		c := coded{at: at, level: ofItem, v: v}
		switch {
		case v.Addr() == root.Addr():
			c.level = ofAll
		case v.FieldByName("Partition").IsValid():
			c.level = ofPartition
		case v.FieldByName("Topic").IsValid() || v.FieldByName("TopicID").IsValid():
			c.level = ofTopic
		}
		cs = append(cs, c)
	})
	return cs
}

// setCodes puts an error code into a response wherever a broker would put this one and
// the selection agrees, and clears what stands beside it.
func (s selection) setCodes(resp kmsg.Response, group string, code int16) {
	for _, c := range s.hit(resp, group, code) {
		fail(c.v, code)
	}
}

// hit lists the places of a response in which a broker would put an error code and the selection agrees.
func (s selection) hit(resp kmsg.Response, group string, code int16) []coded {
	all := s.coded(resp, group)
	at := s.levelOf(resp, code, all)
	return slices.DeleteFunc(all, func(c coded) bool { return c.level != at || at != ofAll && !s.names(c.at) })
}

// levelOf is where the response of an API carries an error: beside each partition if it has
// that, else beside each topic or item, else at its top; with the exceptions that brokers make.
func (s selection) levelOf(resp kmsg.Response, code int16, all []coded) level {
	deepest, items := ofAll, ofAll
	for _, c := range all {
		deepest = max(deepest, c.level)
		if c.level == ofItem {
			items = ofItem
		}
	}
	switch kmsg.Key(resp.Key()) {
	case kmsg.Metadata:
		if s.partitions == nil {
			return ofTopic
		}
	case kmsg.Fetch: // of its session, not of a partition
		switch code {
		case kerr.FetchSessionIDNotFound.Code, kerr.InvalidFetchSessionEpoch.Code, kerr.FetchSessionTopicIDError.Code:
			return ofAll
		}
	case kmsg.ShareFetch, kmsg.ShareAcknowledge: // of the session, mostly
		if !s.topics() {
			return ofAll
		}
	case kmsg.OffsetFetch: // errors of the group stand beside the group, from version 2 on
		switch code {
		case kerr.UnstableOffsetCommit.Code, kerr.UnknownTopicOrPartition.Code, kerr.TopicAuthorizationFailed.Code, kerr.UnknownTopicID.Code:
		default:
			if resp.GetVersion() >= 2 && !s.topics() {
				return items // a group from version 8 on
			}
		}
	case kmsg.LeaveGroup:
		if code != kerr.UnknownMemberID.Code && code != kerr.FencedInstanceID.Code {
			return ofAll
		}
	}
	return deepest
}

// aboutWhat lists the fields that say what a struct is about, by name. They are
// kept when it is cleared, and copied from a request to its response.
var aboutWhat = map[string]bool{
	"Topic": true, "TopicID": true, "Partition": true, "Group": true, "GroupID": true, "Key": true,
	"TransactionalID": true, "MemberID": true, "InstanceID": true, "ResourceType": true, "ResourceName": true,
	"Version": true, "ThrottleMillis": true,
}

// unset lists numeric fields in which brokers write -1 beside an error.
var unset = map[string]bool{
	"Offset": true, "BaseOffset": true, "LogAppendTime": true, "HighWatermark": true, "LastStableOffset": true, "LogStartOffset": true,
	"EndOffset": true, "LowWatermark": true, "Timestamp": true, "LeaderEpoch": true, "Generation": true, "ProducerID": true, "ProducerEpoch": true,
	"NodeID": true, "Port": true, "Leader": true,
}

// reset gives a struct its defaults.
func reset(v reflect.Value) {
	v.SetZero()
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
}

// fail makes a struct say nothing but what it is about, and the code.
func fail(v reflect.Value, code int16) {
	was := reflect.New(v.Type()).Elem()
	was.Set(v)
	reset(v)
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch {
		case aboutWhat[name]:
			f.Set(was.Field(i))
		case name == "ErrorCode":
			f.SetInt(int64(code))
		case unset[name] && f.CanInt():
			f.SetInt(-1)
		}
	}
}
