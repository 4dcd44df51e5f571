package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/mutant"
	"github.com/ksim-dev/ksim/harness/null"
	"github.com/ksim-dev/ksim/harness/reexec"
	"github.com/ksim-dev/ksim/harness/subject"
)

func TestMain(m *testing.M) {
	reexec.Main(append(mutant.Modes(), referenceSubject().Mode(), null.Subject().Mode(), containers.ReaperMode(), subject.GuardMode())...)
	os.Exit(m.Run())
}

func ksim(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestUsageErrorsNameWhatIsValid(t *testing.T) {
	empty := t.TempDir()
	full := t.TempDir()
	config := filepath.Join(empty, "ksim.yaml")
	theirs, other := filepath.Join(empty, "theirs.yaml"), filepath.Join(empty, "other.jsonl")
	isolated := filepath.Join(empty, "isolated.yaml")
	unfinished := t.TempDir()
	if err := os.Mkdir(filepath.Join(unfinished, "scenarios"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		config: "promises: {order: sideways}\nbatchh: {size: 3}\n", filepath.Join(full, "f"): "x",
		theirs: "kafka: {brokers: ['127.0.0.1:9']}\n", other: "{\"level\": \"info\"}\n",
		isolated: "promises: {isolation: serializable}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"unknown verb", []string{"jump"}, []string{"unknown command", "jump"}},
		{"unknown flag", []string{"run", "--scenarios=x"}, []string{"unknown flag: --scenarios", "--scenario"}},
		{"unknown scenario", []string{"run", "--scenario", "earthquake"}, []string{"earthquake", "crash-mid-batch", "tag:smoke"}},
		{"unknown backend", []string{"run", "--kafka", "pulsar", "--out", filepath.Join(empty, "a")}, []string{"pulsar", "auto, embedded, containers or external"}},
		{"unknown promise", []string{"run", "--order", "sideways"}, []string{"sideways", "partition, key, none"}},
		{"unknown list", []string{"list", "verbs"}, []string{"scenarios, checks, faults"}},
		{"external without brokers", []string{"run", "--kafka", "external"}, []string{"--brokers"}},
		{"brokers without external", []string{"run", "--brokers", "127.0.0.1:9"}, []string{"--kafka external"}},
		{"two brokers in containers", []string{"run", "--kafka", "containers", "--brokers", "2"}, []string{"choose 1 or 3, not 2"}},
		{"addresses of containers", []string{"run", "--kafka", "containers", "--brokers", "127.0.0.1:9,127.0.0.1:10"}, []string{"how many", "--kafka external"}},
		{"configured addresses of containers", []string{"run", "--config", theirs, "--kafka", "containers"}, []string{"choose 1 or 3"}},
		{"unknown isolation", []string{"run", "--config", isolated}, []string{"serializable", "read_committed"}},
		{"unknown config field", []string{"run", "--config", config}, []string{":2: batchh", "batch is meant?"}},
		{"no config", []string{"run", "--config", "nowhere.yaml"}, []string{"nowhere.yaml"}},
		{"full directory", []string{"run", "--out", full}, []string{full, "another --out"}},
		{"no partitions", []string{"run", "--partitions", "0", "--out", filepath.Join(empty, "b")}, []string{"partitions is 0", "1 to 1024"}},
		{"bad load", []string{"load", "--rate", "0", "--batch-sizes", "0"}, []string{"--rate", "0", "--batch-size has 0"}},
		{"bad sweep", []string{"tune", "--trials", "0", "--concurrency=-1", "--slo-p99=-1s"}, []string{"--trials is 0", "--concurrency has -1", "--slo-p99 is -1s"}},
		{"comparison of one", []string{"tune", "--compare", "batch=10"}, []string{"--compare has 1 settings", "batch=100,batch=500"}},
		{"comparison of what is no setting", []string{"tune", "--compare", "10,20"}, []string{"--compare", "batch=100/wait=50ms/concurrency=4"}},
		{"comparison with itself", []string{"tune", "--compare", "batch=10,batch=10/wait=50ms"}, []string{"twice"}},
		{"bad profile", []string{"load", "--rate", "ramp:1..2", "--size", "uniform:9-1"}, []string{"--rate", "ramp:FROM..TO@TIME", "--size", "uniform:"}},
		{"nothing after the dashes", []string{"run", "--"}, []string{"no command after --"}},
		{"nothing after the dashes of load", []string{"load", "--"}, []string{"no command after --"}},
		{"empty scenario", []string{"run", "--scenario", ""}, []string{"--scenario", "ksim list scenarios"}},
		{"none side by side", []string{"run", "--parallel", "0"}, []string{"--parallel is 0"}},
		{"negative side by side", []string{"run", "--parallel", "-1"}, []string{"--parallel is -1"}},
		{"unknown delivery", []string{"run", "--delivery", "twice"}, []string{"twice", "exactly-once"}},
		{"negative attempts", []string{"run", "--max-attempts", "-1"}, []string{"--max-attempts"}},
		{"negative repeats", []string{"run", "--max-reprocessed", "-1"}, []string{"--max-reprocessed"}},
		{"configured brokers without external", []string{"run", "--config", theirs, "--kafka", "embedded"}, []string{"kafka.brokers", "--kafka external"}},
		{"batch size of load", []string{"load", "--batch-size", "3,x"}, []string{"--batch-size"}},
		{"sizes of load", []string{"load", "--partitions", "0", "--out", filepath.Join(empty, "c")}, []string{"partitions is 0"}},
		{"commits too often", []string{"load", "--commit-interval", "10us"}, []string{"--commit-interval"}},
		{"not a history", []string{"check", other}, []string{"other.jsonl", "not a history"}},
		{"unfinished run", []string{"report", unfinished}, []string{"ksim check " + unfinished}},
		{"no history", []string{"check", filepath.Join(empty, "none.jsonl")}, []string{"none.jsonl"}},
		{"no report", []string{"report", empty}, []string{"report.json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, _, stderr := ksim(c.args...)
			if status != exitFailed {
				t.Errorf("exit status %d, want %d", status, exitFailed)
			}
			for _, w := range c.want {
				if !strings.Contains(stderr, w) {
					t.Errorf("the error does not say %q:\n%s", w, stderr)
				}
			}
		})
	}
}

func TestListNamesEverything(t *testing.T) {
	for list, want := range map[string][]string{
		"scenarios": {"steady", "zombie", "key-order-under-churn"},
		"checks":    {"no-loss", "commit-safety", "graceful-stop"},
		"faults":    {"crash-mid-batch", "rolling-restart"},
	} {
		status, out, _ := ksim("list", list)
		if status != 0 {
			t.Errorf("list %s: exit status %d", list, status)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("list %s does not name %s:\n%s", list, w, out)
			}
		}
	}
}

// A run, its history judged again, its reports written again: one verdict all the way.
func TestRunCheckReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	status, out, stderr := ksim("run", "--scenario", "steady", "--out", dir)
	if status != exitHeld {
		t.Fatalf("run: exit status %d\n%s%s", status, out, stderr)
	}
	for _, f := range []string{"report.json", "report.md", "report.html", "junit.xml", "run.json", "scenarios/steady/history.jsonl", "scenarios/steady/logs/m1.1.log"} {
		if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
			t.Errorf("the run left no %s: %v", f, err)
		}
	}
	if !strings.Contains(stderr, "1 scenario, on embedded") {
		t.Errorf("the first line does not say what runs and where:\n%s", stderr)
	}
	if status, out, _ := ksim("check", dir); status != exitHeld || !strings.Contains(out, "steady") || !strings.Contains(out, "reference  ·  embedded") {
		t.Errorf("check: exit status %d\n%s", status, out)
	}
	if status, out, _ := ksim("check", "-o", "json", dir); status != exitHeld || !strings.Contains(out, `"ksim_report": 1`) {
		t.Errorf("check -o json: exit status %d\n%s", status, out)
	}
	if status, out, stderr := ksim("report", dir); status != exitHeld || !strings.Contains(out, "report.html") {
		t.Errorf("report: exit status %d\n%s%s", status, out, stderr)
	}
	truncate(t, filepath.Join(dir, "scenarios/steady/history.jsonl"))
	status, _, stderr = ksim("check", dir)
	if status != exitUnknown || !strings.Contains(stderr, "line") {
		t.Errorf("check of a truncated history: exit status %d, want %d, and the line\n%s", status, exitUnknown, stderr)
	}
}

