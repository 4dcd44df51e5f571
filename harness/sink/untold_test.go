package sink

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// raw posts as a client that takes whatever comes.
func (b *bench) raw(ctx context.Context, body string) (status int, text string, err error) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.GetBody = nil
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	read, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(read), err
}

// expectUntold: the effect is done, with a note that nobody was told.
func (b *bench) expectUntold(since int64) {
	b.t.Helper()
	b.expectEvents(since, "started m-1, done m-1")
	if e := b.log.Events(since)[1]; e.Note != "reset" {
		b.t.Errorf("the note is %q, so a repeat has no cause", e.Note)
	}
}

func TestSilence(t *testing.T) {
	b := newBench(t)
	b.add(2)
	a := b.Add(Rule{Times: 1, Action: Silence{}})
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, _, err := b.raw(ctx, body("m-1"))
		gone <- err
	}()
	b.hit(a)
	b.expectUntold(0)
	b.expect(b.post(b.url, body("m-2")), 200, "applied") // others go on
	giveUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the client was answered: %v", err)
	}
	b.expect(b.post(b.url, body("m-1")), 200, "applied")
	if n := b.Applied("m-1"); n != 2 {
		t.Errorf("applied %d times", n)
	}
}

func TestSilenceEnds(t *testing.T) {
	for name, end := range map[string]func(*bench, *Armed){
		"after its time":    nil,
		"released":          func(_ *bench, a *Armed) { a.Release() },
		"with the member":   func(b *bench, _ *Armed) { b.End("m1", 1) },
		"with the sink":     func(b *bench, _ *Armed) { _ = b.Close(context.Background()) },
		"with its own rule": func(_ *bench, a *Armed) { a.Remove() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.add(1)
			act := Silence{For: time.Hour}
			if end == nil {
				act.For = 20 * time.Millisecond
			}
			a := b.Add(Rule{Times: 1, Action: act})
			gone := make(chan error, 1)
			go func() {
				_, _, err := b.raw(t.Context(), body("m-1"))
				gone <- err
			}()
			b.hit(a)
			if end != nil {
				end(b, a)
			}
			select {
			case err := <-gone:
				var op *net.OpError
				if !errors.As(err, &op) && !errors.Is(err, io.EOF) {
					t.Errorf("want a connection that ends without an answer: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the request still waits")
			}
			b.expectUntold(0)
		})
	}
}

func TestBadAnswers(t *testing.T) {
	b := newBench(t)
	b.add(1)
	b.Add(Rule{Times: 1, Action: Garbage{}})
	if status, _, err := b.raw(t.Context(), body("m-1")); err == nil {
		t.Errorf("garbage was taken for an answer: %d", status)
	}
	b.expectEvents(0, "started m-1, refused m-1")
	since := b.log.Last()
	b.Add(Rule{Times: 1, Action: Truncate{}})
	status, text, err := b.raw(t.Context(), body("m-1"))
	if status != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || text == "" {
		t.Errorf("answer %d %q, %v; want the beginning of one", status, text, err)
	}
	b.expectUntold(since)
	b.Add(Rule{Times: 1, Action: Refuse{Status: 500, Error: "panic"}})
	if r := b.post(b.url, body("m-1")); r.code != 500 || r.Error != "panic" {
		t.Errorf("answer %d %s", r.code, r.text)
	}
}

// What would not be applied cannot be applied without an answer: the rule waits for another.
func TestSilenceIsNotForPoison(t *testing.T) {
	b := newBench(t)
	b.record("m-1", 10, "permanent", 0)
	b.record("m-2", 11, "", 0)
	a := b.Add(Rule{Times: 1, Action: Silence{For: time.Millisecond}})
	if r := b.post(b.url, body("m-1")); r.code != 422 || wasHit(a) {
		t.Errorf("answer %d; hit %t", r.code, wasHit(a))
	}
	if _, _, err := b.raw(t.Context(), body("m-2")); err == nil || !wasHit(a) {
		t.Errorf("answered: %v", err)
	}
	b.await(history.EffectDone, 1)
}

// A rule for batches sees no effect that is posted by itself.
func TestRuleForBatches(t *testing.T) {
	b := newBench(t)
	b.add(3)
	a := b.Add(Rule{Batch: true, After: 1, Times: 1, Action: Refuse{Status: 503}})
	for range 2 {
		b.expect(b.post(b.url, body("m-1")), 200, "applied")
	}
	r := b.post(b.url+"/batch", "["+body("m-1")+","+body("m-2")+","+body("m-3")+"]")
	if r.code != 207 || len(r.Results) != 3 || r.Results[1].Status != "unavailable" || r.Results[2].Status != "applied" || a.Hits() != 1 {
		t.Errorf("answer %d %s, %d hits", r.code, r.text, a.Hits())
	}
}
