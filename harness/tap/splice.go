package tap

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// spliceLeast is from how many bytes on the kernel moves a response from one
// socket to the other by itself; below, a copy is cheaper.
const spliceLeast = 64 << 10

// splice passes up to left bytes of a response on without touching them, where
// both sides are plain TCP (splice(2) on Linux). It returns how many it has passed; 0
// without an error means that the caller copies.
func (c *conn) splice(from *frames, left int) (int, error) {
	client, ok := c.client.(*net.TCPConn)
	broker, ok2 := from.conn.(*net.TCPConn)
	if !ok || !ok2 {
		return 0, nil
	}
	if !c.m.gate.enter(c.closed) {
		return 0, errEnded
	}
	n, err := client.ReadFrom(&io.LimitedReader{R: broker, N: int64(left)})
	c.m.gate.leave()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		// A freeze woke us; what has passed has passed. The deadline goes
		// before the gate is entered again, so that it cannot undo a later freeze.
		return int(n), broker.SetReadDeadline(time.Time{})
	case err == nil && n < int64(left):
		return int(n), io.ErrUnexpectedEOF
	case err != nil:
		// Bytes may be lost between the sockets, so that frames cannot be
		// told apart any more. If the broker must not notice, read on blindly.
		c.clientDied()
		_, _ = io.Copy(io.Discard, reader{from})
	}
	return int(n), err
}
