package tap

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// tidings are what a response tells a member: that it is out.
type tidings struct {
	code       int16
	generation int32
}

// isTold tells whether an error says that the member is no longer in the group
// or in its generation. REBALANCE_IN_PROGRESS does not.
func isTold(code int16) bool {
	switch code {
	case kerr.UnknownMemberID.Code, kerr.IllegalGeneration.Code, kerr.FencedInstanceID.Code,
		kerr.FencedMemberEpoch.Code, kerr.StaleMemberEpoch.Code:
		return true
	}
	return false
}

// isFenced tells whether an error says that the group has removed the member,
// with all it held.
func isFenced(code int16) bool {
	switch code {
	case kerr.UnknownMemberID.Code, kerr.FencedInstanceID.Code, kerr.FencedMemberEpoch.Code:
		return true
	}
	return false
}

func errorName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return ""
}

// answered writes down what a response says about the group, before it is
// passed on. alive is false if nobody waits for it any more; what the broker did is
// true all the same, and what it gave nobody has taken. It returns what to tell when the
// response is passed on.
func (g *group) answered(l life, ex *exchange, resp kmsg.Response, alive bool) *tidings {
	if ex.foreign || ex.req == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var a answer
	switch r := resp.(type) {
	case *kmsg.OffsetCommitResponse:
		req := ex.req.(*kmsg.OffsetCommitRequest)
		a = answer{seat: g.find(l, req.MemberID, nil), generation: req.Generation}
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				a.commit(l, ex, g.partition(t.Topic, t.TopicID, p.Partition), p.ErrorCode, "")
			}
		}
	case *kmsg.TxnOffsetCommitResponse:
		a = g.tookAlong(l, ex, r)
	case *kmsg.EndTxnResponse:
		a.events = g.txnEnd(l, ex, r)
	case *kmsg.InitProducerIDResponse:
		if id := ex.req.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil && r.ErrorCode == 0 {
			a.events = g.replaced(*id)
		}
	case *kmsg.JoinGroupResponse:
		a = g.joined(l, ex.req.(*kmsg.JoinGroupRequest), r)
	case *kmsg.SyncGroupResponse:
		a = g.assigned(l, ex.req.(*kmsg.SyncGroupRequest), r, alive)
	case *kmsg.HeartbeatResponse:
		req := ex.req.(*kmsg.HeartbeatRequest)
		a = answer{seat: g.find(l, req.MemberID, nil), generation: req.Generation, code: r.ErrorCode}
		if r.ErrorCode == kerr.RebalanceInProgress.Code && a.seat != nil && a.seat.state == synced {
			a.seat.state = rebalancing
		}
	case *kmsg.ConsumerGroupHeartbeatResponse:
		a = g.reconciled(l, ex.req.(*kmsg.ConsumerGroupHeartbeatRequest), r, alive)
	case *kmsg.ShareGroupHeartbeatResponse:
		a = g.shared(l, ex.req.(*kmsg.ShareGroupHeartbeatRequest), r)
	default:
		return nil
	}
	if isFenced(a.code) && a.seat != nil {
		a.events = append(a.events, g.fence(a.seat, a.code)...)
	}
	g.log.AppendAll(a.events)
	g.touch()
	if !isTold(a.code) {
		return nil
	}
	return &tidings{code: a.code, generation: a.generation}
}

// answer is what a response means.
type answer struct {
	seat       *seat // whose it is, nil if unknown
	generation int32 // of the request
	code       int16 // of the response; of a commit, the first that tells something
	events     []history.Event
}

// commit adds the fate of one partition of a commit.
func (a *answer) commit(l life, ex *exchange, p TopicPartition, code int16, note string) {
	if isTold(code) && a.code == 0 {
		a.code = code
	}
	of := ex.commits[p]
	if len(of) == 0 {
		return // answered what was not asked
	}
	ex.commits[p] = of[1:]
	e := history.Event{
		Kind: history.Committed, Member: l.member, Incarnation: l.incarnation, Generation: of[0].generation,
		Topic: p.Topic, Partition: p.Partition, Offset: of[0].offset, Ref: of[0].seq, Outcome: history.Accepted, Note: note,
	}
	if code != 0 {
		e.Outcome, e.Error = history.Refused, errorName(code)
	}
	a.events = append(a.events, e)
}

// joined handles the answer to JoinGroup: ids and the generation.
func (g *group) joined(l life, req *kmsg.JoinGroupRequest, r *kmsg.JoinGroupResponse) answer {
	a := answer{seat: g.find(l, req.MemberID, nil), code: r.ErrorCode}
	if a.seat != nil {
		a.generation = a.seat.generation
	}
	switch r.ErrorCode {
	case kerr.MemberIDRequired.Code:
		g.seat(l, r.MemberID, req.InstanceID, classic).state = announced
	case 0:
		s := g.find(l, req.MemberID, req.InstanceID)
		if s == nil {
			if req.MemberID != "" {
				break // it has left meanwhile
			}
			s = g.seat(l, r.MemberID, req.InstanceID, classic)
		}
		s.id = r.MemberID // of a static member it changes
		s.generation, s.state = r.Generation, joining
		s.foreign = req.ProtocolType != protocolConsumer
	}
	return a
}

