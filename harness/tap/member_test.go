package tap

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// rawClient writes and reads frames.
type rawClient struct {
	net.Conn
	f *fixture
}

func (r *rawClient) connect(f *fixture, m *Member) (*rawClient, error) {
	addr, _, _ := strings.Cut(m.Bootstrap(), ",")
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		f.Cleanup(func() { _ = conn.Close() })
	}
	r.Conn, r.f = conn, f
	return r, err
}

func (r *rawClient) send(req kmsg.Request, correlation int32) {
	r.f.Helper()
	if _, err := r.Write(frameOf(req, correlation)); err != nil {
		r.f.Fatal(err)
	}
}

func frameOf(req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, correlation)
}

// receive reads one frame without its length; nil if the connection ended.
func (r *rawClient) receive(wait time.Duration) ([]byte, error) {
	_ = r.SetReadDeadline(time.Now().Add(wait))
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

// TestAddresses: whatever a client does, it connects to the tap only.
func TestAddresses(t *testing.T) {
	f := newFixture(t)
	f.produce(60)
	m1, m2 := f.open("m1", 1), f.open("m2", 1)
	c1, c2 := consume(f, m1), consume(f, m2)
	f.awaitStable("m1", "m2")
	p := through(f, f.open("producer", 1), kgo.DefaultProduceTopic(testTopic))
	defer p.Close()
	for _, acks := range []kmsg.Request{kmsg.NewPtrDescribeClusterRequest(), kmsg.NewPtrMetadataRequest()} {
		if _, err := p.Request(f.ctx, acks); err != nil {
			t.Error(err)
		}
	}
	if err := p.ProduceSync(f.ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Error(err)
	}
	// Leaders and coordinators move, and clients are told in every way there is.
	for i := range int32(partitions) {
		if err := f.cluster.MoveTopicPartition(testTopic, i, (i+1)%3); err != nil {
			t.Fatal(err)
		}
	}
	f.cluster.RehashCoordinators()
	f.produce(60)
	f.await("all is committed", func() bool { return f.committed() >= 120 })
	for _, c := range []*client{c1, c2, p} {
		own := map[string]bool{}
		c.m.mu.Lock()
		for _, l := range c.m.listeners {
			own[l.Addr().String()] = true
		}
		if len(c.m.listeners) != 3 {
			t.Errorf("%s has %d listeners for 3 brokers", c.m.life, len(c.m.listeners))
		}
		c.m.mu.Unlock()
		c.mu.Lock()
		if slices.ContainsFunc(c.dials, func(a string) bool { return !own[a] }) || len(c.dials) < 3 {
			t.Errorf("%s connected to %v, its listeners are %v", c.m.life, c.dials, own)
		}
		c.mu.Unlock()
	}
}

func TestFreeze(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	consume(f, m)
	f.awaitStable("m1")
	f.produce(6)
	f.await("committed", func() bool { return f.count(0, kindOf(history.Committed, "m1")) == 6 })
	m.Freeze()
	since := f.log.Last()
	f.produce(6)
	raw, err := new(rawClient).connect(f, m)
	if err != nil {
		t.Fatal(err)
	}
	raw.send(kmsg.NewPtrApiVersionsRequest(), 7)
	if _, err := raw.receive(300 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a frozen member's new connection: %v", err)
	}
	if f.committed() != 6 || f.log.Last() != since {
		t.Error("bytes passed a frozen tap")
	}
	m.Thaw()
	if _, err := raw.receive(patience); err != nil {
		t.Errorf("after thaw: %v", err)
	}
	f.await("committed", func() bool { return f.committed() == 12 })
}

// TestFreezeMember freezes by a rule, and thaws when the rule is removed.
func TestFreezeMember(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	consume(f, m)
	f.awaitStable("m1")
	armed := f.tap.Add(Rule{Member: "m1", Key: kmsg.OffsetCommit.Int16(), Times: 1, Action: FreezeMember{}})
	f.produce(1)
	receive(f, "frozen", armed.Hit())
	since := f.log.Last()
	select {
	case <-time.After(300 * time.Millisecond): // three heartbeats
	case <-f.ctx.Done():
	}
	if f.log.Last() != since || f.committed() != 0 {
		t.Error("bytes passed")
	}
	armed.Remove()
	f.await("committed", func() bool { return f.committed() == 1 })
}

func TestCutAndHeal(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	consume(f, m)
	f.awaitStable("m1")
	m.Cut()
	raw, err := new(rawClient).connect(f, m)
	if err == nil {
		if _, err = raw.receive(patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection while cut: %v", err)
		}
	}
	f.produce(6)
	m.mu.Lock()
	if n := len(m.conns); n != 0 {
		// They are dismissed by goroutines of their own.
		for c := range m.conns {
			if !c.ended() {
				t.Errorf("an open connection while cut")
			}
		}
	}
	m.mu.Unlock()
	m.Heal()
	f.await("committed", func() bool { return f.committed() == 6 })
}

// TestHalfOpen: the broker does not notice a death before Close.
func TestHalfOpen(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	raw, err := new(rawClient).connect(f, m)
	if err != nil {
		t.Fatal(err)
	}
	raw.send(kmsg.NewPtrApiVersionsRequest(), 1)
	if _, err := raw.receive(patience); err != nil {
		t.Fatal(err)
	}
	c := m.only(f)
	m.HalfOpen()
	_ = raw.Close()
	receive(f, "the client's end", c.gone)
	select {
	case <-c.closed:
		t.Fatal("the broker was told")
	case <-time.After(100 * time.Millisecond):
	}
	// The broker's side still works: whoever writes to it is answered.
	c.pending.put(&exchange{header: header{key: kmsg.Heartbeat.Int16(), correlation: 5}})
	hb := kmsg.NewPtrHeartbeatRequest()
	hb.Version = 3
	if _, err := c.broker.Write(frameOf(hb, 5)); err != nil {
		t.Errorf("the broker's side: %v", err)
	}
	for deadline := time.Now().Add(patience); ; {
		c.pending.mu.Lock()
		n := len(c.pending.queue)
		c.pending.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the broker's side is dead")
		}
		time.Sleep(time.Millisecond)
	}
	m.Close()
	receive(f, "closed", c.closed)
}

