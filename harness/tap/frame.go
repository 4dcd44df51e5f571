package tap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// readAhead is the buffer of one direction of a connection: a small frame
	// costs one read and one write.
	readAhead = 64 << 10
	// maxRequest bounds a request, as the broker's socket.request.max.bytes
	// does (100 MiB by default; somewhat more here, for the broker to judge).
	maxRequest = 256 << 20
	// maxDecodedRequest bounds a request that is decoded. Decoders allocate
	// many times the size of a frame that lies about its array lengths.
	maxDecodedRequest = 8 << 20
	// maxDecodedResponse is that bound for what a broker sends.
	maxDecodedResponse = 64 << 20
	minRequest         = 8 // key, version, correlation id
	minResponse        = 4 // correlation id
	sizeBytes          = 4
)

var errMalformed = errors.New("malformed frame")

// frames reads length-prefixed frames from one side of a connection.
type frames struct {
	conn        net.Conn
	br          *bufio.Reader
	interrupted atomic.Bool
}

func newFrames(conn net.Conn) *frames {
	f := &frames{conn: conn}
	f.br = bufio.NewReaderSize(reader{f}, readAhead)
	return f
}

// reader reads from the connection. A deadline is only ever set to wake who
// reads; who reads here goes on, unless it is to stop.
type reader struct{ f *frames }

func (r reader) Read(p []byte) (int, error) {
	for {
		n, err := r.f.conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || r.f.interrupted.Load() {
			return n, err
		}
		if err := r.f.conn.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
}

// wake makes a read or a splice that is in progress return.
func wake(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection, where nobody sleeps
}

// next waits for a frame and returns its size without the length itself.
// Nothing is consumed.
func (f *frames) next(least, most int) (int, error) {
	b, err := f.br.Peek(sizeBytes)
	if err != nil {
		return 0, err
	}
	size := int(int32(binary.BigEndian.Uint32(b)))
	if size < least || size > most {
		return 0, fmt.Errorf("%w: a size of %d bytes", errMalformed, size)
	}
	return size, nil
}

// head returns the first n bytes after the length. They are valid until the next read.
func (f *frames) head(n int) ([]byte, error) {
	b, err := f.br.Peek(sizeBytes + n)
	if err != nil {
		return nil, err
	}
	return b[sizeBytes:], nil
}

// whole consumes a frame of the given size, its length included.
func (f *frames) whole(size int) ([]byte, error) {
	b := make([]byte, sizeBytes+size)
	_, err := io.ReadFull(f.br, b)
	return b, err
}

// chunk waits for more of a frame of which left bytes are to come, and returns
// what is there. The caller discards it.
func (f *frames) chunk(left int) ([]byte, error) {
	if f.br.Buffered() == 0 {
		if _, err := f.br.Peek(1); err != nil {
			return nil, err
		}
	}
	return f.br.Peek(min(left, f.br.Buffered()))
}

// watch calls died when the other side goes away while nobody reads frames.
// stop ends the watch; only then may frames be read again. A peer that sends
// more than the buffer holds is not watched further.
func (f *frames) watch(died func()) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := f.br.Buffered() + 1; n <= f.br.Size(); n = f.br.Buffered() + 1 {
			if _, err := f.br.Peek(n); err != nil {
				if !f.interrupted.Load() {
					died()
				}
				return
			}
		}
	}()
	return func() {
		f.interrupted.Store(true)
		wake(f.conn)
		<-done
		_ = f.conn.SetReadDeadline(time.Time{})
		f.interrupted.Store(false)
	}
}

// header is the part of a request header that every version has in place.
type header struct {
	key, version int16
	correlation  int32
}

func parseHeader(b []byte) header {
	return header{
		key:         int16(binary.BigEndian.Uint16(b)),
		version:     int16(binary.BigEndian.Uint16(b[2:])),
		correlation: int32(binary.BigEndian.Uint32(b[4:])),
	}
}

// newRequest returns an empty request of that kind and version, nil if kmsg
// does not know it.
func (h header) newRequest() kmsg.Request {
	r := kmsg.RequestForKey(h.key)
	if r == nil || h.version < 0 || h.version > r.MaxVersion() {
		return nil
	}
	r.SetVersion(h.version)
	return r
}

// requestBody returns what follows the request header: the client id and,
// in flexible versions (KIP-482), the tags are skipped.
func requestBody(b []byte, flexible bool) ([]byte, error) {
	if len(b) < minRequest+2 {
		return nil, fmt.Errorf("%w: a request header of %d bytes", errMalformed, len(b))
	}
	n := int(int16(binary.BigEndian.Uint16(b[minRequest:])))
	b, err := skip(b[minRequest+2:], max(n, 0)) // -1: no client id
	if err != nil || !flexible {
		return b, err
	}
	return skipTags(b)
}

// responseBody returns what follows the response header. ApiVersions has the
// old header in all versions, since the client cannot know which to expect.
func responseBody(b []byte, key int16, flexible bool) ([]byte, error) {
	b, err := skip(b, minResponse)
	if err != nil || !flexible || key == kmsg.ApiVersions.Int16() {
		return b, err
	}
	return skipTags(b)
}

func skip(b []byte, n int) ([]byte, error) {
	if n < 0 || n > len(b) {
		return nil, fmt.Errorf("%w: %d bytes where %d are said to be", errMalformed, len(b), n)
	}
	return b[n:], nil
}

func uvarint(b []byte) (int, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > math.MaxInt32 {
		return 0, nil, fmt.Errorf("%w: a bad varint", errMalformed)
	}
	return int(v), b[n:], nil
}

// skipTags skips a tag section: count, then tag, size and bytes of each.
func skipTags(b []byte) ([]byte, error) {
	count, b, err := uvarint(b)
	for ; err == nil && count > 0; count-- {
		var size int
		if _, b, err = uvarint(b); err != nil {
			break
		}
		if size, b, err = uvarint(b); err != nil {
			break
		}
		b, err = skip(b, size)
	}
	return b, err
}

// produceAcks reads acks from the beginning of a Produce request. Only the
// transactional id stands before it, from version 3 on.
func produceAcks(b []byte, version int16) (int16, error) {
	flexible := version >= 9
	b, err := requestBody(b, flexible)
	if err != nil {
		return 0, err
	}
	switch {
	case flexible:
		var n int // length + 1, 0 for null
		if n, b, err = uvarint(b); err == nil {
			b, err = skip(b, max(n-1, 0))
		}
	case version >= 3:
		if len(b) < 2 {
			return 0, errMalformed
		}
		b, err = skip(b[2:], max(int(int16(binary.BigEndian.Uint16(b))), 0))
	}
	if err != nil {
		return 0, err
	}
	if len(b) < 2 {
		return 0, errMalformed
	}
	return int16(binary.BigEndian.Uint16(b)), nil
}
