package tune

import (
	"fmt"

	"github.com/ksim-dev/ksim/harness/load"
)

// Difference is how two settings differ in one metric.
type Difference struct {
	Metric string  `json:"metric"`
	Unit   string  `json:"unit"`
	A      Summary `json:"a"`
	B      Summary `json:"b"`
	P      float64 `json:"p"`       // of the Mann-Whitney U test, 0 to 1
	Differ bool    `json:"differ"`  // p is below 0.05
	Better string  `json:"better"`  // "a", "b", or "" where they do not differ
	Delta  string  `json:"delta"`   // of the medians, from a to b: "+20.00%"; "~" where they do not differ, "?" if a is 0
	Change float64 `json:"percent"` // the same as a number, %; 0 for "~" and "?"
	Note   string  `json:"note,omitempty"`
}

// Compare tells metric by metric whether B differs from A. Only valid trials count. A metric that neither of them measured is left out.
func Compare(a, b []load.Result) []Difference {
	va, vb := validOf(a), validOf(b)
	var out []Difference
	for _, m := range Metrics() {
		d := Difference{Metric: m.String(), Unit: m.Unit(), A: summaryOf(m, va), B: summaryOf(m, vb), Delta: "~"}
		if d.A.N+d.B.N == 0 {
			continue
		}
		c := test(d.A, d.B)
		d.P, d.Differ = c.P, c.P < alpha
		for _, w := range c.Warnings {
			d.Note = w.Error()
		}
		if d.Differ {
			d.measure(m)
		}
		out = append(out, d)
	}
	return out
}

// measure says by how much and for whom they differ. Samples may differ while their medians do not.
func (d *Difference) measure(m Metric) {
	switch more := d.B.Median > d.A.Median; {
	case d.A.Median == d.B.Median:
	case more == m.HigherIsBetter():
		d.Better = "b"
	default:
		d.Better = "a"
	}
	if d.A.Median == 0 && d.B.Median != 0 {
		d.Delta = "?"
		return
	}
	if d.A.Median != d.B.Median {
		d.Change = (d.B.Median/d.A.Median - 1) * 100
	}
	d.Delta = fmt.Sprintf("%+.2f%%", d.Change)
}

// test is the last column of a table in the form of benchstat: "(p=0.008 n=7+7)".
func (d Difference) test() string { return fmt.Sprintf("(p=%0.3f n=%d+%d)", d.P, d.A.N, d.B.N) }
