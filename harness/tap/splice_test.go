package tap

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// fakeBroker accepts one connection and reads one request; the test writes the rest.
func fakeBroker(t *testing.T) (addr string, accepted <-chan net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		var size [4]byte
		if _, err = io.ReadFull(conn, size[:]); err == nil {
			_, err = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:])))
		}
		if err != nil {
			t.Error(err)
		}
		conns <- conn
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String(), conns
}

// bigResponse opens a connection through a tap to a fake broker, which owes it
// one large response that the tap does not decode.
func bigResponse(t *testing.T, size int) (m *Member, client *rawClient, broker net.Conn, frame []byte) {
	t.Helper()
	addr, accepted := fakeBroker(t)
	tap := New(Config{Log: history.NewMemory(history.Header{}), Seeds: []string{addr}})
	t.Cleanup(tap.Close)
	m, err := tap.Open(t.Context(), "m1", 1)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t}
	if client, err = new(rawClient).connect(f, m); err != nil {
		t.Fatal(err)
	}
	client.send(kmsg.NewPtrListOffsetsRequest(), 7)
	broker = receive(f, "a request", accepted)
	t.Cleanup(func() { _ = broker.Close() })
	frame = make([]byte, sizeBytes+size)
	for i := range frame {
		frame[i] = byte(i * 7 >> 3)
	}
	binary.BigEndian.PutUint32(frame, uint32(size))
	binary.BigEndian.PutUint32(frame[sizeBytes:], 7)
	return m, client, broker, frame
}

// TestFreezeInsideFrame freezes while a large response is on its way: nothing
// more comes, and after thaw not a byte is missing.
func TestFreezeInsideFrame(t *testing.T) {
	m, client, broker, frame := bigResponse(t, 1<<20)
	got := make([]byte, len(frame))
	at, sent := 0, 0
	for round := range 3 {
		part := frame[sent : sent+300<<10]
		if _, err := broker.Write(part); err != nil {
			t.Fatal(err)
		}
		sent += len(part)
		_ = client.SetReadDeadline(time.Now().Add(patience))
		n, err := io.ReadFull(client, got[at:sent])
		if at += n; err != nil {
			t.Fatalf("round %d: %d of %d bytes: %v", round, at, sent, err)
		}
		m.Freeze()
		more := frame[sent : sent+40<<10]
		if _, err := broker.Write(more); err != nil {
			t.Fatal(err)
		}
		sent += len(more)
		_ = client.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := client.Read(got[at:]); n != 0 || err == nil {
			t.Fatalf("round %d: %d bytes passed a frozen tap", round, n)
		}
		m.Thaw()
	}
	if _, err := broker.Write(frame[sent:]); err != nil {
		t.Fatal(err)
	}
	_ = client.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(client, got[at:]); err != nil || !bytes.Equal(got, frame) {
		t.Errorf("the response was harmed: %v", err)
	}
}

// TestDeathInsideFrame: a client dies in the middle of a large response. Half-open,
// the broker goes on writing and is not told.
func TestDeathInsideFrame(t *testing.T) {
	for _, halfOpen := range []bool{false, true} {
		m, client, broker, frame := bigResponse(t, 16<<20)
		if halfOpen {
			m.HalfOpen()
		}
		if _, err := broker.Write(frame[:300<<10]); err != nil {
			t.Fatal(err)
		}
		c := m.only(&fixture{T: t})
		_ = client.Close()
		receive(&fixture{T: t}, "the client's end", c.gone)
		_ = broker.SetWriteDeadline(time.Now().Add(patience))
		_, err := broker.Write(frame[300<<10:])
		if halfOpen != (err == nil) {
			t.Errorf("half-open %v: the broker's write: %v", halfOpen, err)
		}
		m.Close()
	}
}
