package tap

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// heartbeatOf is a request that any broker answers: by nobody's member id.
func heartbeatOf(version int16) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID = version, testGroup, "nobody"
	return req
}

// TestAnswersInOrder: clients count on answers in the order of their requests, whoever
// answers. The first request is held on its way to the member, the tap answers the second, the broker the third.
func TestAnswersInOrder(t *testing.T) {
	f := newFixtureOf(t, 1)
	conn, err := new(rawClient).connect(f, f.open("m1", 1))
	if err != nil {
		t.Fatal(err)
	}
	held := f.tap.Add(Rule{Key: kmsg.Heartbeat.Int16(), Direction: Response, Times: 1, Action: Hold{}})
	lied := f.tap.Add(Rule{Key: kmsg.OffsetCommit.Int16(), Times: 2, Action: Error{kerr.NotCoordinator.Code}})
	commit := commitOf(1, 0)
	commit.Version = 8
	conn.send(heartbeatOf(4), 1)
	conn.send(commit, 2)
	conn.send(heartbeatOf(4), 3)
	conn.send(commit, 4)
	receive(f, "the first answer is held", held.Hit())
	if err := lied.AwaitHits(f.ctx, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.receive(100 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an answer overtook the one that is held: %v", err)
	}
	held.Remove()
	for i := range int32(4) {
		h := header{key: kmsg.Heartbeat.Int16(), version: 4, correlation: i + 1}
		if i%2 == 1 {
			h.key, h.version = kmsg.OffsetCommit.Int16(), 8
			if got := conn.expect(h).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode; got != kerr.NotCoordinator.Code {
				t.Errorf("answer %d has code %d", i+1, got)
			}
			continue
		}
		conn.expect(h)
	}
}

func TestDelay(t *testing.T) {
	for _, d := range []Direction{Request, Response} {
		t.Run(d.String(), func(t *testing.T) {
			f := newFixtureOf(t, 1)
			conn, err := new(rawClient).connect(f, f.open("m1", 1))
			if err != nil {
				t.Fatal(err)
			}
			const wait = 200 * time.Millisecond
			armed := f.tap.Add(Rule{Key: kmsg.Heartbeat.Int16(), Direction: d, Action: Delay{For: wait}})
			h := header{key: kmsg.Heartbeat.Int16(), version: 4, correlation: 1}
			began := time.Now()
			conn.send(heartbeatOf(4), 1)
			conn.expect(h)
			if took := time.Since(began); took < wait {
				t.Errorf("answered after %s, delayed by %s", took, wait)
			}
			long := f.tap.Add(Rule{Key: kmsg.Heartbeat.Int16(), Direction: d, Action: Delay{For: time.Hour}})
			h.correlation = 2
			conn.send(heartbeatOf(4), 2)
			receive(f, "delayed", long.Hit())
			long.Remove() // ends the delay
			conn.expect(h)
			if armed.Hits() != 2 {
				t.Errorf("%d hits", armed.Hits())
			}
		})
	}
}

func TestJitter(t *testing.T) {
	times := func(seed int64) (ds []time.Duration) {
		a := New(Config{}).Add(Rule{Seed: seed, Action: Delay{For: time.Second, Jitter: time.Second / 2}})
		for range 50 {
			ds = append(ds, a.shaken(time.Second, time.Second/2))
		}
		return ds
	}
	one := times(1)
	if slices.Min(one) < time.Second/2 || slices.Max(one) > 3*time.Second/2 || slices.Max(one)-slices.Min(one) < time.Second/2 {
		t.Errorf("from %s to %s", slices.Min(one), slices.Max(one))
	}
	if !slices.Equal(one, times(1)) || slices.Equal(one, times(2)) {
		t.Error("the same seed must give the same times, and another one others")
	}
}

// TestThrottle: 30 kB take 300 ms at 100 kB/s, whichever way they go, decoded or not; and nothing once the rule is removed.
func TestThrottle(t *testing.T) {
	const rate, size = 100_000, 30_000
	for _, c := range []struct {
		name string
		rule Rule
	}{
		{"streamed request", Rule{Key: kmsg.Produce.Int16(), Action: Throttle{rate}}},
		{"decoded request", Rule{Key: kmsg.Produce.Int16(), Topic: testTopic, Action: Throttle{rate}}},
		{"streamed response", Rule{Key: kmsg.Fetch.Int16(), Direction: Response, Action: Throttle{rate}}},
		{"decoded response", Rule{Key: kmsg.Fetch.Int16(), Direction: Response, Topic: testTopic, Action: Throttle{rate}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixtureOf(t, 1)
			m := f.open("m1", 1)
			p := producer(f, m, kgo.ProducerBatchCompression(kgo.NoCompression()))
			defer p.Close()
			value := strings.Repeat("x", size)
			send := func() time.Duration {
				began := time.Now()
				if c.rule.Direction == Request {
					if err := p.ProduceSync(f.ctx, onPartition(0, value)).FirstErr(); err != nil {
						t.Fatal(err)
					}
					return time.Since(began)
				}
				r := newReader(f, m)
				r.await(1)
				r.end()
				return time.Since(began)
			}
			if err := p.ProduceSync(f.ctx, onPartition(0, value)).FirstErr(); err != nil { // connects, too
				t.Fatal(err)
			}
			armed := f.tap.Add(c.rule)
			if took := send(); took < 250*time.Millisecond {
				t.Errorf("%d bytes took %s at %d bytes/s", size, took, rate)
			}
			if armed.Hits() == 0 {
				t.Error("not hit")
			}
			armed.Remove()
		})
	}
}

// TestQuota: the member hears at once how long it is throttled, and is not served until then.
func TestQuota(t *testing.T) {
	f := newFixtureOf(t, 1)
	conn, err := new(rawClient).connect(f, f.open("m1", 1))
	if err != nil {
		t.Fatal(err)
	}
	const wait = 300 * time.Millisecond
	f.tap.Add(Rule{Key: kmsg.Heartbeat.Int16(), Direction: Response, Times: 1, Action: Quota{wait}})
	h := header{key: kmsg.Heartbeat.Int16(), version: 4, correlation: 1}
	conn.send(heartbeatOf(4), 1)
	if got := conn.expect(h).(*kmsg.HeartbeatResponse); got.ThrottleMillis != 300 || got.ErrorCode == 0 {
		t.Errorf("answered %+v, want what the broker says besides", got)
	}
	began := time.Now()
	conn.send(heartbeatOf(4), 2)
	h.correlation = 2
	if got := conn.expect(h).(*kmsg.HeartbeatResponse); got.ThrottleMillis != 0 || time.Since(began) < wait-wait/10 {
		t.Errorf("answered %+v after %s", got, time.Since(began))
	}
}

// TestCutHalfOpen: the client's side ends, the broker's stays, until the member is closed.
func TestCutHalfOpen(t *testing.T) {
	for _, d := range []Direction{Request, Response} {
		t.Run(d.String(), func(t *testing.T) {
			f := newFixtureOf(t, 1)
			m := f.open("m1", 1)
			conn, err := new(rawClient).connect(f, m)
			if err != nil {
				t.Fatal(err)
			}
			armed := f.tap.Add(Rule{Key: kmsg.OffsetCommit.Int16(), Direction: d, Times: 1, Action: CutHalfOpen{}})
			req := commitOf(9, 0)
			req.Version = 2
			conn.send(heartbeatOf(4), 1)
			conn.expect(header{key: kmsg.Heartbeat.Int16(), version: 4, correlation: 1})
			c := m.only(f)
			conn.send(req, 2)
			receive(f, "cut", armed.Hit())
			if _, err := conn.receive(patience); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client's side: %v", err)
			}
			select {
			case <-c.closed:
				t.Error("the broker's side was closed")
			case <-time.After(100 * time.Millisecond):
			}
			if want := map[Direction]int64{Request: 0, Response: 9}[d]; f.committed() != want {
				t.Errorf("the broker has %d, want %d", f.committed(), want)
			}
			if again, err := new(rawClient).connect(f, m); err != nil {
				t.Error(err)
			} else {
				again.send(heartbeatOf(4), 1)
				again.expect(header{key: kmsg.Heartbeat.Int16(), version: 4, correlation: 1})
			}
			m.Close()
		})
	}
}

