package scenarios_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/cmd/ksim/reference"
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/internal/services"
	"github.com/ksim-dev/ksim/reports"
	"github.com/ksim-dev/ksim/scenarios"
	"github.com/ksim-dev/ksim/scenarios/spec"
)

// The reference consumer goes through the whole catalogue, on three brokers of
// Apache Kafka, under each of its promises and with each group protocol.
//
// KSIM_FULL_MATRIX=1 runs every scenario under every promise with every protocol. Otherwise, of those with the tag smoke, every
// promise runs with one protocol, and every protocol with one promise.
// SQL is SQLite, or the PostgreSQL that KSIM_MATRIX_SQL is the URL of.
// KSIM_MATRIX_DIR keeps histories and tables in that directory. KSIM_MATRIX_ONLY
// runs what has that in "promise; protocol; scenario": "transactions; eager", "; zombie".

var referenceConsumer = subject.Func{Label: "reference", Run: reference.Run}

func TestMain(m *testing.M) {
	spec.Main(m, []subject.Func{referenceConsumer}, containers.ReaperMode())
}

// promise is one way in which the reference consumer delivers.
type promise struct {
	name   string
	adjust func(t *testing.T, cfg *harness.Config)
}

func promises() []promise {
	inOrder := func(order string) func(*testing.T, *harness.Config) {
		return func(_ *testing.T, cfg *harness.Config) {
			cfg.Promises = reference.InOrder(cfg.Promises, order)
		}
	}
	return []promise{
		{"at least once, order by partition", inOrder(history.OrderPartition)},
		{"at least once, order by key", inOrder(history.OrderKey)},
		{"at least once, no order", inOrder(history.OrderNone)},
		{"exactly once by transactions", func(_ *testing.T, cfg *harness.Config) {
			cfg.Promises = reference.TransactionPromises(cfg.BatchSize, cfg.Partitions)
			cfg.Extra["KSIM_DELIVERY"] = reference.Transactions
		}},
		{"exactly once by SQL", func(t *testing.T, cfg *harness.Config) {
			url := filepath.Join(cfg.Dir, "{topic}.db")
			if server := os.Getenv("KSIM_MATRIX_SQL"); server != "" {
				url = server
			}
			cfg.Promises = reference.SQLPromises(cfg.BatchSize, cfg.Partitions)
			cfg.Extra["KSIM_DELIVERY"], cfg.Extra["KSIM_SQL_URL"] = reference.SQL, url
			cfg.Outputs = reference.SQLOutputs(url)
			if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
				t.Error(err)
			}
		}},
	}
}

// protocol is one way in which a group shares partitions out.
type protocol struct {
	name, protocol, assignor string
	static                   bool
}

func protocols() []protocol {
	return []protocol{
		{name: "cooperative", protocol: "classic"},
		{name: "eager", protocol: "classic", assignor: "eager"},
		{name: "KIP-848", protocol: "consumer"},
		{name: "cooperative, static", protocol: "classic", static: true},
		{name: "KIP-848, static", protocol: "consumer", static: true},
	}
}

// cell is one promise with one protocol.
type cell struct {
	promise  promise
	protocol protocol
}

// can tells whether the scenario goes with the cell: positions in SQL go with one effect at a time, and
// a static member does not leave.
func (c cell) can(sc harness.Scenario) bool {
	batches := sc.Extra["KSIM_EFFECT"] == "batch" && strings.Contains(c.promise.name, "SQL")
	leaves := c.protocol.static && c.protocol.protocol == "classic" && sc.Name == "crash-at-leave"
	return !batches && !leaves
}

func (c cell) String() string { return c.promise.name + "; " + c.protocol.name }

// cells returns those of the matrix to run: all, or its first row and first column.
func cells() (chosen []cell) {
	for i, p := range promises() {
		for j, q := range protocols() {
			if i == 0 || j == 0 || full() {
				chosen = append(chosen, cell{p, q})
			}
		}
	}
	return chosen
}

func full() bool { return os.Getenv("KSIM_FULL_MATRIX") == "1" }

// sideBySide is how many scenarios run at a time. Most of them wait most of the time.
const sideBySide = 8

func (c cell) config(t *testing.T, kafka harness.Provider, dir string) harness.Config {
	cfg := harness.DefaultConfig()
	cfg.Subject, cfg.Kafka, cfg.Dir = referenceConsumer, kafka, dir
	cfg.RunID = fmt.Sprintf("matrix-%d", time.Now().UnixNano())
	cfg.Messages, cfg.Rate = 240, 150
	cfg.AutoCommit = 300 * time.Millisecond // the reference commits by no clock that would have to be outwaited
	cfg.Promises = reference.Promises(cfg.BatchSize, cfg.Partitions)
	cfg.Extra, cfg.Assignor = map[string]string{}, c.protocol.assignor
	cfg.Registry = services.SharedRegistry
	cfg.Protocol, cfg.Static = c.protocol.protocol, c.protocol.static
	if cfg.Static {
		cfg.SessionTimeout = 3 * time.Second // what a static member leaves behind is nobody's until then
	}
	c.promise.adjust(t, &cfg)
	// Up to seven brokers and eight groups share the machine: how fast a group recovers here says nothing.
	cfg.Promises.Recovery = max(cfg.Promises.Recovery, 3*time.Minute)
	cfg.Promises.RebalanceStall = cfg.Promises.Recovery
	return cfg
}

// diskBytes is what each broker may keep: so much that only a fault fills it.
const diskBytes = 1 << 30

