package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/dlq"
)

// deadLetters is a cluster with n dead letters of orders, and one that does not
// tell where it came from.
func deadLetters(t *testing.T, n int, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(1, "orders", "dlq.billing.orders", "empty")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	clientOpts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	if len(opts) > 0 {
		clientOpts = append(clientOpts, kgo.SASL(plain.Auth{User: "judge", Pass: "s3cret"}.AsMechanism()))
	}
	client, err := kgo.NewClient(clientOpts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	letters := []*kgo.Record{{Topic: "dlq.billing.orders", Value: []byte("whose?")}}
	for i := range n {
		header := func(name string, value any) kgo.RecordHeader {
			return kgo.RecordHeader{Key: name, Value: fmt.Append(nil, value)}
		}
		letters = append(letters, &kgo.Record{
			Topic: "dlq.billing.orders", Key: fmt.Appendf(nil, "k%d", i), Value: []byte{0xff, byte(i)},
			Headers: []kgo.RecordHeader{
				header("trace", i), header(consumer.HeaderTopic, "orders"), header(consumer.HeaderPartition, 0), header(consumer.HeaderOffset, i),
				header(consumer.HeaderGroup, "billing"), header(consumer.HeaderMessage, "no such price\x1b[2J"),
				header(consumer.HeaderOriginalHeaders, 1), header(consumer.HeaderCycles, 1), header(consumer.HeaderAttempts, 5),
			},
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := client.ProduceSync(ctx, letters...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return cluster
}

func TestDLQ(t *testing.T) {
	cluster := deadLetters(t, 12)
	at := "--brokers=" + strings.Join(cluster.ListenAddrs(), ",")
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   []string
		not    []string
	}{
		{"list", []string{"list", "dlq.billing.orders"}, 0, []string{
			"dlq.billing.orders/0@0", "from an unknown place", "pending  from orders/0@11  cycle 1  attempts 5  group billing",
			`no such price\x1b[2J`, "key k3  value base64:/wM=", "13 letters",
		}, []string{"\x1b"}},
		{"list some", []string{"list", "dlq.billing.orders", "--topic", "orders", "--offset", "0:3-5,9", "--max", "2"}, 0, []string{"0@3", "0@4", "2 letters, and there are more"}, []string{"0@5 ", "0@9"}},
		{"list none", []string{"list", "dlq.billing.orders", "--since", "0s"}, 0, []string{"no such letters"}, nil},
		{"list an empty topic", []string{"list", "empty"}, 0, []string{"no such letters in empty"}, nil},
		{"dry run", []string{"replay", "dlq.billing.orders", "--dry-run", "--max", "3"}, 0, []string{
			"from orders/0@2  to orders/0", "plan  3 letters of dlq.billing.orders, as group dlq.billing.orders.replay", "to orders: 3", "of partition 0: 3, offsets 1 to 3",
			"they do not tell where they came from (--to sends them): 1, at dlq.billing.orders/0@0",
		}, []string{"sent"}},
		{"no yes", []string{"replay", "dlq.billing.orders"}, 3, []string{"plan  12 letters", "nothing was sent; give --yes"}, nil},
		{"yes", []string{"replay", "dlq.billing.orders", "--yes", "--offset", "3-5"}, 0, []string{"plan  3 letters", "sent  3 letters", "not picked by the filters: 10"}, nil},
		{"pending", []string{"list", "dlq.billing.orders", "--pending"}, 0, []string{"10 letters"}, []string{"0@4 "}},
		{"replayed", []string{"list", "dlq.billing.orders", "--offset", "4"}, 0, []string{"replayed"}, nil},
		{"rest", []string{"replay", "dlq.billing.orders", "--yes"}, 0, []string{"sent  9 letters"}, nil},
		{"nothing", []string{"replay", "dlq.billing.orders", "--yes"}, 0, []string{"plan  0 letters"}, []string{"sent  "}},
		{"unknown topic", []string{"list", "dlq.nobody"}, 3, []string{"dlq.nobody", "there is no such topic"}, nil},
		{"unknown topic", []string{"replay", "dlq.nobody", "--yes"}, 3, []string{"dlq.nobody", "there is no such topic"}, nil},
		{"to nowhere", []string{"replay", "dlq.billing.orders", "--yes", "--to", "nowhere"}, 3, []string{"nowhere", "there is no such topic"}, nil},
	} {
		status, out, stderr := ksim(append(append([]string{"dlq"}, c.args...), at)...)
		if status != c.status {
			t.Errorf("%s: exit status %d, want %d\n%s%s", c.name, status, c.status, out, stderr)
		}
		for _, w := range c.want {
			if !strings.Contains(out+stderr, w) {
				t.Errorf("%s: it does not say %q:\n%s%s", c.name, w, out, stderr)
			}
		}
		for _, w := range c.not {
			if strings.Contains(out+stderr, w) {
				t.Errorf("%s: it says %q:\n%s%s", c.name, w, out, stderr)
			}
		}
	}
}

func TestDLQUsage(t *testing.T) {
	const broker = "--brokers=127.0.0.1:1"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "list, replay"},
		{[]string{"delete"}, "list or replay"},
		{[]string{"list"}, "one dead-letter topic"},
		{[]string{"list", "a", "b"}, "one dead-letter topic"},
		{[]string{"list", ""}, "is empty"},
		{[]string{"list", "a"}, "--brokers"},
		{[]string{"list", "a", broker}, "cannot be reached"},
		{[]string{"list", "a", broker, "--offset", "x"}, "3:7-12"},
		{[]string{"list", "a", broker, "--offset", "9-7"}, "3:7-12"},
		{[]string{"list", "a", broker, "--offset", "p:7"}, `"p" is no partition`},
		{[]string{"list", "a", broker, "--partition", "-1"}, "no partition"},
		{[]string{"list", "a", broker, "--since", "noon"}, "2h for two hours ago"},
		{[]string{"list", "a", broker, "--since", "1h", "--until", "2h"}, "is not before"},
		{[]string{"list", "a", broker, "-o", "xml"}, "text or json"},
		{[]string{"list", "a", broker, "--max", "-1"}, "--max"},
		{[]string{"list", "a", broker, "--value-bytes", "-1"}, "--value-bytes"},
		{[]string{"replay", "a", broker, "--timestamp", "noon"}, "original or now"},
		{[]string{"replay", "a", broker, "--rate", "-1"}, "--rate"},
		{[]string{"replay", "a", broker, "--batch", "0"}, "--batch is 0"},
		{[]string{"replay", "a", broker, "--dry-run", "--yes"}, "exclude each other"},
		{[]string{"replay", "a", broker, "--max-cycle", "1"}, "--max-cycles"},
	} {
		status, out, stderr := ksim(append([]string{"dlq"}, c.args...)...)
		if status != exitFailed || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit status %d, and no %q:\n%s%s", c.args, status, c.want, out, stderr)
		}
	}
}

// Where Kafka is, and how to get in, stands in the config; JSON is one object a line.
func TestDLQFromConfigAsJSON(t *testing.T) {
	cluster := deadLetters(t, 2, kfake.EnableSASL(), kfake.Superuser("PLAIN", "judge", "s3cret"))
	t.Setenv("KSIM_SASL_USERNAME", "judge")
	t.Setenv("KSIM_SASL_PASSWORD", "s3cret")
	config := filepath.Join(t.TempDir(), "ksim.yaml")
	text := "kafka: {brokers: ['" + cluster.ListenAddrs()[0] + "'], sasl: {mechanism: PLAIN}}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, stderr := ksim("dlq", "list", "dlq.billing.orders", "--config", config, "-o", "json", "--value-bytes", "1")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 0 || len(lines) != 3 {
		t.Fatalf("exit status %d\n%s%s", status, out, stderr)
	}
	var first, last letterLine
	for line, to := range map[string]*letterLine{lines[0]: &first, lines[2]: &last} {
		if err := json.Unmarshal([]byte(line), to); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
	}
	if first.Origin != nil || *first.Value.Text != "w" || first.Value.Bytes != 6 || !first.Value.Cut || first.Key != nil {
		t.Errorf("%s", lines[0])
	}
	if last.Origin == nil || *last.Origin.Offset != 1 || last.State != dlq.Pending || *last.Value.Base64 != "/w==" || len(last.Headers) != 1 || last.Headers[0].Key != "trace" {
		t.Errorf("%s", lines[2])
	}
	status, out, stderr = ksim("dlq", "replay", "dlq.billing.orders", "--config", config, "-o", "json", "--yes")
	lines = strings.Split(strings.TrimSpace(out), "\n")
	if status != 0 || len(lines) != 4 || !strings.HasPrefix(lines[0], `{"plan":`) || !strings.HasPrefix(lines[3], `{"sent":{"topic":"dlq.billing.orders"`) || !strings.Contains(lines[1], `"to":{"topic":"orders","partition":0}`) {
		t.Errorf("exit status %d\n%s%s", status, out, stderr)
	}
}

// interruptAfter sends SIGINT to this process when the n-th line is written.
type interruptAfter struct {
	bytes.Buffer
	mu sync.Mutex
	n  int
}

func (w *interruptAfter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n--; w.n == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
	}
	return w.Buffer.Write(p)
}

// Ctrl-C stops a replay between two transactions; it goes on when it is run again.
func TestDLQInterrupted(t *testing.T) {
	cluster := deadLetters(t, 20)
	args := []string{"dlq", "replay", "dlq.billing.orders", "--brokers", cluster.ListenAddrs()[0], "--yes", "-o", "json"}
	out, stderr := &interruptAfter{n: 6}, &bytes.Buffer{} // the plan and five letters
	status := run(append(args, "--rate", "5"), out, stderr)
	if status != exitFailed || !strings.Contains(stderr.String(), "interrupted after 5 of 20 letters; run it again") {
		t.Fatalf("exit status %d\n%s%s", status, out.String(), stderr)
	}
	status, rest, errs := ksim(args...)
	if status != 0 || strings.Count(rest, `"to":`) != 15 {
		t.Errorf("exit status %d\n%s%s", status, rest, errs)
	}
}
