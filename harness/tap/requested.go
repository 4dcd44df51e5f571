package tap

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// protocolConsumer is the protocol type of consumer groups, as opposed to Connect's.
const protocolConsumer = "consumer"

// requested writes down what a request says. It is called at the moment the
// request is passed on.
func (g *group) requested(l life, ex *exchange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var events []history.Event
	switch r := ex.req.(type) {
	case *kmsg.OffsetCommitRequest:
		if ex.foreign = !g.watches(r.Group); !ex.foreign {
			g.commits(l, ex, r.Generation, "", offsets(r.Topics, g))
		}
		return
	case *kmsg.TxnOffsetCommitRequest:
		if ex.foreign = !g.watches(r.Group); !ex.foreign {
			os := txnOffsets(r.Topics, g)
			g.commits(l, ex, r.Generation, noteTxn, os)
			g.takesAlong(l, ex, r.TransactionalID, os)
		}
		return
	case *kmsg.EndTxnRequest:
		events = g.ends(l, ex, r)
	case *kmsg.JoinGroupRequest:
		if ex.foreign = !g.watches(r.Group); !ex.foreign {
			events = g.joins(l, r)
		}
	case *kmsg.SyncGroupRequest:
		ex.foreign = !g.watches(r.Group)
	case *kmsg.HeartbeatRequest:
		ex.foreign = !g.watches(r.Group)
	case *kmsg.LeaveGroupRequest:
		if ex.foreign = !g.watches(r.Group); !ex.foreign {
			events = g.leaves(l, r)
		}
	case *kmsg.ConsumerGroupHeartbeatRequest:
		if ex.foreign = !g.watches(r.Group); !ex.foreign {
			events = g.beats(l, r)
		}
	case *kmsg.ShareGroupHeartbeatRequest:
		if ex.foreign = !g.watches(r.GroupID); !ex.foreign {
			events = g.shareBeats(l, r)
		}
	}
	if len(events) > 0 {
		g.log.AppendAll(events)
		g.touch()
	}
}

// offset is one partition of a commit.
type offset struct {
	TopicPartition
	at int64
}

func offsets(topics []kmsg.OffsetCommitRequestTopic, g *group) (os []offset) {
	for _, t := range topics {
		for _, p := range t.Partitions {
			os = append(os, offset{g.partition(t.Topic, t.TopicID, p.Partition), p.Offset})
		}
	}
	return os
}

func txnOffsets(topics []kmsg.TxnOffsetCommitRequestTopic, g *group) (os []offset) {
	for _, t := range topics {
		for _, p := range t.Partitions {
			os = append(os, offset{g.partition(t.Topic, t.TopicID, p.Partition), p.Offset})
		}
	}
	return os
}

// partition names a partition whose topic may be given by id only, with g.mu held.
func (g *group) partition(topic string, id topicID, partition int32) TopicPartition {
	if topic == "" {
		topic = g.topics[id]
	}
	return TopicPartition{topic, partition}
}

// commits writes one event for each partition of a commit and keeps their Seq for the answer.
func (g *group) commits(l life, ex *exchange, generation int32, note string, os []offset) {
	events := make([]history.Event, len(os))
	for i, o := range os {
		events[i] = history.Event{
			Kind: history.CommitRequested, Member: l.member, Incarnation: l.incarnation, Generation: generation,
			Topic: o.Topic, Partition: o.Partition, Offset: o.at, Note: note,
		}
	}
	ex.commits = map[TopicPartition][]committed{}
	for i, e := range g.log.AppendAll(events) {
		p := os[i].TopicPartition
		ex.commits[p] = append(ex.commits[p], committed{seq: e.Seq, generation: generation, offset: e.Offset})
	}
}

// joins handles JoinGroup. What the member held and does not list any more it
// has given up: clients call the revoke callback before they join.
func (g *group) joins(l life, r *kmsg.JoinGroupRequest) []history.Event {
	note := staticNote(r.InstanceID)
	s := g.find(l, r.MemberID, r.InstanceID)
	if s == nil && r.MemberID == "" {
		// The seat is made when the group gives it an id. Another consumer of
		// the same process is not concerned.
		return append(g.undeceived(l), history.Event{Kind: history.Joining, Member: l.member, Incarnation: l.incarnation, Note: note})
	}
	again := s != nil && s.state == announced // the same join, now with an id
	s = g.seat(l, r.MemberID, r.InstanceID, classic)
	s.state = joining
	s.foreign = r.ProtocolType != protocolConsumer
	owned := ownedPartitions(r)
	events := s.give(s.parting(), func(p TopicPartition, _ *holding) bool { return !owned[p] })
	if again {
		g.touch()
		return events
	}
	return append(events, s.note(history.Joining, note))
}