// threeBrokers starts a cluster for one test.
func threeBrokers(t *testing.T) *containers.Cluster {
	t.Helper()
	containers.Require(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	k, err := containers.Start(ctx, containers.Config{RunID: "matrix", Brokers: 3, DiskBytes: diskBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func TestMatrix(t *testing.T) {
	t.Parallel() // the three have clusters of their own
	kafka := harness.Shared(threeBrokers(t))
	m := newTable(t)
	slots := make(chan struct{}, sideBySide)
	var wg sync.WaitGroup
	// Scenario by scenario, so that what takes long in each cell is spread over the time.
	t.Cleanup(services.StopShared)
	for _, sc := range scenarios.All() {
		if sc.Exclusive || sc.Tagged("broker") { // TestFailover has those that a group depends on
			continue
		}
		if !full() && !sc.Tagged("smoke") { // package spec has the others run, in one cell
			continue
		}
		for _, c := range cells() {
			if !c.can(sc) {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				m.run(c, kafka, sc)
			})
		}
	}
	wg.Wait()
	m.print()
}

// TestFailover takes brokers down that the group depends on, under each promise.
func TestFailover(t *testing.T) {
	t.Parallel()
	kafka := harness.Shared(threeBrokers(t))
	m := newTable(t)
	for i, p := range promises() {
		for _, sc := range scenarios.Failover() {
			transactions := strings.Contains(p.name, "transactions")
			if strings.HasPrefix(sc.Name, "transaction") && !transactions {
				continue
			}
			protocols := protocols()
			if !full() {
				// The orders share all that matters here.
				if i > 0 && strings.HasPrefix(p.name, "at least once") || i > 0 && strings.HasSuffix(sc.Name, "stopped") {
					continue
				}
				protocols = protocols[:1]
			}
			for _, q := range protocols {
				m.run(cell{p, q}, kafka, sc)
			}
		}
	}
	m.print()
}

// TestBrokers has every fault of brokers happen that three of them in containers can have, once: faults-happened must be
// held too.
func TestBrokers(t *testing.T) {
	t.Parallel()
	kafka := threeBrokers(t)
	m := newTable(t)
	for _, sc := range scenarios.All() {
		if sc.Tagged("broker") && !slices.ContainsFunc(sc.Needs, func(n harness.Need) bool { return !n.OK(kafka.Capabilities()) }) {
			m.run(cells()[0], harness.Shared(kafka), sc)
		}
	}
	m.print()
}

// table gathers what ran.
type table struct {
	*testing.T
	dir   string
	began time.Time

	mu   sync.Mutex
	rows map[string][]harness.Result // by cell
}

func newTable(t *testing.T) *table {
	dir := os.Getenv("KSIM_MATRIX_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	return &table{T: t, dir: filepath.Join(dir, t.Name()), began: time.Now(), rows: map[string][]harness.Result{}}
}

// run runs one scenario in one cell; one that is not held fails the test.
func (m *table) run(c cell, kafka harness.Provider, sc harness.Scenario) {
	if !strings.Contains(c.String()+"; "+sc.Name, os.Getenv("KSIM_MATRIX_ONLY")) {
		return
	}
	cfg := c.config(m.T, kafka, filepath.Join(m.dir, strings.NewReplacer(" ", "-", ",", "", ";", "").Replace(c.String())))
	r := harness.RunScenario(context.Background(), cfg, sc)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[c.String()] = append(m.rows[c.String()], r)
	if r.Err == nil && r.Verdict == check.Held {
		if os.Getenv("KSIM_MATRIX_DIR") != "" {
			return
		}
		_ = os.RemoveAll(filepath.Join(cfg.Dir, r.Dir)) // nobody reads the history of what is held
		return
	}
	var text strings.Builder
	run := harness.Run{Dir: cfg.Dir, Seed: cfg.Seed, Subject: cfg.Subject.Name(), Scenarios: []harness.Result{r}}
	_ = reports.Text(&text, run, false) // a strings.Builder takes everything
	m.Errorf("%s: %s is %s: %s (%v)\n%s\nhistory: %s", c, r.Scenario, r.Verdict, r.Reason, r.Err, text.String(), filepath.Join(cfg.Dir, r.Dir))
}

// print tells what ran, as a table for docs/figures.md.
func (m *table) print() {
	var b strings.Builder
	fmt.Fprintf(&b, "| promise | protocol | held | repeated | outputs | slowest |\n|---|---|---|---|---|---|\n")
	total := 0
	for _, c := range cells() {
		rows := m.rows[c.String()]
		if len(rows) == 0 {
			continue
		}
		held, repeated, outputs := 0, 0, 0.0
		var slowest harness.Result
		for _, r := range rows {
			if r.Err == nil && r.Verdict == check.Held {
				held++
			}
			repeated += r.Counts.Reprocessed
			for _, k := range r.Checks {
				if k.Check == "exactly-once" {
					outputs += k.Figures["outputs"]
				}
			}
			if r.Seconds > slowest.Seconds {
				slowest = r
			}
		}
		total += len(rows)
		fmt.Fprintf(&b, "| %s | %s | %d of %d | %d | %.0f | %s, %.1f s |\n", c.promise.name, c.protocol.name, held, len(rows), repeated, outputs, slowest.Scenario, slowest.Seconds)
	}
	fmt.Fprintf(&b, "\n%d runs on three brokers in %s.\n", total, time.Since(m.began).Round(time.Second))
	m.Log("\n" + b.String())
	if os.Getenv("KSIM_MATRIX_DIR") != "" {
		if err := os.WriteFile(filepath.Join(m.dir, "table.md"), []byte(b.String()), 0o644); err != nil {
			m.Error(err)
		}
	}
}
