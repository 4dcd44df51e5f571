package observe

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

const page = `# HELP kafka_consumergroup_lag Lag.
# TYPE kafka_consumergroup_lag gauge
kafka_consumergroup_lag{consumergroup="billing",topic="orders",partition="0"} %d
kafka_consumergroup_lag{consumergroup="billing",topic="orders",partition="1"} 2.5e+01
kafka_consumergroup_lag{consumergroup="another",topic="orders",partition="2"} 9
kafka_consumergroup_lag{consumergroup="billing",topic="other",partition="0"} 9
kafka_consumergroup_lag{consumergroup="billing",topic="orders"} 34
kafka_consumergroup_lag{consumergroup="billing",topic="orders",partition="3"} NaN
some_other_metric 1
`

func startMetrics(t *testing.T, log *history.Log, targets ...Target) {
	t.Helper()
	m, err := StartMetrics(MetricsConfig{
		Log: log, Metric: "kafka_consumergroup_lag", Topic: mainTopic, Group: group, Interval: 20 * time.Millisecond,
		Targets: func() []Target { return targets },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
}

func await(t *testing.T, log *history.Log, what string, match func(history.Event) bool) history.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	e, err := log.Await(ctx, 0, match)
	if err != nil {
		t.Fatalf("%s: %v; have %+v", what, err, log.Events(0))
	}
	return e
}

// Each look at each member is written down; the member that does not answer holds nobody up.
func TestMetrics(t *testing.T) {
	var lag atomic.Int64
	lag.Store(7)
	live := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, page, lag.Load()) }))
	defer live.Close()
	hang := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer stuck.Close()
	defer close(hang)
	log := history.NewMemory(history.Header{Topic: mainTopic})
	startMetrics(t, log,
		Target{Member: "m1", Incarnation: 2, Addr: strings.TrimPrefix(live.URL, "http://")},
		Target{Member: "m2", Incarnation: 1, Addr: strings.TrimPrefix(stuck.URL, "http://")},
		Target{Member: "m3", Incarnation: 1, Addr: "127.0.0.1:1"})
	await(t, log, "the first value", func(e history.Event) bool {
		return e.Kind == history.LagReported && e.Member == "m1" && e.Incarnation == 2 && e.Partition == 0 && e.Offset == 7 && e.Topic == mainTopic && e.Due > 0 && e.Due <= e.At
	})
	await(t, log, "an exponent", func(e history.Event) bool {
		return e.Kind == history.LagReported && e.Partition == 1 && e.Offset == 25
	})
	await(t, log, "no number", func(e history.Event) bool {
		return e.Kind == history.LagReported && e.Partition == 3 && e.Offset == -1
	})
	lag.Store(3)
	await(t, log, "the next value", func(e history.Event) bool {
		return e.Kind == history.LagReported && e.Partition == 0 && e.Offset == 3
	})
	await(t, log, "that m1 could be read", func(e history.Event) bool {
		return e.Kind == history.Scraped && e.Member == "m1" && e.Size == 3 && e.Error == ""
	})
	await(t, log, "that m3 refuses", func(e history.Event) bool {
		return e.Kind == history.Scraped && e.Member == "m3" && strings.Contains(e.Error, "refused")
	})
	await(t, log, "that m2 does not answer", func(e history.Event) bool {
		return e.Kind == history.Scraped && e.Member == "m2" && e.Error != ""
	})
	scraped := 0
	for _, e := range log.Events(0) {
		if e.Partition == 2 || e.Offset == 9 || e.Offset == 34 {
			t.Errorf("this is not of the topic and group, or of no partition: %+v", e)
		}
		if e.Kind == history.Scraped && e.Member == "m1" {
			scraped++
		}
	}
	if scraped != 1 {
		t.Errorf("%d events say that m1 could be read, though nothing changed", scraped)
	}
}

func FuzzMetricsParse(f *testing.F) {
	f.Add(fmt.Sprintf(page, 7))
	f.Add("kafka_consumergroup_lag{partition=\"99999999999\"} -1\nkafka_consumergroup_lag 1\n")
	f.Add("# TYPE kafka_consumergroup_lag histogram\nkafka_consumergroup_lag_bucket{le=\"+Inf\",partition=\"1\"} 4\n")
	m := &Metrics{cfg: MetricsConfig{Metric: "kafka_consumergroup_lag", TopicLabel: "topic", PartitionLabel: "partition", Topic: mainTopic, Group: group}}
	f.Fuzz(func(t *testing.T, text string) {
		events, err := m.parse(strings.NewReader(text))
		if err != nil && events != nil {
			t.Errorf("an error, and %d events", len(events))
		}
		for _, e := range events {
			if e.Offset < -1 || e.Topic != mainTopic {
				t.Errorf("%+v", e)
			}
		}
	})
}
