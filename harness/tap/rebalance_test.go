package tap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
)

var protocols = []struct {
	name     string
	protocol string
	eager    bool
	opts     []kgo.Opt
}{
	{"eager", classic, true, []kgo.Opt{kgo.Balancers(kgo.RangeBalancer())}},
	{"cooperative", classic, false, []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}},
	{"kip848", consumer, false, []kgo.Opt{kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer()}},
}

// TestRebalance takes a group from two members to three and back, under each
// protocol, and compares what the history says with the clients' callbacks and
// the broker's own view.
func TestRebalance(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			f := newFixture(t)
			f.produce(600)
			m1, m2 := f.open("m1", 1), f.open("m2", 1)
			c1, c2 := consume(f, m1, p.opts...), consume(f, m2, p.opts...)
			f.awaitStable("m1", "m2")
			f.compareOwners(m1, m2)
			if got := m1.Protocol(); got != p.protocol {
				t.Errorf("protocol is %q, want %q", got, p.protocol)
			}
			before := f.log.Last()
			kept := f.tap.Owners()
			m3 := f.open("m3", 1)
			c3 := consume(f, m3, p.opts...)
			f.awaitStable("m1", "m2", "m3")
			f.compareOwners(m1, m2, m3)
			f.checkMoves(before, kept, p.eager)

			f.compareCallbacks(c3) // it must have heard of its assignment before it leaves
			before = f.log.Last()
			if err := c3.leave(f.ctx); err != nil {
				t.Fatal(err)
			}
			m3.Close()
			f.awaitStable("m1", "m2")
			f.compareOwners(m1, m2)
			if n := f.count(before, kindOf(history.Left, "m3")); n != 1 {
				t.Errorf("m3 left %d times", n)
			}
			for _, c := range []*client{c1, c2, c3} {
				f.compareCallbacks(c)
			}
			if n := f.count(0, func(e history.Event) bool { return e.Kind == history.Lost || e.Kind == history.Told }); n != 0 {
				t.Errorf("%d lost or told in an orderly group", n)
			}
		})
	}
}

// checkMoves demands that all is revoked under eager, and otherwise only what moved.
func (f *fixture) checkMoves(since int64, before map[TopicPartition]Owner, eager bool) {
	f.Helper()
	after := f.tap.Owners()
	moved := 0
	for p, was := range before {
		if after[p].Member != was.Member {
			moved++
		}
	}
	revoked := f.count(since, func(e history.Event) bool { return e.Kind == history.Revoked })
	assigned := f.count(since, func(e history.Event) bool { return e.Kind == history.Assigned })
	if eager {
		moved = partitions
	}
	// A group may need more than one round, and then revokes more.
	if eager && (revoked < moved || assigned != revoked) || !eager && (revoked != moved || assigned != moved) || moved == 0 {
		f.Errorf("%d revoked and %d assigned, want %d", revoked, assigned, moved)
	}
}

// compareOwners compares the tap's view with the broker's.
func (f *fixture) compareOwners(members ...*Member) {
	f.Helper()
	info := f.cluster.GroupInfo(testGroup)
	if info == nil {
		f.Fatal("the broker has no group")
	}
	want := map[TopicPartition]string{}
	for _, m := range info.Members {
		i := slices.IndexFunc(members, func(o *Member) bool { return o.ID() == m.MemberID })
		if i < 0 {
			f.Fatalf("the broker's member %s is unknown to the tap", m.MemberID)
		}
		if g := members[i].Generation(); g != info.Epoch {
			f.Errorf("%s is in generation %d, the group in %d", members[i].life, g, info.Epoch)
		}
		for topic, ps := range m.Assignment {
			for _, p := range ps {
				want[TopicPartition{topic, p}] = members[i].life.member
			}
		}
	}
	got := f.tap.Owners()
	for p, o := range got {
		if want[p] != o.Member {
			f.Errorf("%v: the tap says %s, the broker %q", p, o.Member, want[p])
		}
	}
	if len(got) != len(want) {
		f.Errorf("%d owned, the broker says %d", len(got), len(want))
	}
}

// compareCallbacks compares the history of each partition with the client's callbacks.
func (f *fixture) compareCallbacks(c *client) {
	f.Helper()
	perPartition := func(lines []string) map[string]string {
		by := map[string]string{}
		for _, line := range lines {
			kind, where, _ := strings.Cut(line, " ")
			by[where] += kind + " "
		}
		return by
	}
	var seen []string
	for _, e := range f.log.Events(0) {
		if e.Member == c.m.life.member && (e.Kind == history.Assigned || e.Kind == history.Revoked || e.Kind == history.Lost) {
			seen = append(seen, fmt.Sprintf("%s %s/%d", e.Kind, e.Topic, e.Partition))
		}
	}
	var got, want map[string]string
	deadline := time.Now().Add(patience)
	for tick := time.NewTicker(10 * time.Millisecond); time.Now().Before(deadline); <-tick.C {
		// The callback of what was assigned last may still be running.
		got, want = perPartition(seen), perPartition(c.callbacks())
		if fmt.Sprint(got) == fmt.Sprint(want) {
			tick.Stop()
			return
		}
	}
	f.Errorf("%s: the history says %v, the callbacks %v", c.m.life, got, want)
}

// TestEviction removes a frozen member: its partitions go to the other one, it is
// told when it comes back, and its commit is refused.
func TestEviction(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			f := newFixture(t)
			m1, m2 := f.open("m1", 1), f.open("m2", 1)
			consume(f, m1, p.opts...)
			consume(f, m2, p.opts...)
			f.awaitStable("m1", "m2")
			held := 0
			for _, o := range f.tap.Owners() {
				if o.Member == "m1" {
					held++
				}
			}
			m1.Freeze()
			since := f.log.Last()
			f.await("m2 takes over", func() bool {
				for _, o := range f.tap.Owners() {
					if o.Member != "m2" {
						return false
					}
				}
				return len(f.tap.Owners()) == partitions
			})
			if n := f.count(since, kindOf(history.Lost, "m1")); n != held {
				t.Errorf("m1 lost %d partitions, it held %d", n, held)
			}
			if n := f.count(since, func(e history.Event) bool { return e.Member == "m1" && e.Kind != history.Lost }); n != 0 {
				t.Errorf("%d events of a frozen member", n)
			}
			since = f.log.Last()
			m1.Thaw()
			told := f.awaitEvent(since, "m1 is told", kindOf(history.Told, "m1"))
			if told.Error != "UNKNOWN_MEMBER_ID" && told.Error != "FENCED_MEMBER_EPOCH" {
				t.Errorf("m1 was told %q", told.Error)
			}
			f.awaitEvent(told.Seq, "m1 joins again", kindOf(history.Joining, "m1"))
			f.awaitStable("m1", "m2")
			f.compareOwners(m1, m2)
		})
	}
}
