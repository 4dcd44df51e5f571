package schemas

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Trouble is what is wrong with the registry, as the members see it.
type Trouble struct {
	// Delay is how long every answer takes.
	Delay time.Duration
	// Reset: every request ends with a reset connection.
	Reset bool
	// Status answers every request; 0 does not.
	Status int
}

// Proxy stands before a registry. All methods may be called from any goroutine.
type Proxy struct {
	url     string
	server  *http.Server
	served  chan struct{}
	closing chan struct{}

	mu      sync.Mutex
	trouble Trouble
	met     *Met
	strange int // answers that say that there is no such thing (404)
	changed chan struct{}
}

// Met tells of the requests that met a trouble.
type Met struct {
	proxy *Proxy
	first chan struct{}
	n     int // guarded by the proxy's mutex
}

// First is closed when a request has met the trouble.
func (m *Met) First() <-chan struct{} { return m.first }

// Requests is how many requests have met it.
func (m *Met) Requests() int {
	m.proxy.mu.Lock()
	defer m.proxy.mu.Unlock()
	return m.n
}

// headerTimeout is for the headers of a request.
const headerTimeout = 5 * time.Second

// NewProxy starts a proxy on a free port of the loopback interface, before the registry at base.
func NewProxy(base string) (*Proxy, error) {
	to, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("schemas: the address of the registry: %w", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("schemas: listen on the loopback interface: %w", err)
	}
	p := &Proxy{url: "http://" + ln.Addr().String(), served: make(chan struct{}), closing: make(chan struct{}), changed: make(chan struct{})}
	quiet := log.New(io.Discard, "", 0) // clients that give up are nobody's business
	p.server = &http.Server{Handler: p.handler(to, quiet), ReadHeaderTimeout: headerTimeout, ErrorLog: quiet}
	go func() {
		defer close(p.served)
		_ = p.server.Serve(ln) // ends by Close only
	}()
	return p, nil
}

// URL is where the members find the registry.
func (p *Proxy) URL() string { return p.url }

// Close ends the proxy and all its connections.
func (p *Proxy) Close() {
	close(p.closing)
	_ = p.server.Close()
	<-p.served
}

// Break makes the registry troublesome for the members, until Mend or the next Break.
func (p *Proxy) Break(t Trouble) *Met {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble, p.met = t, &Met{proxy: p, first: make(chan struct{})}
	return p.met
}

// Mend ends the trouble. Requests that wait go on.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble, p.met = Trouble{}, nil
	close(p.changed)
	p.changed = make(chan struct{})
}

// NotFound is how often the registry has answered that there is no such schema.
func (p *Proxy) NotFound() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.strange
}

func (p *Proxy) handler(to *url.URL, quiet *log.Logger) http.Handler {
	pass := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:    &http.Transport{DisableKeepAlives: true}, // nothing is left open at the end
		ErrorLog:     quiet,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusNotFound {
				p.mu.Lock()
				p.strange++
				p.mu.Unlock()
			}
			return nil
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, mended := p.meet()
		if t.Delay > 0 && !p.wait(r.Context(), t.Delay, mended) {
			return
		}
		switch {
		case t.Reset:
			reset(w)
		case t.Status != 0:
			w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
			w.WriteHeader(t.Status)
			_, _ = fmt.Fprintf(w, `{"error_code":%d,"message":"the registry is in trouble"}`, t.Status)
		default:
			pass.ServeHTTP(w, r)
		}
	})
}

// meet counts a request against the trouble of the moment.
func (p *Proxy) meet() (Trouble, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.met != nil {
		if p.met.n++; p.met.n == 1 {
			close(p.met.first)
		}
	}
	return p.trouble, p.changed
}

// wait returns false if there is nobody to be answered any more.
func (p *Proxy) wait(ctx context.Context, d time.Duration, mended <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-mended:
	case <-ctx.Done():
		return false
	case <-p.closing:
		return false
	}
	return true
}

// reset ends the connection of a request as a dead process does.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // gone already
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