// TestLostSync: a member to which its assignment never came does not have it.
func TestLostSync(t *testing.T) {
	for name, action := range map[string]Action{"cut": Cut{}, "told otherwise": Error{kerr.RebalanceInProgress.Code}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.produce(6)
			armed := f.tap.Add(Rule{Key: kmsg.SyncGroup.Int16(), Direction: Response, Times: 1, Action: action})
			c := consume(f, f.open("m1", 1))
			receive(f, "lost", armed.Hit())
			if n := f.count(0, kindOf(history.Assigned, "m1")); n != 0 && armed.Hits() == 1 && len(c.callbacks()) == 0 {
				t.Errorf("%d partitions assigned to a member that was never told", n)
			}
			f.awaitStable("m1")
			f.await("all is committed", func() bool { return f.committed() == 6 })
		})
	}
}

// TestDeceived: a member that the tap makes believe that it is out of its group has lost its
// partitions when it joins anew, and not before: for the broker it is still in.
func TestDeceived(t *testing.T) {
	f := newFixture(t)
	f.produce(6)
	c := consume(f, f.open("m1", 1))
	f.awaitStable("m1")
	f.await("all is committed", func() bool { return f.committed() == 6 })
	since := f.log.Last()
	armed := f.tap.Add(Rule{Member: "m1", Key: kmsg.Heartbeat.Int16(), Times: 1, Action: Error{kerr.UnknownMemberID.Code}})
	receive(f, "told", armed.Hit())
	told := f.awaitEvent(since, "told", kindOf(history.Told, "m1"))
	joining := f.awaitEvent(since, "joins anew", kindOf(history.Joining, "m1"))
	lost := f.count(since, kindOf(history.Lost, "m1"))
	if told.Seq > joining.Seq || lost != partitions || f.count(joining.Seq, kindOf(history.Lost, "m1")) != 0 {
		t.Errorf("told at %d, joins at %d, %d partitions lost", told.Seq, joining.Seq, lost)
	}
	f.produce(6)
	f.await("the group goes on", func() bool { return f.committed() == 12 })
	f.awaitStable("m1")
	if calls := c.callbacks(); !slices.Contains(calls, "lost orders/0") {
		t.Errorf("the client did not take its partitions for lost: %v", calls)
	}
}

