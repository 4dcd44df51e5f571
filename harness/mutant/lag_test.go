package mutant

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/subject"
)

// What is shown is what is owned, and stale-lag goes on showing what is not.
func TestLagOfWhatIsOwned(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps func() steps
		after int // series that are shown once nothing is owned
	}{
		{"careful", careful, 0},
		{"stale-lag", func() steps { s := careful(); s.unshown = func(*gauges, []int32) {}; return s }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("t"))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for range 3 {
				if err := client.ProduceSync(t.Context(), kgo.StringRecord("{}")).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			commitOne(t, client)
			member := &consumer{env: subject.Env{GroupID: "g", Topic: "t"}, do: c.steps(), client: client, parts: map[int32]*partition{0: {id: 0}}}
			g := &gauges{of: map[int32]int64{}}
			member.refresh(t.Context(), g)
			if got := shown(g); !strings.Contains(got, `kafka_consumergroup_lag{consumergroup="g",topic="t",partition="0"} 2`) {
				t.Errorf("owned, it shows\n%s", got)
			}
			member.parts = map[int32]*partition{}
			member.refresh(t.Context(), g)
			if n := strings.Count(shown(g), "partition="); n != c.after {
				t.Errorf("given up, %d are shown, want %d", n, c.after)
			}
		})
	}
}

func shown(g *gauges) string {
	w := httptest.NewRecorder()
	g.page("g", "t")(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// commitOne has a group commit the first of three records and leave.
func commitOne(t *testing.T, producer *kgo.Client) {
	t.Helper()
	member, err := kgo.NewClient(kgo.SeedBrokers(producer.OptValue("SeedBrokers").([]string)...), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"),
		kgo.DisableAutoCommit(), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	records := member.PollRecords(ctx, 1).Records()
	if len(records) != 1 {
		t.Fatalf("polled %d records", len(records))
	}
	if err := member.CommitRecords(ctx, records...); err != nil {
		t.Fatal(err)
	}
}
