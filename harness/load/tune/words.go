package tune

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// figure rounds a value to what people compare: whole numbers from 10 on, one or two digits after the point below.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a >= 10 || a == 0:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1:
		return trimmed(v, 1)
	}
	return trimmed(v, 2)
}

// trimmed writes at most n digits after the point.
func trimmed(v float64, n int) string {
	text := strconv.FormatFloat(v, 'f', n, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// amount is a value with its unit, as sentences have it.
func amount(m Metric, v float64) string {
	switch m {
	case Throughput:
		return figure(v) + " messages/s"
	case P50, P99, P999:
		return figure(v) + " ms"
	case CPU:
		return figure(v) + " CPU seconds per 1000 messages"
	}
	return records(v)
}

// spread is a median with its interval: "p99 41 ms (38 to 45)".
func spread(m Metric, s Summary) string {
	name := m.String() + " "
	if m == Reprocessed {
		name = "a crash repeats "
	}
	if !s.Known {
		return name + amount(m, s.Median) + " (interval not known)"
	}
	return fmt.Sprintf("%s%s (%s to %s)", name, amount(m, s.Median), figure(s.Low), figure(s.High))
}

func records(v float64) string {
	text := figure(v)
	if text == "1" {
		return "1 record"
	}
	return text + " records"
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func capital(text string) string {
	return strings.ToUpper(text[:1]) + text[1:]
}

// name is a point's setting without what is the same in all of them; the batch size is always told.
func (t *table) name(i int) string { return t.brief(t.points[i].Setting) }

// long is the same for the recommendation, which always tells the wait too.
func (t *table) long(s Setting) string {
	text := fmt.Sprintf("batch size %d, wait %s", s.BatchSize, s.BatchWait)
	if t.vary(func(p Point) bool { return p.Setting.Concurrency != s.Concurrency }) {
		text += fmt.Sprintf(", concurrency %d", s.Concurrency)
	}
	return text
}

func (t *table) brief(s Setting) string {
	text := fmt.Sprintf("batch %d", s.BatchSize)
	if t.vary(func(p Point) bool { return p.Setting.BatchWait != s.BatchWait }) {
		text += fmt.Sprintf(", wait %s", s.BatchWait)
	}
	if t.vary(func(p Point) bool { return p.Setting.Concurrency != s.Concurrency }) {
		text += fmt.Sprintf(", concurrency %d", s.Concurrency)
	}
	return text
}

func (t *table) vary(other func(Point) bool) bool { return slices.ContainsFunc(t.points, other) }
