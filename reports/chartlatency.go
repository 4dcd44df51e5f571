package reports

import (
	"fmt"
	"slices"

	"github.com/ksim-dev/ksim/harness/load"
)

// percentileAxis shows 1/(1-p) as p: each step of the same width is another nine.
const percentileAxis = "datum.value < 1.5 ? '0 %' : datum.value < 5 ? '50 %' : format(100 - 100 / datum.value, '.7~f') + ' %'"

// curveOf is a latency by percentile, without the maximum: 100 has no place on the axis, the table has it.
func curveOf(t load.Latency, most int) [][2]float64 {
	ps := t.Percentiles
	if len(ps) == 0 {
		ps = [][2]float64{{50, t.P50}, {90, t.P90}, {99, t.P99}, {99.9, t.P999}}
	}
	var out [][2]float64
	for _, p := range thin(ps, most) {
		if p[0] >= 0 && p[0] < 100 && p[1] > 0 {
			out = append(out, p)
		}
	}
	return out
}

// latencyChart shows latency by percentile, a line for each measurement.
func latencyChart(ms []measurement, most int) (chart, bool) {
	all := len(ms)
	ms = thin(ms, maxCurves)
	c := chart{
		ID: "latency", Title: "Latency by percentile",
		Alt:   fmt.Sprintf("Latency by percentile, %s by batch size. The table below has the numbers.", plural(len(ms), "line")),
		Notes: []string{"From the moment a message was due to its effect done. Each step to the right is another nine: the tail, not the median, is what a user meets."},
	}
	t := numberTable{Caption: "Latency by percentile", Head: []string{"batch size", "percentile", "ms"}, Words: 1}
	var rows []obj
	nines := 10.0
	for _, m := range ms {
		for _, p := range curveOf(m.Latency, timePoints(most, len(ms))) {
			x := 100 / (100 - p[0])
			nines = max(nines, x)
			rows = append(rows, obj{"batch": m.Label, "x": round(x), "ms": round(p[1])})
			t.Rows = append(t.Rows, []string{m.Label, percent(p[0]) + " %", number(p[1])})
		}
		t.Rows = append(t.Rows, []string{m.Label, "maximum", number(m.Latency.Max)})
	}
	if len(rows) == 0 {
		return chart{}, false
	}
	x := quantity("x", "percentile of messages")
	x["scale"] = obj{"type": "log", "domain": []float64{1, round(nines * 1.05)}, "nice": false}
	x["axis"] = obj{"values": []int{1, 2, 10, 100, 1000, 10000, 100000}, "labelExpr": percentileAxis}
	c.Notes = append(c.Notes, some(len(ms), all)...)
	colour, dash := lineStyles("batch", "batch size", labels(ms))
	c.Spec = layered(chartHigh+60, obj{
		"data": values(rows), "mark": obj{"type": "line"},
		"encoding": obj{"x": x, "y": logLatency("ms"), "color": colour, "strokeDash": dash},
	})
	c.Tables = []numberTable{t}
	return c, true
}

// The lesson of the closed loop, in one sentence.
const closedLoopLesson = "A closed loop asks for the next message only when the last one is done, so it does not see what a stall delays: " +
	"the messages that would have had to wait are never sent, and their waiting is missing from its figures."

// closedLoopChart shows what a closed loop would have read beside what the open loop did.
func closedLoopChart(ms []measurement) (chart, bool) {
	c := chart{
		ID: "closed-loop", Title: "Open loop and closed loop, the same run",
		Alt:   "Latency percentiles as an open and as a closed loop read them, by batch size. The table below has the numbers.",
		Notes: []string{closedLoopLesson},
	}
	t := numberTable{Caption: "The same run read in two ways, ms", Head: []string{"batch size", "percentile", "open loop", "closed loop", "open is"}, Words: 2}
	var points, pairs []obj
	var order []string
	ms = slices.DeleteFunc(slices.Clone(ms), func(m measurement) bool { return m.ClosedLoop == nil })
	c.Notes = append(c.Notes, some(min(len(ms), maxDetailed), len(ms))...)
	for _, m := range thin(ms, maxDetailed) {
		for _, p := range []struct {
			name         string
			open, closed float64
		}{{"p50", m.Latency.P50, m.ClosedLoop.P50}, {"p99", m.Latency.P99, m.ClosedLoop.P99}, {"p99.9", m.Latency.P999, m.ClosedLoop.P999}, {"max", m.Latency.Max, m.ClosedLoop.Max}} {
			row := m.Label + ": " + p.name
			order = append(order, row)
			times := "–"
			if p.closed > 0 {
				times = number(round(p.open/p.closed)) + " times"
			}
			t.Rows = append(t.Rows, []string{m.Label, p.name, number(p.open), number(p.closed), times})
			if p.open <= 0 || p.closed <= 0 {
				continue
			}
			pairs = append(pairs, obj{"row": row, "open": round(p.open), "closed": round(p.closed)})
			points = append(points, obj{"row": row, "loop": "open loop", "ms": round(p.open)}, obj{"row": row, "loop": "closed loop", "ms": round(p.closed)})
		}
	}
	if len(points) == 0 {
		return chart{}, false
	}
	y := obj{"field": "row", "type": "nominal", "sort": order, "title": nil, "axis": obj{"grid": true}}
	domain := []string{"open loop", "closed loop"}
	x := logLatency("ms")
	from := logLatency("open")
	c.Spec = layered(20*len(order),
		obj{"data": values(pairs), "mark": obj{"type": "rule", "strokeWidth": 2}, "encoding": obj{"y": y, "x": from, "x2": obj{"field": "closed"}}},
		obj{"data": values(points), "mark": obj{"type": "point", "size": 90, "opacity": 1, "filled": true}, "encoding": obj{"y": y, "x": x,
			"color": seriesColour("loop", domain, palette[0], palette[1]), "shape": seriesShape("loop", domain, "circle", "diamond")}})
	c.Tables = []numberTable{t}
	return c, true
}

// some says that not all measurements are drawn.
func some(drawn, all int) []string {
	if drawn == all {
		return nil
	}
	return []string{fmt.Sprintf("%d of %d measurements, evenly chosen; report.json has all.", drawn, all)}
}

// seriesColour and seriesShape tell the kinds of points apart, under one legend.
func seriesColour(field string, domain []string, colours ...string) obj {
	c := nominal(field, obj{"domain": domain, "range": colours})
	c["title"] = nil
	return c
}

func seriesShape(field string, domain []string, shapes ...string) obj {
	c := nominal(field, obj{"domain": domain, "range": shapes})
	c["title"] = nil
	return c
}
