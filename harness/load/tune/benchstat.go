package tune

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/ksim-dev/ksim/harness/load"
)

// Benchstat writes the comparison of two settings: first every valid trial as a line of the Go benchmark format, which benchstat reads, then a table in its form. Names are
// such as Setting.Key gives.
func Benchstat(w io.Writer, nameA string, a []load.Result, nameB string, b []load.Result) error {
	var buf bytes.Buffer
	units(&buf)
	lines(&buf, nameA, a)
	lines(&buf, nameB, b)
	buf.WriteByte('\n')
	if err := differences(&buf, nameA, nameB, Compare(a, b)); err != nil {
		return err
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// BenchmarkLines writes every valid trial of the points as a line of the Go benchmark format.
func BenchmarkLines(w io.Writer, points []Point) error {
	var buf bytes.Buffer
	units(&buf)
	for _, p := range points {
		lines(&buf, p.Setting.Key(), p.Trials)
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// units tells benchstat which way is better.
func units(buf *bytes.Buffer) {
	for _, m := range Metrics() {
		better := "lower"
		if m.HigherIsBetter() {
			better = "higher"
		}
		fmt.Fprintf(buf, "Unit %s better=%s\n", m.Unit(), better)
	}
}

func lines(buf *bytes.Buffer, name string, trials []load.Result) {
	valid := validOf(trials)
	for _, r := range valid {
		fmt.Fprintf(buf, "BenchmarkKsim/%s 1", word(name))
		for _, m := range Metrics() {
			if v, ok := kinds[m].read(r); ok {
				fmt.Fprintf(buf, " %s %s", strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64), m.Unit())
			}
		}
		buf.WriteByte('\n')
	}
	if n := len(trials) - len(valid); n > 0 {
		fmt.Fprintf(buf, "# %s of %s left out\n", count(n, "invalid trial"), word(name))
	}
}

// word makes a name that the format can hold: it ends a name at a space.
func word(name string) string { return strings.Join(strings.Fields(name), "_") }

// differences is the table of benchstat: a row for each metric.
func differences(w io.Writer, nameA, nameB string, ds []Difference) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tab, "metric\told %s\tnew %s\tdelta\n", word(nameA), word(nameB))
	for _, d := range ds {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", d.Unit, cell(d.A), cell(d.B), d.Delta, d.test())
	}
	return tab.Flush()
}

// cell is a median and how far its interval goes: "41.2 ± 3%", "∞" where that is not known.
func cell(s Summary) string {
	if s.N == 0 {
		return "-"
	}
	median := strconv.FormatFloat(s.Median, 'g', 4, 64)
	if math.Abs(s.Median) >= 1000 {
		median = strconv.FormatFloat(s.Median, 'f', 0, 64)
	}
	switch {
	case !s.Known:
		return median + " ± ∞"
	case s.Low == s.High:
		return median + " ± 0%"
	case s.Median == 0:
		return median + " ± ?"
	}
	return fmt.Sprintf("%s ± %.0f%%", median, 100*max(s.High/s.Median-1, 1-s.Low/s.Median))
}