// The reference consumer keeps what it is asked to promise: exactly once, by transactions, as static members.
func TestRunExactlyOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	config := filepath.Join(t.TempDir(), "ksim.yaml")
	if err := os.WriteFile(config, []byte("static: true\npromises: {delivery: exactly-once}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	status, out, stderr := ksim("run", "--config", config, "--scenario", "steady", "--out", dir)
	if status != exitHeld {
		t.Fatalf("exit status %d\n%s%s", status, out, stderr)
	}
	text, err := os.ReadFile(filepath.Join(dir, "scenarios/steady/history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"delivery":"exactly-once"`, `"kind":"commit-sealed"`, `"kind":"output"`, `"note":"outputs"`, `"note":"static"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the history has no %s", want)
		}
	}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()*2/3-1); err != nil {
		t.Fatal(err)
	}
}

// What the flags do not say about Kafka, the config file does.
func TestWhichKafka(t *testing.T) {
	for _, c := range []struct {
		flag, file string
		brokers    []string
		want       string
	}{
		{"", "", nil, "embedded"},
		{"", "containers", nil, "containers"},
		{"auto", "containers", nil, "auto"},
		{"", "", []string{"a:1"}, "external"},
		{"", "external", []string{"a:1"}, "external"},
		{"external", "embedded", []string{"a:1"}, "external"},
		{"embedded", "", []string{"a:1"}, ""},
		{"", "embedded", []string{"a:1"}, ""},
		{"", "pulsar", nil, ""},
	} {
		o := kafkaOptions{backend: "embedded", file: kafkaFile{Backend: c.file, Brokers: c.brokers}}
		if c.flag != "" {
			o.backend = c.flag
		}
		if err := o.choose(c.flag != ""); (err == nil) != (c.want != "") || err == nil && o.backend != c.want {
			t.Errorf("%+v gives %q, %v", c, o.backend, err)
		}
	}
}

