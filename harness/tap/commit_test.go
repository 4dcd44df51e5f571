package tap

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// TestCommits compares the commits in the history with the broker's own, and
// demands that each answer follows its request.
func TestCommits(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			f := newFixture(t)
			f.produce(300)
			m := f.open("m1", 1)
			consume(f, m, p.opts...)
			f.await("all is committed, and the answers are here", func() bool {
				return f.committed() == 300 && f.unanswered() == 0
			})
			last := map[TopicPartition]int64{}
			requests := map[int64]history.Event{}
			for _, e := range f.log.Events(0) {
				switch e.Kind {
				case history.CommitRequested:
					requests[e.Seq] = e
				case history.Committed:
					r, ok := requests[e.Ref]
					if !ok || r.Partition != e.Partition || r.Offset != e.Offset || r.Topic != e.Topic {
						t.Errorf("answer %+v refers to %+v", e, r)
					}
					delete(requests, e.Ref)
					if e.Outcome != history.Accepted || e.Generation != m.Generation() || e.Who() != "m1" {
						t.Errorf("committed %+v", e)
					}
					last[TopicPartition{e.Topic, e.Partition}] = e.Offset
				}
			}
			if len(requests) != 0 {
				t.Errorf("without an answer: %v", requests)
			}
			for p, c := range f.cluster.GroupInfo(testGroup).Commits[testTopic] {
				if got := last[TopicPartition{testTopic, p}]; got != c.Offset {
					t.Errorf("partition %d: history %d, broker %d", p, got, c.Offset)
				}
			}
		})
	}
}

// unanswered counts the commits whose answer is not in the history.
func (f *fixture) unanswered() int {
	return f.count(0, func(e history.Event) bool { return e.Kind == history.CommitRequested }) -
		f.count(0, func(e history.Event) bool { return e.Kind == history.Committed })
}

// committed sums the broker's commits.
func (f *fixture) committed() (sum int64) {
	if info := f.cluster.GroupInfo(testGroup); info != nil {
		for _, c := range info.Commits[testTopic] {
			sum += c.Offset
		}
	}
	return sum
}

// commitAt commits one offset by hand, as the member m of the given generation says it is.
func commitAt(ctx context.Context, c *client, generation int32, id string, at int64) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.MemberID = testGroup, generation, id
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = at
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: testTopic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

func TestRefusedCommit(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	c := consume(f, m)
	f.awaitStable("m1")
	since := f.log.Last()
	if err := commitAt(f.ctx, c, m.Generation()+7, m.ID(), 3); !errors.Is(err, kerr.IllegalGeneration) {
		t.Fatalf("a commit of another generation: %v", err)
	}
	e := f.awaitEvent(since, "refused", kindOf(history.Committed, "m1"))
	if e.Outcome != history.Refused || e.Error != "ILLEGAL_GENERATION" || e.Generation != m.Generation()+7 {
		t.Errorf("%+v", e)
	}
	f.awaitEvent(e.Seq, "told", kindOf(history.Told, "m1"))
	if n := f.count(since, kindOf(history.Lost, "m1")); n != 0 {
		t.Errorf("%d partitions lost by a refused commit", n)
	}
}

// TestHoldRequest: a held commit has not happened, for the broker and for the history.
func TestHoldRequest(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	consume(f, m)
	f.awaitStable("m1")
	armed := f.tap.Add(Rule{Member: "m1", Key: kmsg.OffsetCommit.Int16(), Direction: Request, After: 1, Times: 1, Action: Hold{}})
	f.produce(1)
	first := f.awaitEvent(0, "the first commit passes", kindOf(history.Committed, "m1"))
	f.produce(1)
	call := receive(f, "the second commit is held", armed.Hit())
	if call.Member != "m1" || call.Group != testGroup || len(call.Commits) != 1 || call.Commits[0] != (Commit{testTopic, 0, 2, 0}) || call.Generation != m.Generation() {
		t.Errorf("held %+v", call)
	}
	if n := f.count(first.Seq, kindOf(history.CommitRequested, "m1")); n != 0 || f.committed() != 1 {
		t.Errorf("%d commits requested while held, the broker has %d", n, f.committed())
	}
	armed.Release()
	e := f.awaitEvent(first.Seq, "the second commit", kindOf(history.Committed, "m1"))
	if e.Offset != 2 || f.committed() != 2 || armed.Hits() != 1 {
		t.Errorf("committed %+v, broker %d, hits %d", e, f.committed(), armed.Hits())
	}
	armed.Remove()
}

// TestDeathWhileHeld kills a client while its commit is held: before the
// broker it never happens, after the broker it has.
func TestDeathWhileHeld(t *testing.T) {
	for _, d := range []Direction{Request, Response} {
		for _, halfOpen := range []bool{false, true} {
			t.Run(map[Direction]string{Request: "request", Response: "response"}[d]+map[bool]string{true: " half-open"}[halfOpen], func(t *testing.T) {
				f := newFixtureOf(t, 1) // which is the coordinator
				m := f.open("m1", 1)
				conn, err := new(rawClient).connect(f, m)
				if err != nil {
					t.Fatal(err)
				}
				armed := f.tap.Add(Rule{Key: kmsg.OffsetCommit.Int16(), Direction: d, Times: 1, Action: Hold{},
					Match: func(c Call) bool { return c.ErrorCode == 0 && f.tap.Owners() != nil }})
				req := kmsg.NewPtrOffsetCommitRequest()
				req.Version, req.Group = 2, testGroup
				req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: testTopic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 9}}}}
				req.Generation = -1
				conn.send(req, 1)
				receive(f, "held", armed.Hit())
				if halfOpen {
					m.HalfOpen()
				}
				c := m.only(f)
				_ = conn.Close()
				receive(f, "the tap notices", c.gone)
				armed.Release()
				if halfOpen {
					select {
					case <-c.closed:
						t.Error("the broker's side was closed")
					case <-time.After(100 * time.Millisecond):
					}
				} else {
					receive(f, "the broker's side closes", c.closed)
				}
				m.Close()
				var want int64
				outcomes := 0
				if d == Response {
					want, outcomes = 9, 1
				}
				if got := f.committed(); got != want {
					t.Errorf("the broker has %d, want %d", got, want)
				}
				for _, k := range []history.Kind{history.CommitRequested, history.Committed} {
					if n := f.count(0, kindOf(k, "m1")); n != outcomes {
						t.Errorf("%d %s, want %d", n, k, outcomes)
					}
				}
			})
		}
	}
}

// only returns the connection of a member that has one.
func (m *Member) only(f *fixture) *conn {
	f.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.conns) != 1 {
		f.Fatalf("%d connections", len(m.conns))
	}
	for c := range m.conns {
		return c
	}
	return nil
}

// TestCutRule disconnects a member whose commit the broker has applied.
func TestCutRule(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	consume(f, m)
	f.awaitStable("m1")
	armed := f.tap.Add(Rule{Key: kmsg.OffsetCommit.Int16(), Direction: Response, Times: 1, Action: Cut{}})
	f.produce(6)
	receive(f, "cut", armed.Hit())
	armed.Remove()
	// The client does not know, and commits again.
	f.await("committed twice", func() bool { return f.count(0, kindOf(history.Committed, "m1")) > f.partitionsCommitted() })
}

func (f *fixture) partitionsCommitted() int {
	return len(f.cluster.GroupInfo(testGroup).Commits[testTopic])
}
