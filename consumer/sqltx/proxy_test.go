package sqltx_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer/sqltx"
	"github.com/ksim-dev/ksim/internal/services"
)

// cutProxy stands between a client and PostgreSQL, and cuts the connection at
// the next COMMIT: one goes over the real network, and is really lost.
type cutProxy struct {
	t      *testing.T
	listen net.Listener
	server string
	// cut is called with a COMMIT and both ends, once; nil to let it pass.
	cut atomic.Pointer[func(commit []byte, client, server net.Conn)]

	mu    sync.Mutex
	conns []net.Conn
	all   sync.WaitGroup
}

func startProxy(t *testing.T, server string) *cutProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cutProxy{t: t, listen: l, server: server}
	p.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); p.breakAll(); p.all.Wait() })
	return p
}

func (p *cutProxy) breakAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *cutProxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	p.all.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	defer func() { _ = client.Close(); _ = server.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], []byte("commit\x00")) {
			if cut := p.cut.Swap(nil); cut != nil {
				(*cut)(buf[:n], client, server)
				return
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// The connection is lost around the COMMIT, in each of the ways in which it can be.
func TestConnectionIsLostAtCommit(t *testing.T) {
	dsn := services.Postgres(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"not sent", "sent, not answered", "arrives after the question", "everything is down"} {
		t.Run(mode, func(t *testing.T) {
			f := newFixture(t, backend{sqltx.PostgreSQL, func(testing.TB) string { return dsn }})
			proxy := startProxy(t, u.Host)
			through := *u
			through.Host = proxy.listen.Addr().String()
			f.url = through.String()
			m := f.member(sqltx.Options{Timeout: 5 * time.Second})
			calls := 0
			h := m.Each(func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
				calls++
				return f.effect(ctx, tx, r)
			})
			cut := func(commit []byte, client, server net.Conn) {
				switch mode {
				case "not sent":
				case "sent, not answered":
					f.sendUnanswered(commit, client, server)
				case "arrives after the question":
					_ = client.Close()
					f.blocked() // the question waits for the row
					_, _ = server.Write(commit)
				case "everything is down":
					_ = proxy.listen.Close()
					f.sendUnanswered(commit, client, server)
				}
			}
			proxy.cut.Store(&cut)
			err := h(t.Context(), batch(0, 1))
			switch mode {
			case "not sent":
				f.says(err, 2, "whole", "unavailable", nil)
				f.want(-1)
				f.says(h(t.Context(), batch(0, 1)), 2, "ok", "", nil)
			case "everything is down":
				f.says(err, 2, "whole", "unavailable", nil)
				f.says(h(t.Context(), batch(0, 1)), 2, "whole", "unavailable", nil)
			default:
				f.says(err, 2, "ok", "", nil)
				if calls != 2 {
					t.Errorf("%d records were handled, want 2", calls)
				}
			}
			f.want(2, 0, 1)
		})
	}
}

// sendUnanswered lets the server commit, and the client hear nothing of it.
func (f *fixture) sendUnanswered(commit []byte, client, server net.Conn) {
	_ = client.Close()
	if _, err := server.Write(commit); err != nil {
		f.Error(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		next := int64(-1)
		if err := f.admin.QueryRow(`SELECT next_offset FROM consumer_offsets WHERE consumer_group = $1`, f.group).Scan(&next); err == nil && next >= 0 {
			return
		}
		if time.Now().After(deadline) {
			f.Error("the server does not commit")
			return
		}
	}
}