// TestMalformed: bad bytes close their own connection and no other.
func TestMalformed(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	good, err := new(rawClient).connect(f, m)
	if err != nil {
		t.Fatal(err)
	}
	good.send(kmsg.NewPtrApiVersionsRequest(), 1)
	if _, err := good.receive(patience); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]string{
		"huge": "\x7f\xff\xff\xff\x00\x03\x00\x01aaaa", "negative": "\xff\xff\xff\xff", "tiny": "\x00\x00\x00\x02ab",
		"http": "GET / HTTP/1.1\r\n\r\n", "tls": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		bad, err := new(rawClient).connect(f, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bad.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
		if _, err := bad.receive(patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection was not closed: %v", name, err)
		}
	}
	// A group request that cannot be decoded goes to the broker as it is.
	garbled := frameOf(kmsg.NewPtrJoinGroupRequest(), 3)
	binary.BigEndian.PutUint16(garbled[6:], 99)
	other, err := new(rawClient).connect(f, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write(garbled); err != nil {
		t.Fatal(err)
	}
	_, _ = other.receive(patience) // kfake closes it
	good.send(kmsg.NewPtrApiVersionsRequest(), 2)
	if _, err := good.receive(patience); err != nil {
		t.Errorf("another connection: %v", err)
	}
	problems := strings.Join(f.tap.Problems(), "\n")
	if !strings.Contains(problems, "no Kafka request") || !strings.Contains(problems, "JoinGroup v99 is newer") {
		t.Errorf("problems: %s", problems)
	}
}

func TestOpen(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	if _, err := f.tap.Open(f.ctx, "m1", 1); err == nil {
		t.Error("the same life twice")
	}
	if m.ID() != "" || m.Protocol() != "" || m.Generation() != 0 || m.InstanceID() != "" || len(m.IDs()) != 0 {
		t.Error("an identity before the group gave one")
	}
	m.Close()
	m.Close()
	if raw, err := new(rawClient).connect(f, m); err == nil {
		t.Error("a closed member accepts", raw.RemoteAddr())
	}
	f.tap.Close()
	if _, err := f.tap.Open(f.ctx, "m2", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("open after close: %v", err)
	}
	if _, err := New(Config{Log: f.log}).Open(f.ctx, "m1", 1); err == nil {
		t.Error("no seeds")
	}
}

// TestBrokerDown: a broker that cannot be reached looks like one that is down: the
// connection is reset, not ended in good order. So does one for which somebody else
// accepts, and ends what he has accepted.
func TestBrokerDown(t *testing.T) {
	for name, accepts := range map[string]bool{"refused": false, "accepted and ended": true} {
		t.Run(name, func(t *testing.T) { brokerDown(t, accepts) })
	}
}

func brokerDown(t *testing.T, accepts bool) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if accepts {
		defer func() { _ = ln.Close() }()
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				_ = c.Close()
			}
		}()
	} else {
		_ = ln.Close()
	}
	f := newFixture(t)
	tap := New(Config{Log: history.NewMemory(history.Header{}), Seeds: []string{ln.Addr().String()}})
	defer tap.Close()
	m, err := tap.Open(f.ctx, "m1", 1)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := new(rawClient).connect(f, m)
	if err == nil { // else it was reset before the client looked
		_, err = raw.receive(patience)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v", err)
	}
}
