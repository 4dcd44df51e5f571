package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeSession stands for a session that has nothing.
type fakeSession struct{}

func (fakeSession) all() []*partition         { return nil }
func (fakeSession) identity() (string, int32) { return "m-1", 3 }

// patient is a consumer that runs in fact: its loops turn, brokers answer.
type patient struct {
	*testing.T
	c interface{ Health() Health }
	v *vitals
}

// alive lets d pass while all that should turn turns, apart from what is said to
// stand still.
func (p *patient) alive(d time.Duration, but ...string) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		if !slices.Contains(but, "poll") {
			p.v.pollTurned()
		}
		if !slices.Contains(but, "commit") {
			p.v.commitTurned()
		}
		if !slices.Contains(but, "brokers") {
			pulse{p.v}.OnBrokerE2E(kgo.BrokerMetadata{}, 0, kgo.BrokerE2E{})
		}
		pulse{p.v}.OnBrokerE2E(kgo.BrokerMetadata{}, 0, kgo.BrokerE2E{ReadErr: errors.New("down")})
	}
}

// want checks that the consumer fails by these checks and no others.
func (p *patient) want(live, ready bool, failed ...string) {
	p.Helper()
	h := p.c.Health()
	var got []string
	for _, c := range h.Checks {
		if !c.OK {
			got = append(got, c.Name)
		}
		if c.OK != (c.Reason == "") || strings.Contains(c.Reason, "\n") {
			p.Errorf("%+v", c)
		}
	}
	if h.Live != live || h.Ready != ready || !slices.Equal(got, failed) {
		p.Errorf("live %v, ready %v, failed %v, want %v %v %v: %v", h.Live, h.Ready, got, live, ready, failed, h.Reasons(true))
	}
}

type consumerPatient struct {
	patient
	consumer *Consumer
}

const tick = 2 * time.Second // more than the second between two turns

