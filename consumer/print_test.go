package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// drawConfig makes any valid configuration that a file can hold.
func drawConfig(t *rapid.T) Config {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	span := func(label string, least, most time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(int64(least), int64(most)).Draw(t, label))
	}
	count := func(label string, least, most int) int { return rapid.IntRange(least, most).Draw(t, label) }
	topic := rapid.StringMatching(`[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,40}`)
	c := Config{
		Brokers:  rapid.SliceOfN(rapid.StringMatching(`[a-z0-9.-]{1,20}(:[0-9]{1,5})?`), 1, 3).Draw(t, "brokers"),
		Topics:   rapid.SliceOfN(topic, 1, 3).Draw(t, "topics"),
		Group:    rapid.StringN(1, 20, -1).Draw(t, "group"),
		ClientID: rapid.String().Draw(t, "client id"), InstanceID: rapid.String().Draw(t, "instance id"),
		Protocol: Protocol(pick("protocol", "cooperative-sticky", "eager", "consumer")),
		Order:    Order(pick("order", "partition", "key", "none")),
		Start:    Position(pick("start", "earliest", "latest")), Reset: Position(pick("reset", "earliest", "latest")),
		BatchSize: count("batch size", 1, 1e6), BatchWait: span("batch wait", 0, time.Hour), Concurrency: count("concurrency", 1, 1e4),
		CommitInterval: span("commit interval", 1, time.Hour), CommitEachBatch: rapid.Bool().Draw(t, "each"),
		SessionTimeout: span("session", time.Second, time.Hour), RebalanceTimeout: span("rebalance", time.Second, time.Hour),
		HandlerTimeout: span("handler", 0, time.Hour), ShutdownTimeout: span("shutdown", 1, time.Hour), CommitTimeout: span("commit", 1, time.Hour),
		FetchMaxBytes: rapid.Int32Range(1, 1<<30).Draw(t, "fetch"), FetchMaxPartitionBytes: rapid.Int32Range(1, 1<<30).Draw(t, "fetch partition"),
	}
	c.LagInterval, c.HealthTimeout = span("lag", 0, time.Hour), span("health", 1, time.Hour)
	c.TransactionTimeout = span("transaction", 1, time.Hour)
	if rapid.Bool().Draw(t, "transactions") {
		c.TransactionalID = rapid.StringN(1, 20, -1).Draw(t, "transactional id")
		c.TransactionTimeout += c.HandlerTimeout * 2
	}
	c.MaxInFlight, c.MaxSpan = count("in flight", c.BatchSize, 1e7), count("span", c.BatchSize, 1e7)
	c.HeartbeatInterval, c.DrainTimeout = span("heartbeat", 1, c.SessionTimeout-1), span("drain", 1, c.RebalanceTimeout-1)
	c.StallTimeout = rapid.SampledFrom([]time.Duration{0, c.HandlerTimeout + time.Second}).Draw(t, "stall")
	c.Retry = Retry{Attempts: count("attempts", 1, 100), Initial: span("initial", 1, time.Minute), Multiplier: rapid.Float64Range(1, 1e6).Draw(t, "multiplier"), Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter")}
	c.Retry.Max = c.Retry.Initial + span("max", 0, time.Hour)
	c.Poison.Policy = PoisonPolicy(pick("poison", "", "dead-letter", "skip", "stop"))
	if c.Poison.Policy == PoisonDeadLetter {
		c.Poison.Topic = rapid.StringMatching(`[a-z]{1,5}\.dead\.\{topic\}`).Draw(t, "dead letters")
		c.Poison.Headers = rapid.SliceOfNDistinct(rapid.SampledFrom([]HeaderStyle{HeadersKIP1191, HeadersConnect, HeadersSpring}), 1, 3, rapid.ID).Draw(t, "headers")
	}
	if rapid.Bool().Draw(t, "tls") {
		c.TLS = TLS{Enabled: true, CAFile: rapid.String().Draw(t, "ca"), ServerName: rapid.String().Draw(t, "server")}
	}
	if c.SASL.Mechanism = SASLMechanism(pick("sasl", "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")); c.SASL.Mechanism != "" {
		c.SASL.User, c.SASL.PasswordFile = rapid.StringN(1, 10, -1).Draw(t, "user"), rapid.StringN(1, 10, -1).Draw(t, "file")
	}
	return c
}

