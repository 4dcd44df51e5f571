package reports

import "fmt"

// stageDocs say what happens to a message in a stage.
var stageDocs = map[string]string{
	"schedule": "due, to handed to the client", "produce": "to acknowledged by the broker", "queue": "to fetched by the member",
	"wait": "to its effect begun", "handling": "to its effect done", "commit": "to the commit that covers it", "total": "due, to its effect done",
}

// stagesChart shows where the time of a message went.
func stagesChart(m measurement) (chart, bool) {
	c := chart{
		ID: numbered("stages", m), Title: "Where the time went",
		Alt:   fmt.Sprintf("Median and 99th percentile of each stage of a message, batch size %s. The table below has the numbers.", m.Label),
		Notes: []string{"The way of a message, stage by stage. Percentiles do not add up: total is measured, not a sum."},
	}
	t := numberTable{Caption: "Stages, ms", Head: []string{"stage", "what it is", "messages", "p50", "p90", "p99", "p99.9", "max"}, Words: 2}
	var rows []obj
	var order []string
	for _, s := range m.Stages {
		name := plain(s.Stage, 30)
		order = append(order, name)
		t.Rows = append(t.Rows, []string{name, stageDocs[s.Stage], fmt.Sprint(s.Count), number(s.P50), number(s.P90), number(s.P99), number(s.P999), number(s.Max)})
		if s.Count == 0 {
			continue
		}
		rows = append(rows, obj{"stage": name, "which": "p50", "ms": round(s.P50), "text": number(s.P50)}, obj{"stage": name, "which": "p99", "ms": round(s.P99), "text": number(s.P99)})
	}
	if len(rows) == 0 {
		return chart{}, false
	}
	domain := []string{"p50", "p99"}
	y := obj{"field": "stage", "type": "nominal", "sort": order, "title": nil, "scale": obj{"paddingInner": 0.3}}
	offset := obj{"field": "which", "type": "nominal", "sort": domain}
	fill := obj{"field": "which", "type": "ordinal", "sort": domain, "title": nil, "scale": obj{"domain": domain, "range": []float64{1, 0.25}}}
	colour := seriesColour("which", domain, palette[0], palette[1])
	x := quantity("ms", "ms")
	x["axis"] = obj{"format": "~r", "tickCount": 8}
	c.Spec = layered(34*len(order),
		obj{"mark": obj{"type": "bar", "strokeWidth": 1.2}, "encoding": obj{"y": y, "yOffset": offset, "x": x, "fillOpacity": fill,
			"fill": colour, "stroke": colour}},
		obj{"mark": obj{"type": "text", "align": "left", "dx": 4, "fontSize": 11}, "encoding": obj{"y": y, "yOffset": offset, "x": x, "text": obj{"field": "text", "type": "nominal"}}})
	c.Spec["data"] = values(rows)
	c.Tables = []numberTable{t}
	return c, true
}
