package reports

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/ksim-dev/ksim/harness/load"
)

// obj is a part of a Vega-Lite specification. Its keys are written in order, so that a page can be compared with
// another.
type obj = map[string]any

const (
	maxSeries   = 500 // points of one series
	maxCurves   = 12  // measurements in one chart: more lines than these nobody tells apart
	maxDetailed = 6   // measurements whose course is drawn
	chartHigh   = 220 // of the plot
)

// chart is one picture of the load part, and the same numbers as tables.
type chart struct {
	ID, Title, Alt string
	Notes          []string
	Spec           obj
	Tables         []numberTable
}

// numberTable is a table whose first column names the row.
type numberTable struct {
	Caption string
	Head    []string
	Rows    [][]string
	Words   int // columns of text from the left; the others are numbers
}

// measurement is one result with the name that all charts and tables use for it.
type measurement struct {
	load.Result
	Label string // unique in the run; ends in " ?" if the measurement must not be believed
	index int
}

// measurements names the results: by batch size, and by what else sets them apart.
func measurements(loads []load.Result) []measurement {
	names := []func(load.Result) string{
		func(l load.Result) string { return fmt.Sprint(l.BatchSize) },
		func(l load.Result) string { return fmt.Sprintf("%d at %s/s", l.BatchSize, number(l.Rate)) },
		func(l load.Result) string { return fmt.Sprintf("%d, %s", l.BatchSize, cmp.Or(l.Profile, l.Name)) },
	}
	var out []measurement
	for _, name := range names {
		out = out[:0]
		seen := map[string]bool{}
		for i, l := range loads {
			label := plain(name(l), 40)
			seen[label] = true
			if !l.Valid {
				label += " ?"
			}
			out = append(out, measurement{l, label, i})
		}
		if len(seen) == len(loads) {
			return out
		}
	}
	for i := range out {
		out[i].Label = fmt.Sprintf("%d. %s", i+1, out[i].Label)
	}
	return out
}

func labels(ms []measurement) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = m.Label
	}
	return out
}

// numbered is the id of a chart of one measurement.
func numbered(name string, m measurement) string { return fmt.Sprintf("%s-%d", name, m.index+1) }

// Colours are variables of report.css, so that a chart follows the dark mode without being drawn again. Six colours
// and four dashes meet again after twelve lines.
var (
	palette = []string{"var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"}
	dashes  = [][]int{{1, 0}, {7, 3}, {2, 3}, {9, 3, 2, 3}}
)

// lineStyles gives each of the names a colour and a dash, and one legend for both.
func lineStyles(field, title string, names []string) (colour, dash obj) {
	var colours []string
	var strokes [][]int
	for i := range names {
		colours, strokes = append(colours, palette[i%len(palette)]), append(strokes, dashes[i%len(dashes)])
	}
	legend := obj{"symbolType": "stroke", "symbolSize": 500, "symbolStrokeWidth": 2.5, "columns": 6}
	colour = nominal(field, obj{"domain": names, "range": colours})
	dash = nominal(field, obj{"domain": names, "range": strokes})
	for _, channel := range []obj{colour, dash} {
		channel["title"], channel["legend"] = title, legend
	}
	return colour, dash
}

func nominal(field string, scale obj) obj {
	return obj{"field": field, "type": "nominal", "sort": nil, "scale": scale}
}

func quantity(field, title string) obj {
	return obj{"field": field, "type": "quantitative", "title": title, "axis": obj{"format": "~r"}}
}

// logLatency is a latency on a logarithmic axis.
func logLatency(field string) obj {
	q := quantity(field, "latency, ms (log)")
	q["scale"] = obj{"type": "log", "nice": false, "padding": 6}
	q["axis"] = obj{"format": "~r", "tickCount": 5}
	return q
}

func values(rows []obj) obj {
	if rows == nil {
		rows = []obj{} // null would mean that the data are above
	}
	return obj{"values": rows}
}

// layered is a chart as wide as the page.
func layered(high int, layers ...obj) obj {
	return obj{"width": "container", "height": high, "layer": layers}
}

// vegaConfig is the look that all charts have in common. The pictures are told to screen readers by the element
// around them, and their numbers by the tables: not mark by mark.
func vegaConfig() obj {
	return obj{
		"aria": false, "background": nil, "padding": obj{"left": 2, "right": 12, "top": 4, "bottom": 2},
		"autosize": obj{"type": "fit-x", "contains": "padding"},
		"font":     "system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, DejaVu Sans, sans-serif",
		"view":     obj{"stroke": nil},
		"axis": obj{
			"labelColor": "var(--soft)", "titleColor": "var(--soft)", "gridColor": "var(--rule)", "domainColor": "var(--soft)", "tickColor": "var(--rule)",
			"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 6, "labelLimit": 260,
		},
		"axisY":  obj{"minExtent": 46},
		"legend": obj{"orient": "top", "labelColor": "var(--ink)", "titleColor": "var(--soft)", "titleFontWeight": "normal", "labelFontSize": 12, "titleFontSize": 12, "titleOrient": "left", "titleAnchor": "middle", "labelLimit": 260},
		"line":   obj{"strokeWidth": 2, "strokeJoin": "round"},
		"text":   obj{"fontSize": 12, "color": "var(--ink)"},
		"rule":   obj{"color": "var(--soft)"},
		"bar":    obj{"tooltip": true}, "point": obj{"tooltip": true}, "tick": obj{"tooltip": true},
	}
}

// positive is v, or null where a logarithmic axis has no place for it: the line breaks there.
func positive(v float64) any {
	if v <= 0 {
		return nil
	}
	return round(v)
}

// round keeps the digits that a picture can show.
func round(v float64) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil {
		return v
	}
	return out
}

// cellMS prints milliseconds in a table; what was not measured is a dash.
func cellMS(v float64) string {
	if v <= 0 {
		return "–"
	}
	return number(v)
}

// percent prints a percentile without the zeros that end it.
func percent(p float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.4f", p), "0"), ".")
}
