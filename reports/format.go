package reports

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
)

// seconds prints a time of the history as the reports do: 12.345 s.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// plural is "1 scenario" or "2 scenarios".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// windows prints the offsets that a cause may repeat, at most n of them.
func windows(ws []check.Window, n int) string {
	var parts []string
	for i, w := range ws {
		if i == n {
			parts = append(parts, fmt.Sprintf("and %d more", len(ws)-n))
			break
		}
		parts = append(parts, fmt.Sprintf("%s/%d [%d, %d)", w.Topic, w.Partition, w.From, w.To))
	}
	return strings.Join(parts, ", ")
}

// figure is one named number of a check.
type figure struct {
	Check, Name string
	Value       float64
}

// figures lists the figures of all checks of a scenario, in a stable order.
func figures(r harness.Result) []figure {
	var out []figure
	for _, c := range r.Checks {
		for _, name := range slices.Sorted(maps.Keys(c.Figures)) {
			out = append(out, figure{c.Check, name, c.Figures[name]})
		}
	}
	return out
}

// number prints a figure with as many digits as a reader can use.
func number(v float64) string {
	switch a := max(v, -v); {
	case v == float64(int64(v)) && a < 1e15:
		return fmt.Sprintf("%d", int64(v))
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 1:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// plain is s without control characters, cut to limit runes. What comes from a
// subject or a broker may hold anything, terminal escapes included.
func plain(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			b.WriteRune('…')
			break
		}
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
