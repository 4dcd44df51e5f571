package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// onAssigned runs at the start of every generation, with the partitions that
// are new to this member, if any.
func (s *session) onAssigned(_ context.Context, cl *kgo.Client, added map[string][]int32) {
	defer s.e.vitals.callbacks()()
	member, gen := cl.GroupMetadata()
	s.mu.Lock()
	known := s.member
	s.member, s.gen = member, gen
	suspect := false
	for tp := range s.parts {
		if known != "" && known != member && !slices.Contains(added[tp.topic], tp.partition) {
			suspect = true
		}
	}
	s.mu.Unlock()
	if suspect {
		// The group had thrown this member out, and it came back as another one.
		// What it believes to have kept may have been with others meanwhile, and
		// further than its own position.
		s.rejoin(fmt.Errorf("consumer: member %s is now %s: %w", known, member, errLost))
		return
	}
	for topic, partitions := range added {
		for _, partition := range partitions {
			s.assign(topicPartition{topic, partition}, member)
		}
		s.e.log.Info("assigned", "topic", topic, "partitions", partitions)
		if hook := s.e.cfg.Hooks.OnAssign; hook != nil {
			hook(topic, partitions)
		}
	}
	s.lag.soon()
	info := RebalanceInfo{Member: member, Generation: gen, Assigned: count(added), Owned: len(s.all()), Duration: s.e.vitals.joined()}
	if hook := s.e.cfg.Hooks.OnRebalance; hook != nil {
		hook(info)
	}
}

// assign starts an epoch. If an older one of the same partition is still there,
// the client starts over at what is committed, so the older one ends here.
func (s *session) assign(tp topicPartition, member string) *partition {
	if old := s.part(tp); old != nil {
		old.fence(errLost) // first, since the new one counts on from its attempts
	}
	p := newPartition(tp, member, s.e.cfg, s, s.e.pool, &s.e.attempts)
	// Before anybody can fence it: a fenced epoch that is not gated is idle, and the
	// one after it would start beside the handler call that this one waits for.
	if earlier := s.e.succeed(tp, p.idle); earlier != nil {
		p.gate(earlier)
	}
	s.mu.Lock()
	s.parts[tp] = p
	s.mu.Unlock()
	if s.aborted.Err() != nil {
		p.fence(context.Cause(s.aborted))
	} else if s.life.Err() != nil {
		p.fence(errShutdown)
	}
	return p
}

// replace ends an epoch whose position went back, and starts the next.
func (s *session) replace(p *partition, cause error) *partition {
	p.fence(cause)
	next := s.assign(p.topicPartition, p.member)
	next.inherit(p)
	return next
}

// onRevoked gives partitions up: it waits for what is in flight, commits, and
// fences. When it returns, no effect on them starts any more. The map may be
// empty, and may name what is gone already.
func (s *session) onRevoked(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
	parts := s.pick(revoked)
	if len(parts) == 0 {
		return
	}
	defer s.e.vitals.callbacks()()
	s.e.vitals.rebalancing()
	total := s.e.cfg.DrainTimeout
	soft, cancelSoft := context.WithTimeout(s.life, total*8/10)
	defer cancelSoft()
	hard, cancelHard := context.WithTimeout(s.life, total*9/10)
	defer cancelHard()
	last, cancelLast := context.WithTimeout(s.life, total)
	defer cancelLast()

	drained := drainAll(soft, hard, parts, errRevoked)
	err := s.commitAll(last, parts)
	for _, p := range parts {
		p.fence(errRevoked)
	}
	parts = s.drop(parts)
	clean := true
	for _, p := range parts {
		clean = clean && p.clean()
	}
	if !drained {
		s.e.log.Error("handler calls still ran when their partitions had to be given up; what they do now is not counted", "timeout", total)
	}
	if !clean {
		s.e.log.Warn("not all that was done could be committed before a revoke; it will be handled again", "err", err)
	}
	for topic, partitions := range byTopic(parts) {
		s.e.log.Info("revoked", "topic", topic, "partitions", partitions, "committed", clean)
		if hook := s.e.cfg.Hooks.OnRevoke; hook != nil {
			hook(topic, partitions, clean)
		}
	}
}

// onLost fences partitions that are somebody else's by now; it never commits.
func (s *session) onLost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	defer s.e.vitals.callbacks()()
	s.e.vitals.lost(errLost)
	parts := s.pick(lost)
	loseAll(s.life, parts, errLost)
	s.tellLost(s.drop(parts), errLost)
}

// tellRest tells that all is lost which a session still has that is to be
// followed by another one: it may not give it up in order any more.
func (s *session) tellRest() {
	var again *rejoinError
	if cause := context.Cause(s.aborted); errors.As(cause, &again) {
		s.tellLost(s.drop(s.all()), cause)
	}
}

func (s *session) tellLost(parts []*partition, err error) {
	for topic, partitions := range byTopic(parts) {
		s.e.log.Warn("lost", "topic", topic, "partitions", partitions, "err", err)
		if hook := s.e.cfg.Hooks.OnLost; hook != nil {
			hook(topic, partitions, err)
		}
	}
}

func (s *session) pick(of map[string][]int32) []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*partition
	for topic, partitions := range of {
		for _, partition := range partitions {
			if p := s.parts[topicPartition{topic, partition}]; p != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// drop forgets epochs, unless a newer one of the same partition has come, and
// returns those that it did forget.
func (s *session) drop(parts []*partition) []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var dropped []*partition
	for _, p := range parts {
		if s.parts[p.topicPartition] == p {
			delete(s.parts, p.topicPartition)
			dropped = append(dropped, p)
		}
	}
	return dropped
}

func count(partitions map[string][]int32) int {
	n := 0
	for _, of := range partitions {
		n += len(of)
	}
	return n
}

func byTopic(parts []*partition) map[string][]int32 {
	out := make(map[string][]int32)
	for _, p := range parts {
		out[p.topic] = append(out[p.topic], p.partition)
	}
	for _, partitions := range out {
		slices.Sort(partitions)
	}
	return out
}
