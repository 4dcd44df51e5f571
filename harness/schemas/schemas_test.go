package schemas

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/workload"
	"github.com/ksim-dev/ksim/internal/services"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(services.StopAfter(m)) }

// The real registry takes every version, and what is written by one is read by it.
func TestEncode(t *testing.T) {
	url := services.Registry(t)
	e, err := NewEncoder(t.Context(), url, "encode-"+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	client, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	m := workload.Message{ID: "m-000007", Key: []byte("k"), Seq: 7, Value: []byte(`{"id":"m-000007"}`)}
	ids := map[uint32]bool{}
	for range 3 {
		out, err := e.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if e.First() != m.ID {
			t.Errorf("the first message is %q", e.First())
		}
		id := binary.BigEndian.Uint32(out.Value[1:])
		ids[id] = true
		text, err := client.SchemaByID(t.Context(), int(id))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		rest, err := avro.MustParse(text.Schema).Decode(out.Value[5:], &got)
		if err != nil || len(rest) != 0 || got["id"] != m.ID || got["seq"] != int64(7) || !bytes.Equal(got["value"].([]byte), m.Value) {
			t.Errorf("read %v, %d bytes left, %v", got, len(rest), err)
		}
		if _, err := e.Evolve(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e.First() != "" {
			t.Error("a version that nothing was written by has a first message")
		}
	}
	if len(ids) != 3 {
		t.Errorf("three versions have the ids %v", ids)
	}
	m.Poison = workload.Undecodable
	out, err := e.Encode(m)
	if err != nil || e.First() != "" {
		t.Errorf("%v; first %q", err, e.First())
	}
	var refused *sr.ResponseError
	if _, err := client.SchemaByID(t.Context(), int(binary.BigEndian.Uint32(out.Value[1:]))); !errors.As(err, &refused) || !sr.IsNotFoundError(refused.ErrorCode) {
		t.Errorf("the schema of what cannot be decoded: %v", err)
	}
	if out, err := e.Encode(workload.Message{ID: "m-1", Poison: workload.Tombstone}); err != nil || out.Value != nil {
		t.Errorf("a tombstone became %q, %v", out.Value, err)
	}
}

func ask(ctx context.Context, t *testing.T, url string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/schemas/ids/77", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Body.Close()
}

func TestProxy(t *testing.T) {
	registry := httptest.NewServer(srfake.NewRegistry().Handler())
	defer registry.Close()
	p, err := NewProxy(registry.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if status, err := ask(t.Context(), t, p.URL()); status != 404 || err != nil || p.NotFound() != 1 {
		t.Errorf("status %d, %v; %d not found", status, err, p.NotFound())
	}
	met := p.Break(Trouble{Reset: true})
	if met.Requests() != 0 {
		t.Errorf("%d requests before any", met.Requests())
	}
	if _, err := ask(t.Context(), t, p.URL()); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("want a reset: %v", err)
	}
	<-met.First()
	met = p.Break(Trouble{Status: 503})
	if status, err := ask(t.Context(), t, p.URL()); status != 503 || err != nil || met.Requests() != 1 {
		t.Errorf("status %d, %v; %d requests", status, err, met.Requests())
	}
	p.Break(Trouble{Delay: 30 * time.Millisecond})
	began := time.Now()
	if status, err := ask(t.Context(), t, p.URL()); status != 404 || err != nil || time.Since(began) < 30*time.Millisecond {
		t.Errorf("status %d, %v, after %s", status, err, time.Since(began))
	}
	p.Mend()
	if status, err := ask(t.Context(), t, p.URL()); status != 404 || err != nil || p.NotFound() != 3 || met.Requests() != 1 {
		t.Errorf("status %d, %v; %d not found, %d requests", status, err, p.NotFound(), met.Requests())
	}
}

// A request that waits is answered when the trouble is over, and ends with the proxy or its client.
func TestProxyWaits(t *testing.T) {
	registry := httptest.NewServer(srfake.NewRegistry().Handler())
	defer registry.Close()
	for name, end := range map[string]func(*Proxy, context.CancelFunc){
		"mended":   func(p *Proxy, _ context.CancelFunc) { p.Mend() },
		"closed":   func(p *Proxy, _ context.CancelFunc) { p.Close() },
		"given up": func(_ *Proxy, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewProxy(registry.URL)
			if err != nil {
				t.Fatal(err)
			}
			if name != "closed" {
				defer p.Close()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			met := p.Break(Trouble{Delay: time.Hour})
			answered := make(chan error, 1)
			go func() {
				status, err := ask(ctx, t, p.URL())
				if err == nil && status != 404 {
					err = errors.New("not the registry's answer")
				}
				answered <- err
			}()
			<-met.First()
			end(p, cancel)
			if err := <-answered; (err == nil) != (name == "mended") {
				t.Errorf("answered with %v", err)
			}
		})
	}
	if _, err := NewProxy("http://bad host"); err == nil {
		t.Error("an address that is none was taken")
	}
}
