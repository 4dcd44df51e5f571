package reference

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/harness/subject"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// downstream is a sink with one record of each kind.
type downstream struct {
	batches bool
	mu      sync.Mutex
	applied map[string]int
	asked   map[string]int
	times   map[string][]time.Time
}

// fate of the record at offset o of partition 0; all others are fine.
func (d *downstream) fate(name string) (status int, word, retryAfter string) {
	d.asked[name]++
	d.times[name] = append(d.times[name], time.Now())
	switch {
	case name == "t/0/3":
		return 422, "poison", ""
	case name == "t/0/5" && d.asked[name] <= 2:
		return 503, "unavailable", "0.2"
	case name == "t/0/7" && d.asked[name] == 1 && !d.batches:
		return 0, "", "" // reset; of a batch it would repeat what was applied
	}
	d.applied[name]++
	return 200, "applied", ""
}

func (d *downstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path != "/effects/m1/1/batch" {
		d.single(w, r.Header.Get("Ksim-Record"))
		return
	}
	var in struct {
		Effects []struct {
			Record string
			Value  json.RawMessage
			Base64 []byte `json:"value_base64"`
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var results []map[string]string
	failed := false
	for _, e := range in.Effects {
		if failed && r.Header.Get("Ksim-Stop-On-Failure") == "true" {
			results = append(results, map[string]string{"status": "untried"})
			continue
		}
		status, word, after := d.fate(e.Record)
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		failed = failed || status != 200
		results = append(results, map[string]string{"status": word})
	}
	if failed {
		w.WriteHeader(http.StatusMultiStatus)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
}

func (d *downstream) single(w http.ResponseWriter, name string) {
	status, _, after := d.fate(name)
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	if after != "" {
		w.Header().Set("Retry-After", after)
	}
	w.WriteHeader(status)
}

func TestRun(t *testing.T) {
	for _, extra := range []map[string]string{
		{},
		{"KSIM_EFFECT": "batch"},
		{"KSIM_EFFECT": "batch", "KSIM_ORDER": "none", "KSIM_COMMIT_INTERVAL_MS": "20"},
		{"KSIM_ORDER": "key"},
		{"KSIM_DELIVERY": "transactions"},
		{"KSIM_DELIVERY": "transactions", "KSIM_EFFECT": "batch"},
	} {
		t.Run(fmt.Sprint(extra), func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "t"), kfake.SeedTopics(1, "dead", "out"), kfake.GroupMinSessionTimeout(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			fill(t, cluster)
			d := &downstream{batches: extra["KSIM_EFFECT"] == "batch", applied: map[string]int{}, asked: map[string]int{}, times: map[string][]time.Time{}}
			server := httptest.NewServer(d)
			defer server.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			env := subject.Env{
				BootstrapServers: cluster.ListenAddrs()[0], Topic: "t", GroupID: "g", Member: "m1", GroupProtocol: "classic",
				SessionTimeout: 3 * time.Second, MaxPollInterval: 3 * time.Second, BatchSize: 10, MaxAttempts: 5, DLQTopic: "dead",
				SinkURL: server.URL + "/effects/m1/1", Order: extra["KSIM_ORDER"], Extra: extra,
			}
			transactions := extra["KSIM_DELIVERY"] == Transactions
			if transactions {
				env.OutputTopic, env.TransactionalID = "out", "g.m1"
			}
			go func() { done <- Run(ctx, env) }()
			committed := func() (n int64) {
				if info := cluster.GroupInfo("g"); info != nil {
					for _, c := range info.Commits["t"] {
						n += c.Offset
					}
				}
				return n
			}
			for deadline := time.Now().Add(20 * time.Second); committed() < 40 && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond)
			}
			cancel()
			if err := <-done; err != nil || committed() != 40 {
				t.Fatalf("Run: %v; committed %d", err, committed())
			}
			d.check(t)
			if transactions {
				checkOutputs(t, cluster)
			}
			if len(cluster.GroupInfo("g").Members) != 0 {
				t.Error("it did not leave")
			}
		})
	}
}

// checkOutputs wants one output of each record but the poison.
func checkOutputs(t *testing.T, cluster *kfake.Cluster) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	seen := map[string]int{}
	for n := 0; n < 39 && ctx.Err() == nil; {
		for _, r := range cl.PollFetches(ctx).Records() {
			seen[string(r.Headers[0].Value)]++
			n++
		}
	}
	if len(seen) != 39 || seen["t/0/3"] != 0 || seen["t/1/4"] != 1 {
		t.Errorf("outputs of %d records: %v", len(seen), seen)
	}
}

