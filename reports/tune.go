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

// tuneTold are the sentences below the table: what to run with, what else would do, what would change it, what is out and why.
func tuneTold(r *tune.Report) (told []string) {
	rec := r.Recommendation
	if len(r.Comparison) == 0 {
		told = append(told, rec.Sentence)
		for _, c := range rec.Changes {
			told = append(told, capital(c.Text))
		}
	}
	for _, e := range rec.Excluded {
		told = append(told, fmt.Sprintf("%s: %s", capital(e.Setting.String()), e.Why))
	}
	for _, p := range r.Points {
		if reason := firstReason(p); reason != "" && p.Valid > 0 { // of one without a valid trial it is told above
			told = append(told, fmt.Sprintf("%s: %d of %d trials do not count: %s", capital(p.Setting.String()), p.Invalid, p.Valid+p.Invalid, reason))
		}
	}
	return told
}

func firstReason(p tune.Point) string {
	for _, t := range p.Trials {
		if !t.Valid {
			return t.Reason
		}
	}
	return ""
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
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
	told := tuneTold(r)
	if len(r.Comparison) == 0 {
		told = told[1:] // what to run with is the last line
	}
	for _, t := range told {
		p.line("%s", plain(t, 400))
	}
	p.line("")
}

// mdTune writes the sweep for a pull request.
func mdTune(b *bytes.Buffer, r *tune.Report) {
	if r == nil {
		return
	}
	fmt.Fprintf(b, "\n## Tuning\n\n%s\n\n| %s |\n|%s\n", mdText(r.Recommendation.Sentence), strings.Join(tuneColumns, " | "), strings.Repeat("---|", len(tuneColumns)))
	for _, row := range tuneRows(r) {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row.cells(), " | "))
	}
	for _, t := range tuneTold(r)[min(1, len(tuneTold(r))):] {
		fmt.Fprintf(b, "\n- %s", mdText(t))
	}
	b.WriteByte('\n')
}
