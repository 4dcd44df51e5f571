package consumer

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	dead := Poison{Policy: PoisonDeadLetter}
	const name = "its name has 1 to 249 letters, digits, dots, underscores and hyphens"
	for want, spoil := range map[string]func(*Config){
		"Brokers: give host:port of at least one broker":                                      func(c *Config) { c.Brokers = nil },
		`Brokers: "" is not host:port`:                                                        func(c *Config) { c.Brokers = []string{"a:1", ""} },
		`Brokers: "a:1,b:1" is not host:port`:                                                 func(c *Config) { c.Brokers = []string{"a:1,b:1"} },
		`Brokers: "kafka://a:1" is not host:port`:                                             func(c *Config) { c.Brokers = []string{"kafka://a:1"} },
		"Topics: give at least one topic":                                                     func(c *Config) { c.Topics = nil },
		`Topics: "" cannot be a topic: ` + name:                                               func(c *Config) { c.Topics = []string{""} },
		`Topics: ".." cannot be a topic: ` + name:                                             func(c *Config) { c.Topics = []string{".."} },
		`Topics: "orders.*" cannot be a topic: ` + name:                                       func(c *Config) { c.Topics = []string{"orders.*"} },
		"Group: give the name of the consumer group":                                          func(c *Config) { c.Group = "" },
		`Protocol: "range" is none of cooperative-sticky, eager, consumer`:                    func(c *Config) { c.Protocol = "range" },
		`Order: "" is none of partition, key, none`:                                           func(c *Config) { c.Order = "" },
		`Start: "now" is none of earliest, latest`:                                            func(c *Config) { c.Start = "now" },
		`Reset: "now" is none of earliest, latest`:                                            func(c *Config) { c.Reset = "now" },
		`Poison.Policy: "ignore" is none of dead-letter, skip, stop`:                          func(c *Config) { c.Poison.Policy = "ignore" },
		`Poison.Topic: "dlq" is set, but the policy is skip`:                                  func(c *Config) { c.Poison = Poison{Policy: PoisonSkip, Topic: "dlq"} },
		"Poison.Topic: t would be its own dead-letter topic":                                  func(c *Config) { c.Poison.Topic = "{topic}" },
		`Poison.Topic: "dlq.team/g.t", for the dead letters of t, cannot be a topic: ` + name: func(c *Config) { c.Group, c.Poison = "team/g", dead },
		`Poison.Topic: "{grp}.t", for the dead letters of t, cannot be a topic: ` + name:      func(c *Config) { c.Poison.Topic = "{grp}.{topic}" },
		"Poison.Headers: [spring] is set, but the policy is stop":                             func(c *Config) { c.Poison.Headers = []HeaderStyle{HeadersSpring} },
		`Poison.Headers: "camel" is none of kip-1191, connect, spring`:                        func(c *Config) { c.Poison = dead; c.Poison.Headers = []HeaderStyle{"camel"} },
		`Poison.Headers: "spring" is there twice`: func(c *Config) {
			c.Poison = dead
			c.Poison.Headers = []HeaderStyle{HeadersSpring, HeadersSpring}
		},
		"BatchSize: 0 is less than 1":                                                         func(c *Config) { c.BatchSize = 0 },
		"BatchWait: -1ns is negative":                                                         func(c *Config) { c.BatchWait = -1 },
		"Concurrency: 0 is less than 1":                                                       func(c *Config) { c.Concurrency = 0 },
		"MaxInFlight: 0 is less than 1":                                                       func(c *Config) { c.MaxInFlight = 0 },
		"MaxInFlight: 99 is less than BatchSize, 100: no batch would ever be full":            func(c *Config) { c.MaxInFlight = 99 },
		"MaxSpan: 1 is less than BatchSize, 100: no batch would ever be full":                 func(c *Config) { c.MaxSpan = 1 },
		"CommitInterval: 0s is not more than 0":                                               func(c *Config) { c.CommitInterval = 0 },
		"CommitTimeout: 0s is not more than 0":                                                func(c *Config) { c.CommitTimeout = 0 },
		"Retry.Attempts: 0 is less than 1":                                                    func(c *Config) { c.Retry.Attempts = 0 },
		"Retry.Initial: 0s is not more than 0":                                                func(c *Config) { c.Retry.Initial = 0 },
		"Retry.Max: 1ms is less than Retry.Initial, 200ms":                                    func(c *Config) { c.Retry.Max = time.Millisecond },
		"Retry.Multiplier: 0.5 is not a number of 1 or more":                                  func(c *Config) { c.Retry.Multiplier = 0.5 },
		"Retry.Multiplier: +Inf is not a number of 1 or more":                                 func(c *Config) { c.Retry.Multiplier = math.Inf(1) },
		"Retry.Jitter: 1.1 is not between 0 and 1":                                            func(c *Config) { c.Retry.Jitter = 1.1 },
		"Retry.Jitter: NaN is not between 0 and 1":                                            func(c *Config) { c.Retry.Jitter = math.NaN() },
		"SessionTimeout: 0s is less than 100ms":                                               func(c *Config) { c.SessionTimeout, c.HeartbeatInterval = 0, -1 },
		"SessionTimeout: -1ns is negative":                                                    func(c *Config) { c.SessionTimeout = -1 },
		"HeartbeatInterval: 0s is not more than 0":                                            func(c *Config) { c.HeartbeatInterval = 0 },
		"HeartbeatInterval: 45s is not less than SessionTimeout, 45s; a third of it is usual": func(c *Config) { c.HeartbeatInterval = c.SessionTimeout },
		"RebalanceTimeout: 0s is less than 100ms":                                             func(c *Config) { c.RebalanceTimeout = 0 },
		"DrainTimeout: 0s is not more than 0":                                                 func(c *Config) { c.DrainTimeout = 0 },
		"DrainTimeout: 1m0s is not less than RebalanceTimeout, 1m0s: the group would throw this member out while it drains": func(c *Config) { c.DrainTimeout = c.RebalanceTimeout },
		"HandlerTimeout: -1ns is negative":                                                                             func(c *Config) { c.HandlerTimeout = -1 },
		"StallTimeout: 30s is not more than HandlerTimeout, 30s":                                                       func(c *Config) { c.StallTimeout = c.HandlerTimeout },
		"ShutdownTimeout: 0s is not more than 0":                                                                       func(c *Config) { c.ShutdownTimeout = 0 },
		"FetchMaxBytes: 0 is less than 1":                                                                              func(c *Config) { c.FetchMaxBytes = 0 },
		"FetchMaxBytes: 1073741825 is more than 1073741824":                                                            func(c *Config) { c.FetchMaxBytes = 1<<30 + 1 },
		"FetchMaxPartitionBytes: -1 is less than 1":                                                                    func(c *Config) { c.FetchMaxPartitionBytes = -1 },
		"Offsets: a store keeps one position for each partition, so Order must be partition, not key":                  func(c *Config) { c.Offsets, c.Order = struct{ OffsetStore }{}, OrderKey },
		"TLS.Enabled: it is false, but other fields of TLS are set: connections would not be encrypted":                func(c *Config) { c.TLS.CAFile = "ca.pem" },
		"TLS.KeyFile: give the key of TLS.CertFile, c.pem":                                                             func(c *Config) { c.TLS = TLS{Enabled: true, CertFile: "c.pem"} },
		"TLS.CertFile: give the certificate of TLS.KeyFile, k.pem":                                                     func(c *Config) { c.TLS = TLS{Enabled: true, KeyFile: "k.pem"} },
		"SASL.Mechanism: it is empty, but other fields of SASL are set: give PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512":    func(c *Config) { c.SASL.User = "me" },
		`SASL.Mechanism: "plain" is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512`:                                       func(c *Config) { c.SASL = SASL{Mechanism: "plain", User: "me", PasswordEnv: "P"} },
		"SASL.User: give the name of the user":                                                                         func(c *Config) { c.SASL = SASL{Mechanism: SASLPlain, PasswordEnv: "P"} },
		"SASL.PasswordEnv: say where the password is: SASL.PasswordEnv or SASL.PasswordFile, or SASL.Password in code": func(c *Config) { c.SASL = SASL{Mechanism: SASLPlain, User: "me"} },
		"SASL.PasswordEnv: give only one of SASL.Password, SASL.PasswordEnv and SASL.PasswordFile":                     func(c *Config) { c.SASL = SASL{Mechanism: SASLPlain, User: "me", PasswordEnv: "P", PasswordFile: "p"} },
	} {
		cfg := testConfig()
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !slices.Contains(strings.Split(err.Error(), "\n"), "consumer: "+want) {
			t.Errorf("want %s\ngot  %v", want, err)
		}
	}
	for _, fine := range []func(*Config){
		func(c *Config) { c.Brokers = []string{"a", "a_b.c-d:9092", "[::1]:9092", "127.0.0.1:1"} },
		func(c *Config) { c.Protocol, c.SessionTimeout, c.HeartbeatInterval = ProtocolConsumer, 0, 0 },
		func(c *Config) { c.StallTimeout, c.HandlerTimeout = 0, 0 },
		func(c *Config) { c.Group, c.Poison.Topic = "team/g", "dlq.{topic}" },
		func(c *Config) { c.SASL = SASL{Mechanism: SASLScram256, User: "me", Password: NewSecret("p")} },
	} {
		cfg := testConfig()
		fine(&cfg)
		if err := cfg.Validate(); err != nil {
			t.Error(err)
		}
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