func (d *downstream) check(t *testing.T) {
	t.Helper()
	if len(d.applied) != 39 || d.applied["t/0/3"] != 0 || d.asked["t/0/3"] != 1 || d.asked["t/0/5"] != 3 {
		t.Errorf("%d applied; poison asked %d times, transient %d", len(d.applied), d.asked["t/0/3"], d.asked["t/0/5"])
	}
	for name, n := range d.applied {
		if n != 1 {
			t.Errorf("%s was applied %d times", name, n)
		}
	}
	for i, least := range []time.Duration{200 * time.Millisecond, 200 * time.Millisecond} {
		if at := d.times["t/0/5"]; at[i+1].Sub(at[i]) < least {
			t.Errorf("tried again after %v, in spite of Retry-After", at[i+1].Sub(at[i]))
		}
	}
	if at := d.times["t/0/7"]; !d.batches && at[1].Sub(at[0]) < MinBackoff {
		t.Errorf("tried again after %v", at[1].Sub(at[0]))
	}
}

// fill produces 20 records to each of two partitions, some of them odd.
func fill(t *testing.T, cluster *kfake.Cluster) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range 40 {
		r := &kgo.Record{Topic: "t", Partition: int32(i % 2), Key: fmt.Appendf(nil, "k%d", i%8), Value: fmt.Appendf(nil, `{"id":"m-%d"}`, i)}
		switch i {
		case 6: // offset 3 of partition 0
			r.Value = []byte("\xff{not json")
		case 9:
			r.Value = nil // a tombstone
		}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConfigure(t *testing.T) {
	env := subject.Env{BootstrapServers: "a:1,b:2", Topic: "t", GroupID: "g", SessionTimeout: time.Second, MaxPollInterval: time.Second, BatchSize: 5000, GroupProtocol: "consumer"}
	cfg, err := configure(env)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if cfg.Protocol != consumer.ProtocolConsumer || len(cfg.Brokers) != 2 || !cfg.CommitEachBatch || cfg.DrainTimeout >= time.Second {
		t.Errorf("%+v", cfg)
	}
	env.Extra = map[string]string{"KSIM_COMMIT_INTERVAL_MS": "soon"}
	if _, err := configure(env); err == nil {
		t.Error("a bad interval is taken")
	}
	env.Extra, env.Assignor, env.GroupProtocol = nil, "eager", "classic"
	if cfg, err := configure(env); err != nil || cfg.Protocol != consumer.ProtocolEager {
		t.Errorf("%+v %v", cfg.Protocol, err)
	}
	env.Assignor = "range"
	if _, err := configure(env); err == nil {
		t.Error("an unknown assignor is taken")
	}
	env.Assignor, env.GroupProtocol = "", "share"
	if _, err := configure(env); err == nil {
		t.Error("an unknown protocol is taken")
	}
	env = subject.Env{BootstrapServers: "a:1", Topic: "t", GroupID: "g"}
	if err := Run(t.Context(), env); err == nil {
		t.Error("it runs without a sink")
	}
	for what, extra := range map[string]map[string]string{
		"with an unknown effect":               {"KSIM_EFFECT": "none"},
		"with an unknown delivery":             {"KSIM_DELIVERY": "at-most-once"},
		"with transactions and nowhere to put": {"KSIM_DELIVERY": "transactions"},
		"with SQL and no database":             {"KSIM_DELIVERY": "sql"},
		"with SQL and batches":                 {"KSIM_DELIVERY": "sql", "KSIM_EFFECT": "batch"},
		"with SQL and order by key":            {"KSIM_DELIVERY": "sql", "KSIM_ORDER": "key", "KSIM_SQL_URL": filepath.Join(t.TempDir(), "x.db")},
	} {
		env.SinkURL, env.Extra, env.Order = "http://127.0.0.1:1", extra, extra["KSIM_ORDER"]
		if err := Run(t.Context(), env); err == nil {
			t.Error("it runs " + what)
		}
	}
}

// A sink that cannot be reached is no fault of the record.
func TestUnavailable(t *testing.T) {
	s := newSink("http://127.0.0.1:1/effects/m1/1", 1)
	defer s.close()
	err := s.record(t.Context(), &kgo.Record{Topic: "t"})
	if err == nil || fmt.Sprintf("%T", err) != fmt.Sprintf("%T", consumer.Unavailable(err)) {
		t.Errorf("%T %v", err, err)
	}
}