// The rules of Health, case by case.
func TestHealth(t *testing.T) {
	boom := errors.New("boom\nand more")
	for name, run := range map[string]func(p *consumerPatient, cfg Config){
		"new": func(p *consumerPatient, _ Config) {
			fresh, err := New(testConfig(), func(context.Context, Batch) error { return nil })
			if err != nil {
				p.Fatal(err)
			}
			p.c = fresh
			p.want(true, false, "shutdown")
			if s := fresh.Status(); s.State != StateNew || s.Generation != -1 || s.Member != "" || s.Group != "g" {
				p.Errorf("%+v", s)
			}
		},
		"without partitions": func(p *consumerPatient, _ Config) { p.want(true, true) },
		"idle for long": func(p *consumerPatient, _ Config) {
			p.alive(24 * time.Hour)
			p.want(true, true)
		},
		"an ordinary rebalance": func(p *consumerPatient, cfg Config) {
			pulse{p.v}.OnBrokerWrite(kgo.BrokerMetadata{}, int16(kmsg.JoinGroup), 1, 0, 0, nil)
			p.alive(cfg.RebalanceTimeout)
			p.want(true, true)
			if s := p.consumer.Status(); s.State != StateRunning || s.Rebalancing.IsZero() {
				p.Errorf("%+v", s)
			}
			p.alive(cfg.HealthTimeout + tick)
			p.want(true, false, "group")
			if took := p.v.joined(); took < cfg.RebalanceTimeout {
				p.Errorf("it took %v", took)
			}
			p.want(true, true)
		},
		"a rebalance in which nothing else is asked": func(p *consumerPatient, cfg Config) {
			p.v.rebalancing()
			p.alive(cfg.RebalanceTimeout, "brokers")
			p.want(true, true)
			p.alive(cfg.HealthTimeout+cfg.HeartbeatInterval+tick, "brokers")
			p.want(true, false, "group", "brokers")
		},
		"commits wait for a rebalance": func(p *consumerPatient, cfg Config) {
			p.v.rebalancing()
			p.v.commitEnded(errHeldUp)
			p.alive(cfg.HealthTimeout + tick)
			p.want(true, true)
			p.v.joined()
			p.want(true, true)
		},
		"commits wait for nothing": func(p *consumerPatient, cfg Config) {
			p.v.commitEnded(errHeldUp)
			p.alive(cfg.HealthTimeout + tick)
			p.want(true, false, "commits")
		},
		"a drain": func(p *consumerPatient, cfg Config) {
			end := p.v.callbacks()
			p.alive(cfg.DrainTimeout+cfg.HealthTimeout-tick, "poll")
			p.want(true, true)
			end()
			p.alive(cfg.HealthTimeout-tick, "poll")
			p.want(true, true)
		},
		"a callback that blocks": func(p *consumerPatient, cfg Config) {
			p.v.callbacks()
			p.alive(cfg.DrainTimeout+cfg.HealthTimeout+tick, "poll")
			p.want(false, false, "poll-loop")
		},
		"a poll loop that does not turn": func(p *consumerPatient, cfg Config) {
			p.alive(cfg.HealthTimeout-tick, "poll")
			p.want(true, true)
			p.alive(2*tick, "poll")
			p.want(false, false, "poll-loop")
			p.v.pollTurned()
			p.want(true, true)
		},
		"a commit loop that does not turn": func(p *consumerPatient, cfg Config) {
			p.alive(cfg.HealthTimeout, "commit")
			p.want(true, true)
			p.alive(cfg.CommitInterval+maxCommitPause+2*tick, "commit")
			p.want(false, false, "commit-loop")
		},
		"a commit without an answer": func(p *consumerPatient, cfg Config) {
			answered := p.v.commitSent()
			p.alive(cfg.HealthTimeout+cfg.CommitTimeout-tick, "commit")
			p.want(true, true)
			p.alive(time.Hour, "commit")
			p.want(true, false, "commits")
			if answered() < time.Hour {
				p.Error("it took no time")
			}
			p.v.commitTurned()
			p.want(true, true)
		},
		"commits that fail": func(p *consumerPatient, cfg Config) {
			p.v.commitEnded(boom)
			p.alive(cfg.HealthTimeout - tick)
			p.v.commitEnded(boom)
			p.want(true, true)
			p.alive(2 * tick)
			p.want(true, false, "commits")
			p.v.commitEnded(nil)
			p.want(true, true)
		},
		"brokers are away": func(p *consumerPatient, cfg Config) {
			p.alive(cfg.HealthTimeout+cfg.HeartbeatInterval-tick, "brokers")
			p.want(true, true)
			p.alive(24*time.Hour, "brokers")
			p.want(true, false, "brokers")
			p.alive(tick)
			p.want(true, true)
		},
		"thrown out": func(p *consumerPatient, _ Config) {
			p.v.lost(errLost)
			p.alive(time.Hour)
			p.want(true, false, "group")
			p.v.joined()
			p.want(true, true)
		},
		"joins again from scratch": func(p *consumerPatient, _ Config) {
			p.v.leaving(&rejoinError{boom})
			p.v.exit()
			p.alive(time.Hour, "poll", "commit")
			p.want(true, false, "group")
			if s := p.consumer.Status(); s.State != StateJoining || !errors.Is(s.Err, boom) || s.Member != "" {
				p.Errorf("%+v", s)
			}
			p.v.enter(fakeSession{})
			p.v.joined()
			p.want(true, true)
		},
		"a handler that stalls": func(p *consumerPatient, cfg Config) {
			part, _, _ := testPartition(&cfg, nil)
			part.owner = &fakeOwner{}
			end := p.consumer.e.watch(&task{part: part, lane: part.main, entries: []*entry{{rec: records(7, 1, "")[0]}}})
			p.alive(cfg.StallTimeout - tick)
			p.want(true, true)
			if s := p.consumer.Status(); s.Calls.Running != 1 || s.Calls.Oldest < cfg.StallTimeout-2*tick || s.Calls.Stalled != 0 {
				p.Errorf("%+v", s.Calls)
			}
			p.alive(2 * tick)
			p.want(false, false, "handlers")
			if s := p.consumer.Status(); s.Calls.Stalled != 1 || s.Calls.StalledAt != (RecordID{"t", 0, 7}) {
				p.Errorf("%+v", s.Calls)
			}
			p.v.leaving(ErrStalled)
			p.v.end(ErrStalled)
			p.want(false, false, "run", "handlers", "shutdown")
			end()
			p.want(false, false, "run", "shutdown")
		},
		"shutting down": func(p *consumerPatient, cfg Config) {
			p.v.leaving(nil)
			p.alive(cfg.ShutdownTimeout, "poll", "commit", "brokers")
			p.want(true, false, "shutdown")
			p.v.lost(errLost) // no state goes back
			p.v.joined()
			p.want(true, false, "shutdown")
			p.alive(cfg.HealthTimeout + tick)
			p.want(false, false, "run", "shutdown")
		},
		"stopped": func(p *consumerPatient, _ Config) {
			p.v.leaving(nil)
			p.v.exit()
			p.v.end(nil)
			p.alive(time.Hour, "poll", "commit", "brokers")
			p.want(true, false, "shutdown")
		},
		"failed": func(p *consumerPatient, _ Config) {
			p.v.end(boom)
			p.want(false, false, "run", "shutdown")
			if s := p.consumer.Status(); s.State != StateFailed || !errors.Is(s.Err, boom) {
				p.Errorf("%+v", s)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testConfig()
				c, err := New(cfg, func(context.Context, Batch) error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				p := &consumerPatient{patient{t, c, &c.e.vitals}, c}
				p.v.begin()
				p.want(true, false, "group")
				p.v.enter(fakeSession{})
				p.v.commitTurned()
				p.alive(time.Minute)
				p.want(true, false, "group")
				p.v.joined()
				if s := c.Status(); s.State != StateRunning || s.Member != "m-1" || s.Generation != 3 {
					t.Errorf("%+v", s)
				}
				run(p, cfg)
			})
		})
	}
}

