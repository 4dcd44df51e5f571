package tap

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// place is where in a message something stands.
type place struct {
	group          string
	TopicPartition      // Partition -1: the topic as a whole; Topic "": no topic
	all            bool // every topic, as in a Metadata request without a list
}

// selection is what a rule selects within a message.
type selection struct {
	group, topic string
	partitions   []int32
	naming       func(topic string, id topicID) string
}

func (f *flight) selection(r Rule) selection {
	return selection{r.Group, r.Topic, r.Partitions, f.conn.m.tap.group.topic}
}

func (s selection) everything() bool { return s.group == "" && !s.topics() }

// topics tells whether topics or partitions are selected.
func (s selection) topics() bool { return s.topic != "" || s.partitions != nil }

// names tells whether a call that names this place is selected.
func (s selection) names(p place) bool {
	if s.group != "" && p.group != s.group {
		return false
	}
	if !s.topics() || p.all {
		return true
	}
	if p.Topic == "" || s.topic != "" && p.Topic != s.topic {
		return false
	}
	return s.partitions == nil || p.Partition < 0 || slices.Contains(s.partitions, p.Partition)
}

// walk visits the struct v and all structs in its lists, outermost first. Generated
// messages call the same things by the same names, which is what it goes by.
func (s selection) walk(v reflect.Value, at place, visit func(at place, v reflect.Value)) {
	at = s.step(v, at)
	visit(at, v)
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		if f.Kind() != reflect.Slice || name == "ForgottenTopics" { // what a fetch session drops is not what the call is about
			continue
		}
		switch elem := f.Type().Elem(); {
		case elem.Kind() == reflect.Struct:
			for j := range f.Len() {
				s.walk(f.Index(j), at, visit)
			}
		case isPartitionList(name, f) && at.Topic != "":
			for j := range f.Len() {
				inner := at
				inner.Partition = int32(f.Index(j).Int())
				visit(inner, f.Index(j))
			}
		}
	}
}

// step reads the identity of a struct.
func (s selection) step(v reflect.Value, at place) place {
	var topic string
	var id topicID
	for i := range v.NumField() {
		switch x := v.Field(i).Interface().(type) {
		case string:
			switch v.Type().Field(i).Name {
			case "Topic":
				topic = x
			case "Group", "GroupID":
				at.group = cmp.Or(x, at.group)
			case "Key": // of a coordinator
				at.group = x
			}
		case *string:
			switch name := v.Type().Field(i).Name; {
			case x == nil:
			case name == "Topic":
				topic = *x
			case name == "GroupID": // of a share fetch
				at.group = *x
			}
		case topicID:
			if v.Type().Field(i).Name == "TopicID" {
				id = x
			}
		case int32:
			if v.Type().Field(i).Name == "Partition" {
				at.Partition = x
			}
		}
	}
	if topic != "" || id != (topicID{}) {
		at.Topic, at.Partition = s.naming(topic, id), -1
	}
	return at
}

// isPartitionList tells whether a field lists the numbers of partitions.
func isPartitionList(name string, f reflect.Value) bool {
	return name == "Partitions" && f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Int32
}

// places lists what a message names. A response does not repeat the group that its
// request named.
func (s selection) places(msg any, group string) []place {
	var ps []place
	add := func(p place) {
		if !slices.Contains(ps, p) {
			ps = append(ps, p)
		}
	}
	switch m := msg.(type) {
	case *kmsg.FindCoordinatorRequest:
		if m.CoordinatorType != coordinatorOfGroup {
			return nil
		}
		if m.Version < coordinatorsByList {
			return []place{{group: m.CoordinatorKey}}
		}
		for _, key := range m.CoordinatorKeys {
			add(place{group: key})
		}
		return ps
	case *kmsg.MetadataRequest:
		if m.Topics == nil {
			return []place{{all: true}}
		}
	}
	s.walk(reflect.ValueOf(msg).Elem(), place{group: group}, func(at place, v reflect.Value) {
		// A struct that only leads to partitions names nothing itself.
		if v.Kind() == reflect.Struct && at.Topic != "" && at.Partition < 0 && v.FieldByName("Partitions").IsValid() {
			if _, metadata := msg.(*kmsg.MetadataResponse); !metadata {
				return
			}
		}
		if at.Topic != "" || at.group != "" {
			add(at)
		}
	})
	return ps
}

// Of FindCoordinator.
const (
	coordinatorOfGroup = 0 // coordinator type
	coordinatorsByList = 4 // version
)

// partitions lists the partitions among places.
func partitionsOf(places []place) (ps []TopicPartition) {
	for _, p := range places {
		if p.Topic != "" && !slices.Contains(ps, p.TopicPartition) {
			ps = append(ps, p.TopicPartition)
		}
	}
	return ps
}
