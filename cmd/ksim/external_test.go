package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// A cluster of somebody else's, with SASL: the subject speaks to the tap without
// it, and ksim leaves the cluster as it was.
func TestRunOnAnExternalCluster(t *testing.T) {
	const theirs = "orders-of-somebody-else"
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "judge", "s3cret"),
		kfake.SeedTopics(1, theirs))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	t.Setenv("KSIM_SASL_USERNAME", "judge")
	t.Setenv("KSIM_SASL_PASSWORD", "s3cret")
	config := filepath.Join(t.TempDir(), "ksim.yaml")
	text := "kafka: {brokers: ['" + cluster.ListenAddrs()[0] + "'], prefix: judged-, sasl: {mechanism: PLAIN}}\nsubject: {members: 2}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	status, out, stderr := ksim("run", "--config", config, "--scenario", "steady", "--out", dir)
	if status != exitHeld {
		t.Fatalf("exit status %d\n%s%s", status, out, stderr)
	}
	header, err := os.ReadFile(filepath.Join(dir, "scenarios", "steady", "history.jsonl"))
	if err != nil || !strings.Contains(string(header[:400]), `"topic":"judged-`) {
		t.Errorf("the topic does not have the prefix: %.400s %v", header, err)
	}
	for _, f := range []string{"report.json", "run.json", "report.html"} {
		if text, err := os.ReadFile(filepath.Join(dir, f)); err != nil || strings.Contains(string(text), "s3cret") {
			t.Errorf("%s cannot be read, or holds the password: %v", f, err)
		}
	}
	if left := topics(t, cluster); len(left) != 1 || left[0] != theirs {
		t.Errorf("topics after the run are %v, want those from before it, %s", left, theirs)
	}
}

func topics(t *testing.T, cluster *kfake.Cluster) []string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.SASL(plain.Auth{User: "judge", Pass: "s3cret"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	listed, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return listed.Names()
}
