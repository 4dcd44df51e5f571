package reports

import (
	"fmt"
	"math"
	"strings"

	"github.com/ksim-dev/ksim/harness/load"
)

// batchAxis has a place for each measurement.
func batchAxis(ms []measurement) obj {
	return obj{"field": "batch", "type": "nominal", "sort": labels(ms), "title": "batch size", "axis": obj{"labelAngle": 0, "labelFontSize": 12, "labelOverlap": true}}
}

// throughputChart shows effects done per second, and what was offered.
func throughputChart(ms []measurement) chart {
	ms = thin(ms, maxSeries)
	c := chart{
		ID: "throughput", Title: "Throughput by batch size",
		Alt:   "Throughput done and offered by batch size. The table below has the numbers.",
		Notes: []string{"A bar that stays below its mark did not keep up with what was offered."},
	}
	t := numberTable{Caption: "Throughput, messages/s", Head: []string{"batch size", "offered", "done", "MB/s", "a consumer that does nothing"}, Words: 1}
	var rows []obj
	for _, m := range ms {
		rows = append(rows, obj{"batch": m.Label, "done": round(m.Through), "offered": round(m.Rate), "text": number(m.Through), "valid": m.Valid})
		ceiling := "–"
		if m.Ceiling != nil {
			ceiling = number(m.Ceiling.Through)
		}
		t.Rows = append(t.Rows, []string{m.Label, number(m.Rate), number(m.Through), number(m.MBps), ceiling})
	}
	x, y := batchAxis(ms), quantity("done", "messages/s")
	domain := []string{"done", "offered"}
	colour := func(name string) obj {
		return obj{"datum": name, "type": "nominal", "title": nil, "scale": obj{"domain": domain, "range": []string{"var(--c5)", "var(--ink)"}}}
	}
	bar := obj{"type": "bar", "width": obj{"band": 0.5}}
	solid := obj{"condition": obj{"test": "datum.valid", "value": 1}, "value": 0.35}
	c.Spec = layered(chartHigh,
		obj{"mark": bar, "encoding": obj{"x": x, "y": y, "color": colour("done"), "fillOpacity": solid}},
		obj{"mark": obj{"type": "tick", "thickness": 3, "width": obj{"band": 0.7}}, "encoding": obj{"x": x, "y": quantity("offered", "messages/s"), "color": colour("offered")}})
	if len(ms) <= maxCurves {
		c.Spec["layer"] = append(c.Spec["layer"].([]obj), obj{"mark": obj{"type": "text", "baseline": "bottom", "dy": -6, "fontWeight": "bold"},
			"encoding": obj{"x": x, "y": obj{"datum": 0, "type": "quantitative"}, "text": obj{"field": "text", "type": "nominal"}}})
	}
	c.Spec["data"] = values(rows)
	c.Tables = []numberTable{t}
	return c
}

// blastChart shows what a crash made the subject repeat, beside what the model predicts.
func blastChart(ms []measurement) (chart, bool) {
	ms = thin(ms, maxSeries)
	c := chart{
		ID: "blast", Title: "Blast radius: repeated after a crash in a batch",
		Alt:   "Effects repeated after a crash, measured and predicted, by batch size. The table below has the numbers.",
		Notes: []string{"Short lines: each crash that was made. The bar: what the model allows."},
	}
	t := numberTable{Caption: "Effects repeated after a crash", Head: []string{"batch size", "measured", "predicted", "at least", "at most", "crashes", "each of them"}, Words: 1}
	var points, ranges, each []obj
	top := 10.0
	for _, m := range ms {
		r := m.Reprocessed
		if r.Crashes == 0 {
			t.Rows = append(t.Rows, []string{m.Label, "–", "–", "–", "–", "0", "–"})
			continue
		}
		top = max(top, float64(r.Measured), r.Predicted, float64(r.High))
		ranges = append(ranges, obj{"batch": m.Label, "kind": "predicted", "low": r.Low, "high": r.High})
		points = append(points, obj{"batch": m.Label, "kind": "predicted", "n": round(r.Predicted)}, obj{"batch": m.Label, "kind": "measured", "n": r.Measured})
		for _, n := range thin(r.Each, maxSeries/len(ms)) {
			top = max(top, float64(n))
			each = append(each, obj{"batch": m.Label, "kind": "measured", "n": n})
		}
		t.Rows = append(t.Rows, []string{m.Label, fmt.Sprint(r.Measured), number(r.Predicted), fmt.Sprint(r.Low), fmt.Sprint(r.High), fmt.Sprint(r.Crashes), crashes(r)})
	}
	if len(points) == 0 {
		return chart{}, false
	}
	// Nothing repeated is a result, so the axis has a place for 0.
	ticks := []float64{0}
	for n := 1.0; n <= top*10; n *= 10 {
		ticks = append(ticks, n)
	}
	y := func(field string) obj {
		q := quantity(field, "effects repeated (log)")
		q["scale"] = obj{"type": "symlog", "domain": []float64{0, math.Ceil(top * 1.3)}, "nice": false}
		q["axis"] = obj{"values": ticks, "format": "~r"}
		return q
	}
	x, domain := batchAxis(ms), []string{"measured", "predicted"}
	beside := obj{"field": "kind", "type": "nominal", "sort": domain, "scale": obj{"domain": domain}}
	c.Spec = layered(chartHigh,
		obj{"data": values(ranges), "mark": obj{"type": "bar", "width": obj{"band": 0.35}, "color": "var(--soft)", "fillOpacity": 0.22, "stroke": "var(--soft)"}, "encoding": obj{"x": x, "xOffset": beside, "y": y("low"), "y2": obj{"field": "high"}}},
		obj{"data": values(each), "mark": obj{"type": "tick", "thickness": 2, "width": obj{"band": 0.7}, "color": "var(--ink)"}, "encoding": obj{"x": x, "xOffset": beside, "y": y("n")}},
		obj{"data": values(points), "mark": obj{"type": "point", "size": 110, "opacity": 1, "filled": true}, "encoding": obj{"x": x, "xOffset": beside, "y": y("n"),
			"color": seriesColour("kind", domain, palette[1], palette[0]), "shape": seriesShape("kind", domain, "circle", "diamond")}})
	c.Tables = []numberTable{t}
	return c, true
}

// crashes lists what each crash made the subject repeat.
func crashes(r load.Reprocessed) string {
	var out []string
	for i, n := range r.Each {
		if i == 20 {
			out = append(out, "…")
			break
		}
		out = append(out, fmt.Sprint(n))
	}
	if len(out) == 0 {
		return "–"
	}
	return strings.Join(out, ", ")
}
