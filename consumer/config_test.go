package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestValidate(t *testing.T) {
	if err := testConfig().Validate(); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	if err := (Config{}).Validate(); err == nil || len(strings.Split(err.Error(), "\n")) < 15 {
		t.Fatalf("the zero value: %v", err)
	}
	for field, spoil := range map[string]func(*Config){
		"Brokers":           func(c *Config) { c.Brokers = []string{"a:1", ""} },
		"Topics":            func(c *Config) { c.Topics = nil },
		"Group":             func(c *Config) { c.Group = "" },
		"Protocol":          func(c *Config) { c.Protocol = "range" },
		"Order":             func(c *Config) { c.Order = "" },
		"Start":             func(c *Config) { c.Start = "now" },
		"Reset":             func(c *Config) { c.Reset = "now" },
		"Poison.Policy":     func(c *Config) { c.Poison.Policy = "ignore" },
		"Poison.Topic":      func(c *Config) { c.Poison = Poison{PoisonSkip, "dlq"} },
		"BatchSize":         func(c *Config) { c.BatchSize = 0 },
		"BatchWait":         func(c *Config) { c.BatchWait = -1 },
		"Concurrency":       func(c *Config) { c.Concurrency = 0 },
		"MaxInFlight":       func(c *Config) { c.MaxInFlight = c.BatchSize - 1 },
		"MaxSpan":           func(c *Config) { c.MaxSpan = 1 },
		"CommitInterval":    func(c *Config) { c.CommitInterval = 0 },
		"CommitTimeout":     func(c *Config) { c.CommitTimeout = 0 },
		"Retry.Attempts":    func(c *Config) { c.Retry.Attempts = 0 },
		"Retry.Initial":     func(c *Config) { c.Retry.Initial = 0 },
		"Retry.Max":         func(c *Config) { c.Retry.Max = time.Millisecond },
		"Retry.Multiplier":  func(c *Config) { c.Retry.Multiplier = 0.5 },
		"Retry.Jitter":      func(c *Config) { c.Retry.Jitter = 1.1 },
		"SessionTimeout":    func(c *Config) { c.SessionTimeout, c.HeartbeatInterval = 0, -1 },
		"HeartbeatInterval": func(c *Config) { c.HeartbeatInterval = c.SessionTimeout },
		"RebalanceTimeout":  func(c *Config) { c.RebalanceTimeout = 0 },
		"DrainTimeout":      func(c *Config) { c.DrainTimeout = c.RebalanceTimeout },
		"HandlerTimeout":    func(c *Config) { c.HandlerTimeout = -1 },
		"StallTimeout":      func(c *Config) { c.StallTimeout = c.HandlerTimeout },
		"LagInterval":       func(c *Config) { c.LagInterval = -1 },
		"HealthTimeout":     func(c *Config) { c.HealthTimeout = 0 },
		"ShutdownTimeout":   func(c *Config) { c.ShutdownTimeout = 0 },
		"FetchMaxBytes":     func(c *Config) { c.FetchMaxBytes = 0 },
	} {
		cfg := testConfig()
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "consumer: "+field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
	loop := testConfig()
	loop.Poison.Topic = "{topic}"
	if err := loop.Validate(); err == nil {
		t.Error("a topic may be its own dead-letter topic")
	}
	if _, err := New(testConfig(), nil); err == nil {
		t.Error("no handler is needed")
	}
}

func TestPoisonDefaults(t *testing.T) {
	cfg := testConfig()
	if got := cfg.Poison.policy(); got != PoisonStop {
		t.Errorf("nothing set: %s", got)
	}
	cfg.Poison.Topic = "x"
	if got := cfg.Poison.policy(); got != PoisonDeadLetter || cfg.deadLetterTopic("t") != "x" {
		t.Errorf("a topic set: %s", got)
	}
	cfg.Poison = Poison{Policy: PoisonDeadLetter}
	if got := cfg.deadLetterTopic("t"); got != "dlq.g.t" {
		t.Errorf("the policy set: %s", got)
	}
}

func TestRead(t *testing.T) {
	e := errors.New("e")
	for name, c := range map[string]struct {
		err   error
		want  []fate
		after time.Duration
	}{
		"nil":         {nil, []fate{fateDone, fateDone, fateDone}, 0},
		"plain":       {e, []fate{fateFailed, fateFailed, fateFailed}, 0},
		"permanent":   {Permanent(e), []fate{fateIsolate, fateIsolate, fateIsolate}, 0},
		"unavailable": {fmt.Errorf("x: %w", Unavailable(e)), []fate{fateUnavailable, fateUnavailable, fateUnavailable}, 0},
		"failed at":   {FailedAt(1, e), []fate{fateDone, fateFailed, fateUntried}, 0},
		"poison at":   {fmt.Errorf("x: %w", FailedAt(1, Permanent(e))), []fate{fateDone, fatePoison, fateUntried}, 0},
		"later":       {FailedAt(0, RetryAfter(e, time.Second)), []fate{fateFailed, fateUntried, fateUntried}, time.Second},
		"stopped":     {FailedAt(2, ErrStopped), []fate{fateDone, fateDone, fateUntried}, 0},
		"failed":      {Failed(map[int]error{0: Permanent(e), 2: RetryAfter(e, 2)}), []fate{fatePoison, fateDone, fateFailed}, 2},
		"none failed": {Failed(nil), []fate{fateDone, fateDone, fateDone}, 0},
		"outside":     {FailedAt(3, e), []fate{fateFailed, fateFailed, fateFailed}, 0},
		"outside too": {Failed(map[int]error{-1: e}), []fate{fateFailed, fateFailed, fateFailed}, 0},
		"no reason":   {FailedAt(2, nil), []fate{fateDone, fateDone, fateFailed}, 0},
	} {
		v := read(c.err, 3)
		if !slices.Equal(v.fates, c.want) || v.after != c.after || v.fatal != nil {
			t.Errorf("%s: %v after %v", name, v.fates, v.after)
		}
	}
	for _, err := range []error{Fatal(e), FailedAt(1, Fatal(e)), Failed(map[int]error{1: Fatal(e)})} {
		if v := read(err, 3); !errors.Is(v.fatal, e) {
			t.Errorf("%v: fatal is %v", err, v.fatal)
		}
	}
	if Permanent(nil) != nil || Fatal(nil) != nil || RetryAfter(nil, 1) != nil || Unavailable(nil) != nil {
		t.Error("a wrapped nil is an error")
	}
}

// A panic is a failed attempt, and a bare Permanent for a batch ends only the
// record that deserves it.
func TestOneBadRecordInABatch(t *testing.T) {
	for _, order := range []Order{OrderPartition, OrderKey, Unordered} {
		for name, handler := range map[string]Handler{
			"panic": func(_ context.Context, b Batch) error {
				for _, r := range b.Records {
					if r.Offset == 7 {
						panic("bad record")
					}
				}
				return nil
			},
			"permanent": func(_ context.Context, b Batch) error {
				for _, r := range b.Records {
					if r.Offset == 7 {
						return Permanent(errors.New("bad record"))
					}
				}
				return nil
			},
		} {
			cfg := testConfig()
			cfg.Order, cfg.Retry.Initial, cfg.Retry.Max = order, 1, 1
			cfg.Poison.Policy = PoisonSkip
			buried := make(chan int64, 20)
			cfg.Hooks.OnPoison = func(r *kgo.Record, _ int, _ error, _ PoisonPolicy) { buried <- r.Offset }
			p, e, _ := testPartition(&cfg, handler)
			if err := p.deliver(records(0, 20, "k")); err != nil {
				t.Fatal(err)
			}
			if got := <-buried; got != 7 {
				t.Errorf("%s, %s: %d was buried", name, order, got)
			}
			for {
				p.mu.Lock()
				left := p.pending
				p.mu.Unlock()
				if left == 0 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			<-e.pool.wait()
			if len(buried) != 0 {
				t.Errorf("%s, %s: %d was buried too", name, order, <-buried)
			}
			p.fence(errShutdown)
		}
	}
}

func TestDeadLetterCycles(t *testing.T) {
	cfg := testConfig()
	r := &kgo.Record{Topic: "t", Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: HeaderCycles, Value: []byte("2")}}}
	got := deadLetter(&cfg, &entry{rec: r}, errors.New("bad \xff"), time.Now())
	last := map[string]string{}
	for _, h := range got.Headers {
		last[h.Key] = string(h.Value)
	}
	if string(got.Headers[0].Value) != "2" || last[HeaderCycles] != "3" || last[HeaderMessage] != "bad �" || len(r.Headers) != 1 {
		t.Errorf("%v", last)
	}
	if got.Key != nil || clip("aé", 2) != "a" {
		t.Error("a nil key became one, or a character was cut in two")
	}
}