// assigned handles the answer to SyncGroup. What is not in it and was not given
// up stays held: a cooperative member gives it up by its next JoinGroup.
func (g *group) assigned(l life, req *kmsg.SyncGroupRequest, r *kmsg.SyncGroupResponse, alive bool) answer {
	a := answer{seat: g.find(l, req.MemberID, nil), generation: req.Generation, code: r.ErrorCode}
	if r.ErrorCode != 0 {
		if r.ErrorCode == kerr.RebalanceInProgress.Code && a.seat != nil {
			a.seat.state = rebalancing
		}
		return a
	}
	s := a.seat
	if s == nil || !alive || req.Generation < s.generation || s.foreign {
		return a // s is nil if it has left meanwhile
	}
	ps, err := assignment(r.MemberAssignment)
	if err != nil {
		return a // an assignor with a format of its own
	}
	s.generation, s.state = req.Generation, synced
	in := map[TopicPartition]bool{}
	for _, p := range ps {
		in[p] = true
	}
	for p, h := range s.held {
		h.releasing = !in[p]
	}
	a.events = g.assign(s, ps)
	return a
}

// assignment reads what the leader gave a member. No bytes mean nothing.
func assignment(b []byte) ([]TopicPartition, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var ma kmsg.ConsumerMemberAssignment
	if err := ma.ReadFrom(b); err != nil {
		return nil, err
	}
	var ps []TopicPartition
	for _, t := range ma.Topics {
		for _, p := range t.Partitions {
			ps = append(ps, TopicPartition{t.Topic, p})
		}
	}
	return ps, nil
}

// reconciled handles the answer to a heartbeat of KIP-848: epoch and, if it
// changed, the assignment.
func (g *group) reconciled(l life, req *kmsg.ConsumerGroupHeartbeatRequest, r *kmsg.ConsumerGroupHeartbeatResponse, alive bool) answer {
	a := answer{seat: g.find(l, req.MemberID, req.InstanceID), generation: req.MemberEpoch, code: r.ErrorCode}
	if r.ErrorCode != 0 || req.MemberEpoch < epochJoin {
		return a
	}
	id := req.MemberID
	if r.MemberID != nil && *r.MemberID != "" {
		id = *r.MemberID
	}
	if a.seat == nil {
		if req.MemberID != "" {
			return a // it has left meanwhile
		}
		a.seat = g.seat(l, id, req.InstanceID, consumer)
	}
	s := a.seat
	s.id = id
	if !alive {
		return a
	}
	s.generation, s.state = r.MemberEpoch, synced
	if r.Assignment == nil {
		return a
	}
	s.target, s.unnamed = map[TopicPartition]bool{}, map[topicID][]int32{}
	for _, t := range r.Assignment.Topics {
		s.unnamed[t.TopicID] = append(s.unnamed[t.TopicID], t.Partitions...)
	}
	a.events = g.name(s)
	for p, h := range s.held {
		h.releasing = !s.target[p]
	}
	return a
}

// name assigns what an assignment gives by topic id, as far as the names are known.
func (g *group) name(s *seat) []history.Event {
	var ps []TopicPartition
	for id, partitions := range s.unnamed {
		topic, known := g.topics[id]
		if !known {
			continue
		}
		delete(s.unnamed, id)
		for _, n := range partitions {
			p := TopicPartition{topic, n}
			s.target[p] = true
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, comparePartitions)
	return g.assign(s, ps)
}

// learn keeps the names of topic ids, and assigns what waited for one.
func (g *group) learn(r *kmsg.MetadataResponse) {
	g.mu.Lock()
	defer g.mu.Unlock()
	learned := false
	for _, t := range r.Topics {
		if t.Topic == nil || *t.Topic == "" || t.TopicID == (topicID{}) || g.topics[t.TopicID] == *t.Topic {
			continue
		}
		g.topics[t.TopicID] = *t.Topic
		learned = true
	}
	if !learned {
		return
	}
	for _, s := range g.seats {
		if events := g.name(s); len(events) > 0 {
			g.log.AppendAll(events)
			g.touch()
		}
	}
}

// shared handles the answer to a heartbeat of a share group.
func (g *group) shared(l life, req *kmsg.ShareGroupHeartbeatRequest, r *kmsg.ShareGroupHeartbeatResponse) answer {
	a := answer{seat: g.find(l, req.MemberID, nil), generation: req.MemberEpoch, code: r.ErrorCode}
	if r.ErrorCode == 0 && req.MemberEpoch >= epochJoin && a.seat != nil {
		a.seat.generation, a.seat.state = r.MemberEpoch, synced
	}
	return a
}

// fence takes from a seat what it held: it is lost. A fenced epoch (KIP-848)
// leaves the member its id, with which it joins again.
func (g *group) fence(s *seat, code int16) []history.Event {
	s.target, s.unnamed = nil, nil
	s.state = announced
	if code != kerr.FencedMemberEpoch.Code {
		g.remove(s)
	}
	return s.give(history.Lost, all)
}

// tell writes down that bad news reached the member.
func (g *group) tell(l life, t tidings) {
	g.log.Append(history.Event{
		Kind: history.Told, Member: l.member, Incarnation: l.incarnation, Generation: t.generation, Error: errorName(t.code),
	})
}