// TestDeceivedByACommit: the member goes on, and keeps what it holds.
func TestDeceivedByACommit(t *testing.T) {
	s := newScript(t, m1)
	s.exchange(m1, join("a", "", 1), joined("a", 1, 0))
	s.sync(m1, "a", 1, 0, 1)
	s.events()
	s.tap.group.believe(m1, lie{memberID: "a", code: kerr.UnknownMemberID.Code})
	s.want("it goes on", s.heartbeat(m1, "a", 0), "")
	if !s.tap.Stable(testTopic, 2, []string{"m1"}) {
		t.Error("not stable, though nothing has changed")
	}
	s.want("or joins as somebody else", s.exchange(m1, join("", "", 1), nil), "m1 lost 0, m1 lost 1, m1 joining")
	s.exchange(m1, join("b", "", 1), joined("b", 2, 0))
	s.sync(m1, "b", 2, 0, 1)
	s.tap.group.believe(m1, lie{memberID: "b", code: kerr.RebalanceInProgress.Code, joins: true})
	if s.tap.Stable(testTopic, 2, []string{"m1"}) {
		t.Error("stable, though the member is about to join anew")
	}
}

// TestFetched: the history has each position that a life fetches from, once; by name, though
// the wire has ids.
func TestFetched(t *testing.T) {
	f := newFixture(t)
	f.tap.cfg.Fetches = true
	f.produce(12)
	r := newReader(f, f.open("m1", 1))
	r.await(12)
	for p := range int32(partitions) {
		f.awaitEvent(0, "fetched", func(e history.Event) bool {
			return e.Kind == history.Fetched && e.Who() == "m1" && e.Topic == testTopic && e.Partition == p && e.Offset == 2
		})
	}
	r.end()
	last := map[int32]int64{}
	for _, e := range f.log.Events(0) {
		if e.Kind != history.Fetched {
			continue
		}
		if at, again := last[e.Partition]; again && at >= e.Offset || e.Topic != testTopic {
			t.Errorf("fetched %s after %d", e.Where(), at)
		}
		if e.Offset == 2 && (e.Time == 0 || e.Time > e.At) {
			t.Errorf("%s came at %s, it was asked for what is behind it at %s", e.Where(), e.Time, e.At)
		}
		last[e.Partition] = e.Offset
	}
}
