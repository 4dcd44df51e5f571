package reports_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	ginkgo "github.com/onsi/ginkgo/v2/reporters"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/internal/golden"
	"github.com/ksim-dev/ksim/reports"
)

// leftOut are the programs of a page, and the charts, which have golden files of their own.
var leftOut = regexp.MustCompile(`(<script type="[^"]*" id="[^"]*">)[^<]*</script>`)

// same compares got with testdata/name; the temporary directory of the run reads DIR.
func same(t *testing.T, name, dir string, got []byte) {
	t.Helper()
	got = bytes.ReplaceAll(got, []byte(dir), []byte("DIR"))
	got = leftOut.ReplaceAll(got, []byte("${1}…</script>"))
	golden.Check(t, filepath.Join("testdata", name), got)
}

func TestGolden(t *testing.T) {
	dir := t.TempDir()
	run := sampleRun(t, dir)
	text := func(color bool) func(io.Writer, harness.Run) error {
		return func(w io.Writer, run harness.Run) error { return reports.Text(w, run, color) }
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer, harness.Run) error
	}{
		{"report.json", reports.JSON}, {"report.md", reports.Markdown}, {"junit.xml", reports.JUnit},
		{"report.txt", text(false)}, {"report.color.txt", text(true)}, {"report.html", reports.HTML},
	} {
		t.Run(f.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := f.write(&b, run); err != nil {
				t.Fatal(err)
			}
			same(t, f.name, dir, b.Bytes())
		})
	}
}

func TestWriteAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "run")
	run := sampleRun(t, dir)
	for range 2 { // the second time replaces the first
		paths, err := reports.WriteAll(run)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range paths {
			names = append(names, filepath.Base(p))
		}
		if want := []string{"run.json", "report.json", "report.md", "junit.xml", "report.html"}; !slices.Equal(names, want) {
			t.Fatalf("wrote %v, want %v", names, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left %s behind", e.Name())
		}
	}
	var head struct {
		Format int   `json:"ksim_run"`
		Seed   int64 `json:"seed"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Format != reports.Format || head.Seed != 42 {
		t.Errorf("run.json has format %d, seed %d (%v)", head.Format, head.Seed, err)
	}
}

// One file that cannot be written is reported and does not stop the others.
func TestWriteAllGoesOn(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	if err := os.MkdirAll(filepath.Join(run.Dir, "report.md", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	paths, err := reports.WriteAll(run)
	if err == nil || !strings.Contains(err.Error(), "report.md") {
		t.Fatalf("error %v does not name report.md", err)
	}
	if len(paths) != 4 {
		t.Fatalf("wrote %v", paths)
	}
	if _, err := reports.WriteAll(harness.Run{}); err == nil {
		t.Error("a run without a directory was written somewhere")
	}
}

// What is read back and written again is the same report.
func TestReadJSONRoundTrip(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	if _, err := reports.WriteAll(run); err != nil {
		t.Fatal(err)
	}
	again, err := reports.ReadJSON(run.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Scenarios[4].Err == nil || again.Scenarios[4].Err.Error() != run.Scenarios[4].Err.Error() {
		t.Errorf("the harness error came back as %v", again.Scenarios[4].Err)
	}
	for _, write := range []func(io.Writer, harness.Run) error{reports.JSON, reports.Markdown, reports.HTML, reports.JUnit} {
		var first, second bytes.Buffer
		if err := errors.Join(write(&first, run), write(&second, again)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("not the same after reading back:\n%s", golden.Difference(second.Bytes(), first.Bytes()))
		}
	}
}

func TestReadJSONRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"not JSON":         {"{", "not JSON"},
		"another file":     {`{"a":1}`, "not a ksim report"},
		"a later format":   {`{"ksim_report":2}`, "format 2"},
		"no verdict":       {`{"ksim_report":1,"scenarios":[{"name":"x","verdict":null}]}`, "neither a verdict nor an error"},
		"a wrong verdict":  {`{"ksim_report":1,"scenarios":[{"name":"x","verdict":"passed"}]}`, `verdict "passed"`},
		"a wrong check":    {`{"ksim_report":1,"scenarios":[{"name":"x","verdict":"held","checks":[{"name":"y","verdict":"ok"}]}]}`, `verdict "ok"`},
		"a dir that leads": {`{"ksim_report":1,"scenarios":[{"name":"x","verdict":"held","dir":"../.."}]}`, "leads out"},
		"a wrong type":     {`{"ksim_report":1,"seed":"x"}`, "seed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "report.json"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := reports.ReadJSON(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := reports.ReadJSON(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no report: %v", err)
	}
}

// A failure of the harness never lets a run pass, in any format.
func TestHarnessErrorIsNoVerdict(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	run.Load = nil
	run.Scenarios = []harness.Result{run.Scenarios[0], run.Scenarios[4]}
	if v := run.Verdict(); v != check.Unknown {
		t.Errorf("verdict is %s", v)
	}
	run.Scenarios = run.Scenarios[1:]
	if v := run.Verdict(); v != check.Unknown {
		t.Errorf("verdict of nothing but errors is %s", v)
	}
	var b bytes.Buffer
	if err := reports.Text(&b, run, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "! ERROR") || strings.Contains(b.String(), "HELD") {
		t.Errorf("text:\n%s", b.String())
	}
}

func TestJUnit(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	var b bytes.Buffer
	if err := reports.JUnit(&b, run); err != nil {
		t.Fatal(err)
	}
	var got ginkgo.JUnitTestSuites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 5 || got.Failures != 1 || got.Errors != 1 || got.Disabled != 1 {
		t.Errorf("tests %d, failures %d, errors %d, skipped %d", got.Tests, got.Failures, got.Errors, got.Disabled)
	}
	suite := got.TestSuites[0]
	if suite.Properties.WithName("SuiteSucceeded") != "false" {
		t.Error("the suite is marked as succeeded")
	}
	crash, zombie, slow := suite.TestCases[2], suite.TestCases[3], suite.TestCases[4]
	for _, want := range []string{"no-loss: 18 violations", "orders/0@40", "m-0-0040", "ksim run --scenario crash-mid-batch --seed 42", "ksim check "} {
		if crash.Failure == nil || !strings.Contains(crash.Failure.Message, want) {
			t.Errorf("the failure does not say %q", want)
		}
	}
	if !strings.Contains(crash.Failure.Description, "history.jsonl:311") {
		t.Errorf("the failure does not point to the line of the history: %s", crash.Failure.Description)
	}
	if zombie.Skipped == nil || !strings.Contains(zombie.Skipped.Message, "unknown: the fault zombie did not happen") || zombie.Properties.WithName("verdict") != `"unknown"` {
		t.Errorf("unknown is %+v", zombie)
	}
	if slow.Error == nil || !strings.Contains(slow.Error.Message, "address already in use") {
		t.Errorf("harness error is %+v", slow.Error)
	}
}

// What a subject sends may hold anything; no format lets it act.
func TestHostileText(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	run.Scenarios[2].Checks[0].Evidence[0].Message = "<script>alert(1)</script>\x1b[2J|`x`\n# big @everyone"
	run.Subject = "a<img src=x onerror=y>"
	write := func(f func(io.Writer, harness.Run) error) string {
		var b bytes.Buffer
		if err := f(&b, run); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	text := write(func(w io.Writer, r harness.Run) error { return reports.Text(w, r, false) })
	if strings.ContainsAny(text, "\x1b") {
		t.Error("an escape sequence reached the terminal")
	}
	if md := write(reports.Markdown); strings.Contains(md, "<script>") || strings.Contains(md, "\n# big") || strings.Contains(md, "@everyone") {
		t.Error("markup reached the Markdown")
	}
	if page := write(reports.HTML); strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") {
		t.Error("markup reached the page")
	}
	var got ginkgo.JUnitTestSuites
	if err := xml.Unmarshal([]byte(write(reports.JUnit)), &got); err != nil {
		t.Errorf("JUnit is no XML: %v", err)
	}
}

// A figure that is no number makes a measurement invalid, not the report.
func TestNotANumber(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	run.Load[1].Latency.P99 = math.NaN()
	run.Load[2].Latency.Percentiles[3][1] = math.Inf(1)
	run.Load[2].Lag[0].Points[1][1], run.Load[2].Intervals[0].P99 = math.NaN(), math.NaN()
	run.Load[2].Machine.Busy, run.Load[2].ClosedLoop.Max, run.Load[2].Stages[0].Mean = math.NaN(), math.Inf(-1), math.NaN()
	run.Scenarios[0].Checks[0].Figures = map[string]float64{"share": math.NaN(), "n": 1}
	if _, err := reports.WriteAll(run); err != nil {
		t.Fatal(err)
	}
	again, err := reports.ReadJSON(run.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Load[1].Valid || again.Load[2].Valid || again.Load[1].Reason == "" {
		t.Errorf("still valid: %+v", again.Load)
	}
}

// The replay command is the user's own, with scenario and seed pinned.
func TestReplayCommand(t *testing.T) {
	for want, command := range map[string][]string{
		`ksim run --scenario crash-mid-batch --seed 42 --members 3 -- python3 a.py 'it'\''s'`: {"/tmp/ksim", "run", "--members", "3", "--seed=7", "--out", "o", "--", "python3", "a.py", "it's"},
		`ksim run --scenario crash-mid-batch --seed 42`:                                       {"ksim", "run"},
		`ksim run --scenario crash-mid-batch --seed 42 --kafka=embedded`:                      {"ksim", "run", "--scenario", "a,b", "--kafka=embedded"},
	} {
		run := sampleRun(t, t.TempDir())
		run.Command = command
		var b bytes.Buffer
		if err := reports.Text(&b, run, false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "replay  "+want+"\n") {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// Where nobody knows what was run, no report makes a command up.
func TestNoReplayWithoutACommand(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	run.Command = nil
	for name, write := range map[string]func(io.Writer, harness.Run) error{
		"text": func(w io.Writer, r harness.Run) error { return reports.Text(w, r, false) }, "markdown": reports.Markdown, "html": reports.HTML, "junit": reports.JUnit,
	} {
		var b bytes.Buffer
		if err := write(&b, run); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "ksim run") || !strings.Contains(b.String(), "ksim check") {
			t.Errorf("%s names a command to run again, or none to judge again", name)
		}
	}
}
