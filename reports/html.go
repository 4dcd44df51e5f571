package reports

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/load"
)

var (
	//go:embed templates/report.html.tmpl
	pageText string
	//go:embed templates/load.html.tmpl
	loadText string
	//go:embed templates/report.css
	styleText string

	pageTemplate = template.Must(template.Must(template.New("report.html").Funcs(template.FuncMap{
		"seconds": seconds, "number": number, "windows": windows, "plain": plain, "numbers": numbers,
		"measured": measured, "predicted": predicted, "secondsOf": func(s float64) string { return fmt.Sprintf("%.1f s", s) },
		"span": func(s span) string { return faultName(s) }, "slash": filepath.ToSlash,
	}).Parse(pageText)).Parse(loadText))
)

// maxPage is the size in bytes beyond which HTML shows less of each scenario.
// A page has to open at once and to fit into a mail.
const maxPage = 1_450_000

// detail says how much of one scenario the page shows.
type detail struct {
	points   int // marks of one kind in a lane
	buckets  int // of time, for columns of effects
	lanes    int // partitions drawn; 0 draws nothing
	evidence int // records of one check
	rows     int // of every other table; 0 shows none
}

var (
	full = detail{points: 500, buckets: 200, lanes: 32, evidence: check.MaxEvidence, rows: 60}

	// details are tried from the first to the last until the page is small
	// enough. Scenarios that held give way first, then the points of load.
	details = []struct {
		told, held detail
		load       int // points in time, over all measurements
	}{
		{full, full, loadPoints},
		{full, detail{160, 100, 8, 4, 16}, loadPoints},
		{detail{200, 120, 12, 8, 20}, detail{60, 60, 4, 2, 8}, loadPoints},
		{detail{60, 60, 4, 4, 8}, detail{30, 40, 4, 2, 4}, loadPoints / 2},
		{detail{30, 40, 4, 2, 4}, detail{16, 24, 2, 1, 0}, loadPoints / 4},
		{detail{16, 24, 2, 1, 2}, detail{8, 16, 1, 1, 0}, loadPoints / 8},
		{detail{16, 24, 1, 1, 0}, detail{8, 16, 1, 1, 0}, loadPoints / 8},
		{detail{8, 16, 1, 1, 0}, detail{4, 12, 1, 1, 0}, loadPoints / 16},
		{detail{8, 16, 1, 1, 0}, detail{}, loadPoints / 16},
		{detail{}, detail{}, loadPoints / 16},
	}
)

// HTML writes report.html: one file which asks for nothing from anywhere, and
// holds scripts only if there are charts of load to draw. The pictures of scenarios come from the histories below run.Dir; one that is missing or
// corrupt is said so in its place. With many scenarios each is shown in less
// detail, and the page says that too.
func HTML(w io.Writer, run harness.Run) error {
	var drawn []section
	for _, r := range run.Scenarios {
		drawn = append(drawn, sectionOf(run, r))
	}
	var loads []load.Result
	for _, l := range run.Load {
		loads = append(loads, believable(l))
	}
	ms := measurements(loads)
	var b bytes.Buffer
	for i, d := range details {
		b.Reset()
		p := pageOf(run)
		p.Load = loadPartOf(ms, d.load)
		p.Reduced = i > 0
		for _, s := range drawn {
			p.Sections = append(p.Sections, s.with(d.told, d.held))
		}
		if err := pageTemplate.Execute(&b, p); err != nil {
			return fmt.Errorf("write HTML report: %w", err)
		}
		if b.Len() <= maxPage {
			break
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// page is what the template shows.
type page struct {
	CSP      string
	Style    template.CSS
	Run      harness.Run
	State    state
	Headline string
	Tally    tally
	Machine  string
	Command  string
	Started  string
	Checks   []string
	Rows     []row
	Sections []section
	Reduced  bool
	Load     *loadPart
	Tuned    []tuneRow // of a sweep, if there was one
	Sentence string    // of it
	Notes    []string  // likewise
}

// row is one line of the matrix of scenarios and checks.
type row struct {
	ID, Name string
	State    state
	Cells    []cell
}

type cell struct {
	State state
	Count int
	Title string
}

func pageOf(run harness.Run) page {
	p := page{
		Style: template.CSS(styleText), //nolint:gosec // our own embedded file, no input
		Run:   run, State: runState(run), Headline: headline(run), Tally: tallyOf(run),
		Machine: machine(run.Machine), Command: Shell(run.Command), Started: run.Started.UTC().Format("2006-01-02 15:04:05 UTC"),
		Checks: checkNames(run),
	}
	if p.State == stateNone {
		p.State.Word = "no verdict"
	}
	if run.Tune != nil {
		p.Tuned, p.Sentence, p.Notes = tuneRows(run.Tune), tuneSentence(run.Tune), tuneNotes(run.Tune)
	}
	for i, r := range run.Scenarios {
		p.Rows = append(p.Rows, rowOf(i, r, p.Checks))
	}
	p.CSP = policy(len(run.Load) > 0)
	return p
}

func rowOf(i int, r harness.Result, names []string) row {
	out := row{ID: sectionID(i), Name: r.Scenario, State: scenarioState(r)}
	found := map[string]check.Result{}
	for _, c := range r.Checks {
		found[c.Check] = c
	}
	for _, name := range names {
		c, ok := found[name]
		switch {
		case !ok:
			out.Cells = append(out.Cells, cell{State: stateNone})
		case c.Verdict == check.Held:
			out.Cells = append(out.Cells, cell{State: checkState(c)})
		default:
			out.Cells = append(out.Cells, cell{State: checkState(c), Count: c.Count, Title: plain(c.Reason, 120)})
		}
	}
	return out
}

func sectionID(i int) string { return fmt.Sprintf("s%d", i+1) }
