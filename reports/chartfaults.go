package reports

import "fmt"

// Faults that are drawn, and rows of their names.
const (
	maxBands     = 60
	maxLabelRows = 4
	labelHigh    = 14
	fewFaults    = 8 // so many have their names each time
)

// faultBands are the faults of a load in a chart over time: bands, and names above them.
type faultBands struct {
	bands, names []obj
	rows         int // of names
}

func bandsOf(m measurement, p period) faultBands {
	var out faultBands
	faults := thin(m.Faults, maxBands)
	count := map[string]int{}
	for _, f := range m.Faults {
		count[f.Name]++
	}
	named := map[string]bool{}
	ends := make([]float64, maxLabelRows) // of the last name of a row, as a share of the width
	for _, f := range faults {
		out.bands = append(out.bands, obj{"from": round(f.From), "to": round(max(f.To, f.From+(p.to-p.from)/500))})
		name := plain(f.Name, 30)
		if len(m.Faults) > fewFaults && count[f.Name] > 1 {
			if named[f.Name] {
				continue
			}
			named[f.Name] = true
			name += fmt.Sprintf(" (%d times)", count[f.Name])
		}
		at, align, wide := (f.From-p.from)/(p.to-p.from), "left", textWidth(name)*1.1/pictureWidth
		left := at
		if at+wide > 0.96 {
			align, left = "right", at-wide
		}
		for row := range ends {
			if ends[row] <= left {
				ends[row] = left + wide + 0.01
				out.rows = max(out.rows, row+1)
				out.names = append(out.names, obj{"from": round(f.From), "row": -8 - labelHigh*row, "name": name, "align": align})
				break
			}
		}
	}
	return out
}

// clear moves the legend of the channels above the names.
func (b faultBands) clear(channels ...obj) {
	for _, c := range channels {
		if legend, ok := c["legend"].(obj); ok && b.rows > 0 {
			legend["offset"] = 12 + labelHigh*b.rows
		}
	}
}

// layers draw the bands below everything else of the chart.
func (b faultBands) layers(p period) []obj {
	if len(b.bands) == 0 {
		return nil
	}
	mark := obj{"type": "rect", "color": "var(--band)", "fillOpacity": 0.16, "stroke": "var(--band)", "strokeDash": []int{3, 3}}
	if len(b.bands) > 2*fewFaults { // their borders would be all that one sees
		mark = obj{"type": "rect", "color": "var(--band)", "fillOpacity": 0.4}
	}
	out := []obj{{"data": values(b.bands), "mark": mark, "encoding": obj{"x": p.axis("from"), "x2": obj{"field": "to"}}}}
	for _, align := range []string{"left", "right"} {
		out = append(out, obj{"data": values(b.names), "transform": []obj{{"filter": "datum.align == '" + align + "'"}},
			"mark":     obj{"type": "text", "align": align, "baseline": "bottom", "fontSize": 11, "fontWeight": "bold"},
			"encoding": obj{"x": p.axis("from"), "y": obj{"field": "row", "type": "quantitative", "scale": nil, "axis": nil}, "text": obj{"field": "name", "type": "nominal"}}})
	}
	return out
}

func faultTable(m measurement) []numberTable {
	if len(m.Faults) == 0 {
		return nil
	}
	t := numberTable{Caption: "Faults", Head: []string{"fault", "what happened", "from, s", "to, s"}, Words: 2}
	for _, f := range thin(m.Faults, maxBands) {
		t.Rows = append(t.Rows, []string{plain(f.Name, 60), plain(f.Note, 200), number(round(f.From)), number(round(f.To))})
	}
	return []numberTable{t}
}
