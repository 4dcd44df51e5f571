package reference

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ksim-dev/ksim/harness/subject"
)

// Where it is told an address it serves its lag there, from its start to its end.
func TestExporter(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "t"), kfake.SeedTopics(1, "dead"), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	fill(t, cluster)
	d := &downstream{applied: map[string]int{}, asked: map[string]int{}, times: map[string][]time.Time{}}
	server := httptest.NewServer(d)
	defer server.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, subject.Env{
			BootstrapServers: cluster.ListenAddrs()[0], Topic: "t", GroupID: "g", Member: "m1", GroupProtocol: "classic", SessionTimeout: 3 * time.Second,
			MaxPollInterval: 3 * time.Second, BatchSize: 10, MaxAttempts: 5, DLQTopic: "dead", SinkURL: server.URL + "/effects/m1/1", MetricsAddr: addr,
		})
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	page := ""
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(page, `kafka_consumergroup_lag{consumergroup="g",partition="1",topic="t"} 0`); {
		if time.Now().After(deadline) {
			t.Fatalf("no lag of 0 in\n%s", page)
		}
		time.Sleep(20 * time.Millisecond)
		if resp, err := client.Get("http://" + addr + "/metrics"); err == nil {
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			page = string(body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get("http://" + addr + "/metrics"); err == nil {
		t.Error("it still serves metrics")
	}
}