// A limited disk goes with containers, and has a size that a broker can start with.
func TestBrokerDiskIsChecked(t *testing.T) {
	for args, want := range map[string]string{
		"--kafka=embedded": "goes with --kafka containers", "--kafka=external": "goes with --kafka containers", "--kafka=containers": "from 64 MiB to 1TiB",
	} {
		status, _, stderr := ksim("run", "--broker-disk=1,5MiB", args, "--out", t.TempDir(), "--scenario", "steady")
		if status != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit status %d, want %d and %q: %s", args, status, exitFailed, want, stderr)
		}
	}
	o := kafkaOptions{file: kafkaFile{BrokerDisk: "1.5GiB"}}
	if n, err := o.diskBytes(); err != nil || n != 3<<29 {
		t.Errorf("1.5GiB is %d, %v", n, err)
	}
}

// What a run is asked to judge by, and of what evidence, must be there.
func TestEvidenceAndChecksAreNamed(t *testing.T) {
	for args, want := range map[string]string{
		"--evidence=rumours": `there is no evidence "rumours"`, "--checks=no-los": `there is no check "no-los"`, "--output-url=x.db": "belong together",
	} {
		status, _, stderr := ksim("run", args, "--out", t.TempDir(), "--scenario", "steady")
		if status != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit status %d, want %d and %q: %s", args, status, exitFailed, want, stderr)
		}
	}
}
