package reports

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/tune"
)

// Format is the version of report.json and run.json that this package writes.
// Fields may be added within a version; a reader ignores those it does not
// know. A field that goes away or changes its meaning makes a new version.
const Format = 1

// head is what ran, where and how: all of run.json, and the top of report.json.
type head struct {
	ID         string    `json:"id"`
	Version    string    `json:"version"`
	Command    []string  `json:"command"`
	Dir        string    `json:"dir"`
	Subject    string    `json:"subject"`
	Kafka      string    `json:"kafka"`
	Seed       int64     `json:"seed"`
	Started    time.Time `json:"started"`
	Seconds    float64   `json:"seconds"`
	Machine    machineV1 `json:"machine"`
	Members    int       `json:"members"`
	Partitions int32     `json:"partitions"`
	BatchSize  int       `json:"batch_size"`
}

type machineV1 struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// runV1 is run.json.
type runV1 struct {
	Format int `json:"ksim_run"`
	head
	Scenarios  []string `json:"scenarios"`
	BatchSizes []int    `json:"load_batch_sizes"`
}

// reportV1 is report.json.
type reportV1 struct {
	Format int `json:"ksim_report"`
	head
	Verdict       check.Verdict `json:"verdict"`
	HarnessErrors int           `json:"harness_errors"`
	Scenarios     []scenarioV1  `json:"scenarios"`
	Load          []load.Result `json:"load"`
	Tune          *tune.Report  `json:"tune,omitempty"`
}

type scenarioV1 struct {
	Name string `json:"name"`
	Doc  string `json:"doc,omitempty"`
	// Verdict is null if Error is set: there is none.
	Verdict *check.Verdict `json:"verdict"`
	Reason  string         `json:"reason,omitempty"`
	Error   string         `json:"error,omitempty"`
	Started time.Time      `json:"started"`
	Seconds float64        `json:"seconds"`
	Dir     string         `json:"dir"`
	Counts  check.Counts   `json:"counts"`
	Checks  []checkV1      `json:"checks"`
	Causes  []check.Cause  `json:"causes"`
	// Attribution is one sentence on what was repeated and why.
	Attribution string `json:"attribution,omitempty"`
	// Waived are promises that the scenario lets nobody keep, and why.
	Waived map[string]string `json:"waived,omitempty"`
}

// checkV1 is check.Result with its evidence always there, empty or not.
type checkV1 struct {
	check.Result
	Evidence []check.Evidence `json:"evidence"`
}

// JSON writes report.json: the published format, see docs/report.schema.json.
func JSON(w io.Writer, run harness.Run) error {
	doc := reportV1{
		Format: Format, head: headOf(run),
		Verdict: run.Verdict(), HarnessErrors: len(run.Failed()),
		Scenarios: []scenarioV1{}, Load: []load.Result{}, Tune: run.Tune,
	}
	for _, s := range run.Scenarios {
		doc.Scenarios = append(doc.Scenarios, scenarioJSON(s))
	}
	for _, l := range run.Load {
		doc.Load = append(doc.Load, believable(l))
	}
	return encode(w, doc)
}

// runJSON writes run.json.
func runJSON(w io.Writer, run harness.Run) error {
	doc := runV1{Format: Format, head: headOf(run), Scenarios: []string{}, BatchSizes: []int{}}
	for _, s := range run.Scenarios {
		doc.Scenarios = append(doc.Scenarios, s.Scenario)
	}
	for _, l := range run.Load {
		doc.BatchSizes = append(doc.BatchSizes, l.BatchSize)
	}
	return encode(w, doc)
}