func staticNote(instance *string) string {
	if instance != nil && *instance != "" {
		return "static"
	}
	return ""
}

// ownedPartitions reads what a member says it keeps (KIP-429): nothing under
// the eager protocol, and nothing from clients that write version 0.
func ownedPartitions(r *kmsg.JoinGroupRequest) map[TopicPartition]bool {
	owned := map[TopicPartition]bool{}
	if r.ProtocolType != protocolConsumer {
		return owned
	}
	for _, p := range r.Protocols {
		var meta kmsg.ConsumerMemberMetadata
		if meta.ReadFrom(p.Metadata) != nil {
			continue // an assignor with a format of its own
		}
		for _, t := range meta.OwnedPartitions {
			for _, n := range t.Partitions {
				owned[TopicPartition{t.Topic, n}] = true
			}
		}
	}
	return owned
}

// leaves handles LeaveGroup, up to version 2 of one member, then of several.
func (g *group) leaves(l life, r *kmsg.LeaveGroupRequest) []history.Event {
	members := r.Members
	if r.Version < 3 {
		members = []kmsg.LeaveGroupRequestMember{{MemberID: r.MemberID}}
	}
	var events []history.Event
	for _, m := range members {
		if s := g.find(l, m.MemberID, m.InstanceID); s != nil { // else an admin removes others
			events = append(events, g.leave(s, staticNote(m.InstanceID))...)
		}
	}
	return events
}

func (g *group) leave(s *seat, note string) []history.Event {
	g.remove(s)
	return append(s.give(history.Revoked, all), s.note(history.Left, note))
}

// Epochs in heartbeats of KIP-848.
const (
	epochJoin        = 0
	epochLeave       = -1
	epochLeaveStatic = -2 // for now: a static member that will be back
)

// beats handles a heartbeat of KIP-848, which joins, leaves, and lists what the member owns.
func (g *group) beats(l life, r *kmsg.ConsumerGroupHeartbeatRequest) []history.Event {
	s := g.find(l, r.MemberID, r.InstanceID)
	switch {
	case s == nil && r.MemberEpoch < epochJoin:
		return nil
	case s == nil && r.MemberID == "":
		return append(g.undeceived(l), history.Event{Kind: history.Joining, Member: l.member, Incarnation: l.incarnation, Note: staticNote(r.InstanceID)})
	case r.MemberEpoch == epochLeave:
		return g.leave(s, "")
	case r.MemberEpoch == epochLeaveStatic:
		return g.leave(s, "static")
	}
	s = g.seat(l, r.MemberID, r.InstanceID, consumer)
	if r.MemberEpoch == epochJoin {
		if s.state == joining {
			return nil // a retry
		}
		s.state = joining
		s.target, s.unnamed = nil, nil
		return append(s.give(s.parting(), all), s.note(history.Joining, staticNote(r.InstanceID)))
	}
	if r.Topics == nil {
		return nil // as before
	}
	return g.owns(s, r.Topics)
}

// owns compares what a member of KIP-848 says it owns with what it holds.
func (g *group) owns(s *seat, topics []kmsg.ConsumerGroupHeartbeatRequestTopic) []history.Event {
	owned := map[TopicPartition]bool{}
	for _, t := range topics {
		for _, n := range t.Partitions {
			owned[TopicPartition{g.topics[t.TopicID], n}] = true
		}
	}
	for p, h := range s.held {
		h.confirmed = h.confirmed || owned[p]
	}
	events := s.give(history.Revoked, func(p TopicPartition, h *holding) bool {
		return !owned[p] && (h.confirmed || h.releasing)
	})
	// Taken away and given back meanwhile: the member gave it up, and takes it
	// again without a further word of the group.
	var back []TopicPartition
	for _, e := range slices.Clone(events) {
		if p := (TopicPartition{e.Topic, e.Partition}); s.target[p] {
			back = append(back, p)
		}
	}
	return append(events, g.assign(s, back)...)
}

// shareBeats handles a heartbeat of a share group. Partitions are shared
// there, so nobody owns one.
func (g *group) shareBeats(l life, r *kmsg.ShareGroupHeartbeatRequest) []history.Event {
	s := g.find(l, r.MemberID, nil)
	switch {
	case r.MemberEpoch < epochJoin:
		if s == nil {
			return nil
		}
		return g.leave(s, share)
	case r.MemberEpoch > epochJoin:
		return nil
	}
	s = g.seat(l, r.MemberID, nil, share)
	s.state = joining
	return []history.Event{s.note(history.Joining, share)}
}