func TestHealthHandler(t *testing.T) {
	c, err := New(testConfig(), func(context.Context, Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, url, accept string) (int, string, http.Header) {
		r := httptest.NewRequest(method, url, nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		c.HealthHandler().ServeHTTP(w, r)
		return w.Code, w.Body.String(), w.Header()
	}
	all := "[+]run ok\n[+]handlers ok\n[+]poll-loop ok\n[+]commit-loop ok\n"
	c.e.vitals.begin()
	c.e.vitals.since = time.Now().Add(-90 * time.Second)
	check := func(url string, code int, body string) {
		t.Helper()
		if gotCode, got, header := ask("GET", url, "*/*"); gotCode != code || got != body || !strings.HasPrefix(header.Get("Content-Type"), "text/plain") || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q %v", url, gotCode, got, header)
		}
	}
	check("/livez", 200, "ok\n")
	check("/livez?verbose", 200, all+"livez check passed (joining)\n")
	check("/readyz", 503, "group: joining for 1m30s\n")
	check("/readyz?verbose", 503, all+"[-]group failed: joining for 1m30s\n[+]shutdown ok\n[+]commits ok\n[+]brokers ok\nreadyz check failed (joining)\n")
	c.e.vitals.enter(fakeSession{})
	c.e.vitals.joined()
	check("/readyz", 200, "ok\n")
	c.e.vitals.end(fmt.Errorf("two\nlines"))
	if code, body, _ := ask("GET", "/livez", "text/plain"); code != 503 || body != "run: Run has returned: two; lines\n" {
		t.Errorf("%d %q", code, body)
	}
	code, body, header := ask("GET", "/readyz", "application/json")
	var h Health
	if err := json.Unmarshal([]byte(body), &h); err != nil || code != 503 || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %q %v", code, body, err)
	}
	if h.Live || h.Ready || h.State != StateFailed || len(h.Checks) != 8 || h.Checks[0].Reason == "" || !h.Checks[0].Liveness {
		t.Errorf("%+v", h)
	}
	if code, _, _ := ask("HEAD", "/readyz", ""); code != 503 {
		t.Errorf("HEAD: %d", code)
	}
	if code, _, _ := ask("POST", "/livez", ""); code != 405 {
		t.Errorf("POST: %d", code)
	}
	if code, _, _ := ask("GET", "/", ""); code != 404 {
		t.Errorf("/: %d", code)
	}
}