func encode(w io.Writer, doc any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

func headOf(run harness.Run) head {
	return head{
		ID: run.ID, Version: run.Version, Command: append([]string{}, run.Command...), Dir: run.Dir,
		Subject: run.Subject, Kafka: run.Kafka, Seed: run.Seed, Started: run.Started, Seconds: run.Seconds,
		Machine: machineV1{OS: run.Machine.OS, Arch: run.Machine.Arch, CPUs: run.Machine.CPUs, Go: run.Machine.GoVersion},
		Members: run.Members, Partitions: run.Partitions, BatchSize: run.BatchSize,
	}
}

func scenarioJSON(s harness.Result) scenarioV1 {
	out := scenarioV1{
		Name: s.Scenario, Doc: s.Doc, Reason: s.Reason, Started: s.Started, Seconds: s.Seconds, Dir: s.Dir,
		Counts: s.Counts, Checks: []checkV1{}, Causes: append([]check.Cause{}, s.Causes...),
		Attribution: s.Attribution, Waived: s.Waived,
	}
	if s.Err != nil {
		out.Error = s.Err.Error()
		if out.Error == "" {
			out.Error = "the harness failed without saying why"
		}
	} else {
		out.Verdict = &s.Verdict
	}
	for _, c := range s.Checks {
		figures := map[string]float64{}
		for name, v := range c.Figures {
			if finite(v) { // JSON has no NaN; a figure that is no number says nothing
				figures[name] = v
			}
		}
		c.Figures = figures
		out.Checks = append(out.Checks, checkV1{Result: c, Evidence: append([]check.Evidence{}, c.Evidence...)})
	}
	return out
}

func finite(vs ...float64) bool {
	for _, v := range vs {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// ReadJSON reads dir/report.json back. Run.Dir is dir, wherever the run was
// written first. A report of another format version is an error that says so.
func ReadJSON(dir string) (harness.Run, error) {
	path := filepath.Join(dir, "report.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return harness.Run{}, fmt.Errorf("read report: %w; give the directory that ksim run --out wrote", err)
	}
	if err != nil {
		return harness.Run{}, fmt.Errorf("read report: %w", err)
	}
	var version struct {
		Format *int `json:"ksim_report"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return harness.Run{}, fmt.Errorf("read report: %s is not JSON: %w", path, err)
	}
	if version.Format == nil {
		return harness.Run{}, fmt.Errorf(`read report: %s is not a ksim report: it has no "ksim_report"`, path)
	}
	if *version.Format != Format {
		return harness.Run{}, fmt.Errorf("read report: %s has format %d, written by another version of ksim; this one reads format %d", path, *version.Format, Format)
	}
	var doc reportV1
	if err := json.Unmarshal(text, &doc); err != nil {
		return harness.Run{}, fmt.Errorf("read report: %s: %w", path, err)
	}
	run, err := doc.run(dir)
	if err != nil {
		return harness.Run{}, fmt.Errorf("read report: %s: %w", path, err)
	}
	return run, nil
}

func (doc reportV1) run(dir string) (harness.Run, error) {
	h := doc.head
	run := harness.Run{
		ID: h.ID, Dir: dir, Version: h.Version, Command: h.Command, Subject: h.Subject, Kafka: h.Kafka, Seed: h.Seed,
		Started: h.Started, Seconds: h.Seconds,
		Machine: harness.Machine{OS: h.Machine.OS, Arch: h.Machine.Arch, CPUs: h.Machine.CPUs, GoVersion: h.Machine.Go},
		Members: h.Members, BatchSize: h.BatchSize, Partitions: h.Partitions, Load: doc.Load, Tune: doc.Tune,
	}
	for _, s := range doc.Scenarios {
		r, err := s.result()
		if err != nil {
			return harness.Run{}, err
		}
		run.Scenarios = append(run.Scenarios, r)
	}
	return run, nil
}

func (s scenarioV1) result() (harness.Result, error) {
	r := harness.Result{
		Scenario: s.Name, Doc: s.Doc, Reason: s.Reason, Started: s.Started, Seconds: s.Seconds,
		Counts: s.Counts, Causes: s.Causes, Attribution: s.Attribution, Waived: s.Waived, Dir: s.Dir,
	}
	switch {
	case s.Error != "":
		r.Err = errors.New(s.Error)
	case s.Verdict == nil:
		return r, fmt.Errorf("scenario %q has neither a verdict nor an error", s.Name)
	default:
		r.Verdict = *s.Verdict
	}
	if s.Dir != "" && !filepath.IsLocal(s.Dir) {
		return r, fmt.Errorf("scenario %q: dir %q leads out of the report's directory", s.Name, s.Dir)
	}
	verdicts := []check.Verdict{check.Held, check.Violated, check.Unknown}
	if r.Err == nil && !slices.Contains(verdicts, r.Verdict) {
		return r, fmt.Errorf("scenario %q has verdict %q: it must be held, violated or unknown", s.Name, r.Verdict)
	}
	for _, c := range s.Checks {
		if !slices.Contains(verdicts, c.Verdict) {
			return r, fmt.Errorf("check %q of scenario %q has verdict %q: it must be held, violated or unknown", c.Check, s.Name, c.Verdict)
		}
		c.Result.Evidence = c.Evidence
		r.Checks = append(r.Checks, c.Result)
	}
	return r, nil
}
