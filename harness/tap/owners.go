package tap

import (
	"context"
	"sync"
)

// Owner is who holds a partition, as the responses of the group coordinator say.
type Owner struct {
	Member      string
	Incarnation int
	Generation  int32 // of the newest assignment of that member; or its epoch (KIP-848)
}

// Owners returns the owner of every partition that has one. A partition
// that its owner was asked to give up is its own until it does.
func (t *Tap) Owners() map[TopicPartition]Owner {
	g := t.group
	g.mu.Lock()
	defer g.mu.Unlock()
	owners := map[TopicPartition]Owner{}
	for _, s := range g.seats {
		for p := range s.held {
			owners[p] = Owner{Member: s.life.member, Incarnation: s.life.incarnation, Generation: s.generation}
		}
	}
	return owners
}

// Stable tells whether the group is at rest: the partitions of topic are all
// owned by the newest open lives of members, each of these takes part in the newest generation,
// and none of them is joining or giving something up. A group with members that do not go through the
// tap can be stable while those are not.
func (t *Tap) Stable(topic string, partitions int32, members []string) bool {
	g := t.group
	g.mu.Lock()
	defer g.mu.Unlock()
	in := map[string]bool{}
	for _, m := range members {
		in[m] = false
	}
	newest, generation := g.newest()
	owned := map[int32]bool{}
	for _, s := range g.seats {
		if _, counts := in[s.life.member]; !counts || s.life.incarnation != newest[s.life.member] || s.isOut(generation) {
			continue
		}
		if !s.isSettled(generation) {
			return false
		}
		in[s.life.member] = true
		for p := range s.held {
			if p.Topic == topic && p.Partition < partitions {
				owned[p.Partition] = true
			}
		}
	}
	for _, joined := range in {
		if !joined {
			return false
		}
	}
	return len(owned) == int(partitions)
}

// newest returns the newest open incarnation of each member, and the newest generation
// among open lives.
func (g *group) newest() (incarnations map[string]int, generation int32) {
	incarnations = map[string]int{}
	for l, ls := range g.lives {
		if !ls.ended {
			incarnations[l.member] = max(incarnations[l.member], l.incarnation)
		}
	}
	for _, s := range g.seats {
		if !g.ended(s) {
			generation = max(generation, s.generation)
		}
	}
	return incarnations, generation
}

// isOut tells whether a seat is left over from a consumer that came back under another
// id, or that the group has gone on without. A classic generation begins when all its members
// have joined, so one that is behind and does not join is not in it. A member of KIP-848 may be
// behind for a while; it is out only for sure when it holds nothing.
func (s *seat) isOut(generation int32) bool {
	switch s.state {
	case announced:
		return true
	case joining:
		return false
	case synced, rebalancing:
	}
	return s.generation < generation && (s.protocol == classic || len(s.held) == 0)
}

// isSettled tells whether a seat has all its assignment of the generation, and nothing else.
func (s *seat) isSettled(generation int32) bool {
	if s.state != synced || s.generation != generation || len(s.unnamed) > 0 {
		return false
	}
	for _, h := range s.held {
		if h.releasing {
			return false
		}
	}
	return true
}

// Await waits until ready is true, and asks again whenever the tap's view of the group
// or the history has changed. (history.Log.AwaitState alone may wait for ever:
// that a member got an empty assignment, say, makes a group stable without an event.)
// It ends with the error of ctx, or history.ErrClosed.
func (t *Tap) Await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	appended := make(chan struct{}, 1)
	ended := make(chan error, 1)
	wg.Go(func() {
		ended <- t.cfg.Log.AwaitState(ctx, func() bool {
			select {
			case appended <- struct{}{}:
			default:
			}
			return false
		})
	})
	for {
		t.group.mu.Lock()
		changed := t.group.changed
		t.group.mu.Unlock()
		if ready() {
			return nil
		}
		select {
		case <-changed:
		case <-appended:
		case err := <-ended:
			return err
		}
	}
}
