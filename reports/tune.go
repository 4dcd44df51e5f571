package reports

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/ksim-dev/ksim/harness/load/tune"
)

// tuneRow is one setting of a sweep as tables show it.
type tuneRow struct {
	Setting                                           string
	Trials                                            string // "7", "6 of 7" where some do not count
	Through, P50, P99, P999, CPU, Repeated, Predicted string
	Front, Chosen                                     bool
}

// tuneRows are the settings in the order they were asked for.
func tuneRows(r *tune.Report) (rows []tuneRow) {
	for _, p := range r.Points {
		row := tuneRow{
			Setting: p.Setting.String(), Trials: fmt.Sprint(p.Valid),
			Through: interval(p.Throughput), P50: interval(p.P50), P99: interval(p.P99), P999: interval(p.P999), CPU: interval(p.CPU),
			Repeated: interval(p.Reprocessed), Predicted: center(p.Predicted),
			Front:  slices.Contains(r.Front, p.Setting),
			Chosen: r.Recommendation.Setting != nil && *r.Recommendation.Setting == p.Setting,
		}
		if p.Invalid > 0 {
			row.Trials = fmt.Sprintf("%d of %d", p.Valid, p.Valid+p.Invalid)
		}
		rows = append(rows, row)
	}
	return rows
}

// interval is a median with the ends of its interval; "?" stands for an end that too few trials leave open.
func interval(s tune.Summary) string {
	switch {
	case s.N == 0:
		return "–"
	case !s.Known:
		return number(s.Median) + " (?)"
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Low), number(s.High))
}

func center(s tune.Summary) string {
	if s.N == 0 {
		return "–"
	}
	return number(s.Median)
}

// tuneNotes are the sentences beside the recommendation: what would change it, what is out and why, and which trials do not count.
func tuneNotes(r *tune.Report) (notes []string) {
	for _, c := range r.Recommendation.Changes {
		if len(r.Comparison) == 0 {
			notes = append(notes, c.String())
		}
	}
	for _, e := range r.Recommendation.Excluded {
		notes = append(notes, e.String())
	}
	for _, p := range r.Points {
		if p.Invalid > 0 && p.Valid > 0 { // of one without a valid trial it is told above
			why := fmt.Sprintf("%d of %d trials do not count: %s", p.Invalid, p.Valid+p.Invalid, p.Reason())
			notes = append(notes, tune.Ruling{Setting: p.Setting, Why: why}.String())
		}
	}
	return notes
}

// tuneSentence is what to run with, or why that cannot be told; "" where two settings were compared, and none is to be recommended.
func tuneSentence(r *tune.Report) string {
	if len(r.Comparison) > 0 {
		return ""
	}
	return r.Recommendation.Sentence
}

var tuneColumns = []string{"setting", "trials", "done/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU s/1000", "repeated", "predicted"}

func (r tuneRow) cells() []string {
	name := r.Setting
	switch {
	case r.Chosen:
		name += " ←"
	case r.Front:
		name += " *"
	}
	return []string{name, r.Trials, r.Through, r.P50, r.P99, r.P999, r.CPU, r.Repeated, r.Predicted}
}

// tune writes the sweep for a terminal.
func (p *printer) tune(r *tune.Report) {
	if r == nil {
		return
	}
	rows := [][]string{tuneColumns}
	for _, row := range tuneRows(r) {
		rows = append(rows, row.cells())
	}
	wide := make([]int, len(tuneColumns))
	for _, row := range rows {
		for i, c := range row {
			wide[i] = max(wide[i], len([]rune(c)))
		}
	}
	for _, row := range rows {
		var line bytes.Buffer
		for i, c := range row {
			pad := strings.Repeat(" ", wide[i]-len([]rune(c)))
			if i == 0 {
				line.WriteString(c + pad)
			} else {
				line.WriteString("  " + pad + c)
			}
		}
		p.line("%s", strings.TrimRight(line.String(), " "))
	}
	p.line("median (%g %% interval); repeated per crash; * no other setting is better; ← recommended", 100*tune.Confidence)
	p.line("")
	if len(r.Comparison) > 0 {
		_ = tune.Benchstat(p, r.Points[0].Setting.Key(), r.Points[0].Trials, r.Points[1].Setting.Key(), r.Points[1].Trials) // a buffer takes everything
		p.line("")
	}
	for _, t := range tuneNotes(r) { // what to run with is the last line of the summary
		p.line("%s", plain(t, 400))
	}
	p.line("")
}

// mdTune writes the sweep for a pull request.
func mdTune(b *bytes.Buffer, r *tune.Report) {
	if r == nil {
		return
	}
	b.WriteString("\n## Tuning\n\n")
	if s := tuneSentence(r); s != "" {
		b.WriteString(mdText(s) + "\n\n")
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(tuneColumns, " | "), strings.Repeat("---|", len(tuneColumns)))
	for _, row := range tuneRows(r) {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row.cells(), " | "))
	}
	for _, t := range tuneNotes(r) {
		fmt.Fprintf(b, "\n- %s", mdText(t))
	}
	b.WriteByte('\n')
}
