package matrix

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/mutant"
)

// Golden is the matrix of all mutants, as Stable writes it: it is the same in every run.
//
//go:embed testdata/matrix.golden
var Golden string

// columns are the checks that are meant for any of the rows, and those that were violated
// if all is wanted, in the order of the checks.
func (m Matrix) columns(all bool) (names []string) {
	want := map[string]bool{}
	for _, r := range slices.Concat(m.Mutants, m.Correct) {
		for _, name := range r.Meant {
			want[name] = true
		}
		for _, name := range slices.Concat(r.Also, r.Stray) {
			want[name] = want[name] || all
		}
	}
	for _, c := range check.All() {
		if want[c.Name] {
			names = append(names, c.Name)
		}
	}
	return names
}

// cell is what a row shows of a check: K caught by the check that is meant for it, k violated too,
// ! violated and not expected, ? meant for it and waiting, · nothing.
func (r Row) cell(name string, all bool) string {
	switch {
	case slices.Contains(r.Caught, name):
		return "K"
	case all && slices.Contains(r.Also, name):
		return "k"
	case all && slices.Contains(r.Stray, name):
		return "!"
	case r.Status == Waits && slices.Contains(r.Meant, name):
		return "?"
	}
	return "·"
}

// Stable writes what is the same in every run: what each mutant is meant to be caught
// by, and was.
func (m Matrix) Stable(w io.Writer) error {
	return m.table(w, false)
}

func (m Matrix) table(w io.Writer, all bool) error {
	names := m.columns(all)
	var b strings.Builder
	for i, name := range names {
		fmt.Fprintf(&b, "%2d %-16s", i+1, name)
		if i%4 == 3 || i == len(names)-1 {
			b.WriteString("\n")
		}
	}
	fmt.Fprintf(&b, "\n%-28s", "mutant")
	for i := range names {
		fmt.Fprintf(&b, " %2d", i+1)
	}
	b.WriteString("\n")
	for _, r := range slices.Concat(m.Mutants, m.Correct) {
		fmt.Fprintf(&b, "%-28s", r.Name)
		for _, name := range names {
			b.WriteString("  " + r.cell(name, all))
		}
		fmt.Fprintf(&b, "  %s\n", r.Status.words())
	}
	_, err := io.WriteString(w, trimLines(b.String()))
	return err
}

// words is the status in a sentence.
func (s Status) words() string {
	if s == Waits {
		return "not provoked yet"
	}
	return string(s)
}

func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

const legend = "K caught by the check that is meant for it   k also violated   ! violated, and not expected   ? waits   · nothing\n"

// Text writes the matrix for people: the table, then what came of each consumer
// and the command that runs it alone.
func (m Matrix) Text(w io.Writer) error {
	var b strings.Builder
	_ = m.table(&b, true) // a strings.Builder takes everything
	b.WriteString("\n" + legend + "\n")
	for _, r := range slices.Concat(m.Mutants, m.Correct) {
		fmt.Fprintf(&b, "%-9s %-28s %s\n", r.Status, r.Name, r.told())
	}
	fmt.Fprintf(&b, "\n%s\n", m.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// Markdown writes the matrix as a table.
func (m Matrix) Markdown(w io.Writer) error {
	names := m.columns(true)
	var b strings.Builder
	b.WriteString("| | " + strings.Join(names, " | ") + " | |\n|---|" + strings.Repeat("---|", len(names)) + "---|\n")
	for _, r := range slices.Concat(m.Mutants, m.Correct) {
		b.WriteString("| " + r.Name)
		for _, name := range names {
			b.WriteString(" | " + r.cell(name, true))
		}
		fmt.Fprintf(&b, " | %s: %s |\n", r.Status, r.told())
	}
	b.WriteString("\n" + legend + "\n" + m.summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// told is one line about a row.
func (r Row) told() string {
	var parts []string
	if len(r.Caught) > 0 {
		parts = append(parts, "by "+strings.Join(r.Caught, ", "))
	}
	if len(r.Also) > 0 {
		parts = append(parts, "also "+strings.Join(r.Also, ", "))
	}
	if len(r.Stray) > 0 {
		parts = append(parts, "not expected "+strings.Join(r.Stray, ", "))
	}
	if r.Reason != "" {
		parts = append(parts, r.Reason)
	}
	seconds := 0.0
	for _, run := range r.Runs {
		seconds += run.Seconds
	}
	switch n := len(r.Runs); {
	case n == 1:
		parts = append(parts, fmt.Sprintf("in %s, %.1f s", r.Runs[0].Scenario, seconds))
	case n > 1:
		parts = append(parts, fmt.Sprintf("in %d runs, %.1f s", n, seconds))
	}
	if len(r.Meant) > 0 && r.Status != Waits {
		parts = append(parts, "ksim mutants --only "+r.Name)
	}
	return strings.Join(parts, "; ")
}

func (m Matrix) summary() string {
	n := map[Status]int{}
	for _, r := range slices.Concat(m.Mutants, m.Correct) {
		n[r.Status]++
	}
	text := fmt.Sprintf("%d of %d mutants killed", n[Killed], len(m.Mutants)-n[Waits])
	for _, s := range []Status{Survived, Unknown, Missing, Failed, Waits} {
		if n[s] > 0 {
			text += fmt.Sprintf(", %d %s", n[s], s.words())
		}
	}
	return text + fmt.Sprintf("; %d of %d correct consumers held, in %.0f s", n[Held], len(m.Correct), m.Seconds)
}

// Page is the body of docs/mutants.md.
func Page() string {
	var b strings.Builder
	b.WriteString("# Mutants\n\n" +
		"A check that has never failed proves nothing. Each mutant is a consumer that is right but for one classic mistake, and must be caught by the check that is\n" +
		"meant for it; the careful consumer that all of them are made from ([careful.go](../harness/mutant/careful.go)), and the reference consumer, must be held in the same scenarios.\n" +
		"`ksim mutants` runs them all, `ksim mutants --only NAME` one of them.\n\n```\n")
	b.WriteString(Golden)
	b.WriteString("```\n\n" + "K: caught by the check that is meant for it.\n\n")
	b.WriteString("| mutant | mistake | caught by | in |\n|---|---|---|---|\n")
	all := mutant.All()
	for _, m := range all {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", m.Name, m.Name, m.Mistake, checkLinks(m.Caught), strings.Join(m.Scenarios, ", "))
	}
	for _, m := range all {
		fmt.Fprintf(&b, "\n## %s\n\n%s %s\n", m.Name, m.Mistake, m.Doc)
	}
	return b.String()
}

// checkLinks links checks to their definitions.
func checkLinks(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = fmt.Sprintf("[%s](guarantees.md#%s)", name, name)
	}
	return strings.Join(out, ", ")
}