// What is printed is read back as the same configuration, with comments and without.
func TestPrintedIsReadAgain(t *testing.T) {
	schema := compileSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		want := drawConfig(t)
		if err := want.Validate(); err != nil {
			t.Skip(err) // a topic that is its own dead-letter topic, for example
		}
		text, err := want.YAML()
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(text), want.String()} {
			got, err := ParseConfig([]byte(text))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%v\n%s", err, text)
			}
			var value any
			if err := yaml.Unmarshal([]byte(text), &value); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Fatalf("against the schema: %v\n%s", err, text)
			}
		}
	})
}

func TestPrint(t *testing.T) {
	cfg := testConfig()
	cfg.ClientOpts = []kgo.Opt{kgo.ClientID("x")}
	cfg.Hooks.OnResume = func(string, int32) {}
	cfg.SASL = SASL{Mechanism: SASLPlain, User: "me", Password: NewSecret("hunter2")}
	cfg.Group, cfg.FetchMaxBytes, cfg.RebalanceTimeout = "${HOME}", 1000, 90*time.Minute
	text, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"brokers: ['127.0.0.1:1']\n", "group: $${HOME}\n", "fetch-max-bytes: 1000\n", "fetch-max-partition-bytes: 1MiB\n", "rebalance-timeout: 1h30m\n", "  multiplier: 2\n",
		"# what is handled one batch at a time: each partition, each key of it, or nothing: partition, key, none\norder: partition\n",
		"sasl:\n  # how this client proves who it is: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512\n  mechanism: PLAIN\n",
		"\n# Set in code: ClientOpts, Hooks, Logger, SASL.Password\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	// Where the password is cannot be told, so nobody takes the text for complete.
	if _, err := ParseConfig(text); err == nil || !strings.Contains(err.Error(), "say where the password is") {
		t.Errorf("%v", err)
	}
	cfg.Group = "a\xff"
	if _, err := cfg.YAML(); err == nil || !strings.Contains(cfg.String(), "Group: \"a\\xff\" is not UTF-8") {
		t.Errorf("%v, %s", err, cfg)
	}
	if text := (Config{}).String(); !strings.Contains(text, "batch-size: 0") {
		t.Errorf("the zero value: %s", text)
	}
}

// There is no way of printing that shows a secret.
func TestSecret(t *testing.T) {
	type pair struct {
		Seen   Secret
		unseen Secret
	}
	s := NewSecret("hunter2")
	cfg := testConfig()
	cfg.SASL = SASL{Mechanism: SASLPlain, User: "me", Password: s}
	c, err := New(cfg, func(context.Context, Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := pair{s, s}
	for _, v := range []any{s, &s, p, &p, []Secret{s}, map[string]Secret{"a": s}, cfg.SASL, cfg, &cfg, c, errors.Join(cfg.Validate(), fmt.Errorf("%v", s))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("x", "v", v)
		}
	}
	for _, v := range []any{s, p, cfg.SASL, []Secret{s}} {
		asJSON, err := json.Marshal(v)
		asYAML, err2 := yaml.Marshal(v)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		out.Write(append(asJSON, asYAML...))
	}
	text, _ := cfg.YAML()
	out.Write(text)
	for _, shown := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), "104 117 110 116"} {
		if strings.Contains(out.String(), shown) {
			t.Errorf("the secret is shown: %s", out.String())
		}
	}
	if !strings.Contains(out.String(), "[secret]") || s.Reveal() != "hunter2" || !NewSecret("").IsZero() || (Secret{}).Reveal() != "" || (Secret{}).String() != "" {
		t.Errorf("%v %v", s, out.String())
	}
}
