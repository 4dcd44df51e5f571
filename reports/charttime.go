package reports

import (
	"fmt"

	"github.com/ksim-dev/ksim/harness/load"
)

// loadPoints is how many points in time a page shows where it has room for all: see details.
const loadPoints = 1500

// timePoints is how many of them each of n measurements gets.
func timePoints(all, n int) int { return max(20, min(maxSeries, all/max(n, 1))) }

// coarser joins neighbouring intervals until there are at most n. The worst latency and lag of those joined stay: what
// is drawn never hides a stall.
func coarser(in []load.Interval, n int) (out []load.Interval, joined int) {
	joined = max(1, (len(in)+n-1)/max(n, 1))
	for i := 0; i < len(in); i += joined {
		sum := in[i]
		for _, next := range in[i+1 : min(i+joined, len(in))] {
			whole := max(sum.Seconds+next.Seconds, 1e-9)
			sum.Offered = (sum.Offered*sum.Seconds + next.Offered*next.Seconds) / whole
			sum.Through = (sum.Through*sum.Seconds + next.Through*next.Seconds) / whole
			sum.Seconds = whole
			sum.P50, sum.P99, sum.Max, sum.Lag = max(sum.P50, next.P50), max(sum.P99, next.P99), max(sum.Max, next.Max), max(sum.Lag, next.Lag)
			sum.Repeated, sum.Rebalances = sum.Repeated+next.Repeated, sum.Rebalances+next.Rebalances
		}
		out = append(out, sum)
	}
	return out, joined
}

// period is the time that the charts of one measurement show, so that they can be read one above the other.
type period struct{ from, to float64 }

func periodOf(m measurement) period {
	p := period{from: 0, to: m.Seconds}
	if n := len(m.Intervals); n > 0 {
		last := m.Intervals[n-1]
		p.from, p.to = m.Intervals[0].From, last.From+last.Seconds
	}
	for _, f := range m.Faults {
		p.from, p.to = min(p.from, f.From), max(p.to, f.To)
	}
	if p.to <= p.from {
		p.to = p.from + 1
	}
	return p
}

// axis is the time axis of field.
func (p period) axis(field string) obj {
	x := quantity(field, "seconds from the start of the measured part")
	x["scale"] = obj{"domain": []float64{round(p.from), round(p.to)}, "nice": false}
	x["axis"] = obj{"format": "~r", "tickCount": 10}
	return x
}

// timeCharts show the course of one measurement: latency above throughput.
func timeCharts(m measurement, most int) []chart {
	if len(m.Intervals) == 0 {
		return nil
	}
	steps, joined := coarser(m.Intervals, most)
	p := periodOf(m)
	var note []string
	if joined > 1 {
		note = []string{fmt.Sprintf("Each point stands for %d intervals: the worst latency among them, the mean of throughput.", joined)}
	}
	lat, thr := latencyTime(m, p, steps), throughputTime(m, p, steps)
	lat.Notes, thr.Notes = append(lat.Notes, note...), append(thr.Notes, note...)
	return []chart{lat, thr}
}

func middle(i load.Interval) float64 { return round(i.From + i.Seconds/2) }

func latencyTime(m measurement, p period, steps []load.Interval) chart {
	c := chart{
		ID: numbered("latency-time", m), Title: "Latency over time",
		Alt:   fmt.Sprintf("Latency over time with faults, batch size %s. The table below has the numbers.", m.Label),
		Notes: []string{"Of the messages due at that moment. A shaded band is a fault; a triangle on the axis is a rebalance."},
	}
	t := numberTable{Caption: "Latency over time", Head: []string{"from, s", "p50 ms", "p99 ms", "max ms", "due and not done", "repeated", "rebalances"}, Words: 0}
	names := []string{"p50", "p99", "max"}
	var rows, joins []obj
	for _, s := range steps {
		for i, v := range []float64{s.P50, s.P99, s.Max} {
			rows = append(rows, obj{"t": middle(s), "of": names[i], "ms": positive(v)})
		}
		if s.Rebalances > 0 {
			joins = append(joins, obj{"t": middle(s)})
		}
		t.Rows = append(t.Rows, []string{number(round(s.From)), cellMS(s.P50), cellMS(s.P99), cellMS(s.Max), fmt.Sprint(s.Lag), fmt.Sprint(s.Repeated), fmt.Sprint(s.Rebalances)})
	}
	colour, dash := lineStyles("of", "", names)
	bands := bandsOf(m, p)
	bands.clear(colour, dash)
	colour["title"], dash["title"] = nil, nil
	c.Spec = layered(chartHigh, append(bands.layers(p),
		obj{"data": values(rows), "mark": obj{"type": "line"}, "encoding": obj{"x": p.axis("t"), "y": logLatency("ms"), "color": colour, "strokeDash": dash}},
		obj{"data": values(joins), "mark": obj{"type": "point", "shape": "triangle-up", "filled": true, "size": 60, "opacity": 1, "color": "var(--ink)"},
			"encoding": obj{"x": p.axis("t"), "y": obj{"value": chartHigh - 4}}})...)
	c.Tables = append([]numberTable{t}, faultTable(m)...)
	return c
}

func throughputTime(m measurement, p period, steps []load.Interval) chart {
	c := chart{
		ID: numbered("throughput-time", m), Title: "Throughput over time",
		Alt: fmt.Sprintf("Throughput offered and done over time with faults, batch size %s. The table below has the numbers.", m.Label),
	}
	t := numberTable{Caption: "Throughput over time, messages/s", Head: []string{"from, s", "offered", "done"}, Words: 0}
	var rows []obj
	for _, s := range steps {
		rows = append(rows, obj{"t": middle(s), "of": "done", "rate": round(s.Through)}, obj{"t": middle(s), "of": "offered", "rate": round(s.Offered)})
		t.Rows = append(t.Rows, []string{number(round(s.From)), number(round(s.Offered)), number(round(s.Through))})
	}
	colour, dash := lineStyles("of", "", []string{"done", "offered"})
	bands := bandsOf(m, p)
	bands.clear(colour, dash)
	colour["title"], dash["title"] = nil, nil
	c.Spec = layered(chartHigh-50, append(bands.layers(p),
		obj{"data": values(rows), "mark": obj{"type": "line"}, "encoding": obj{"x": p.axis("t"), "y": quantity("rate", "messages/s"), "color": colour, "strokeDash": dash}})...)
	c.Tables = append([]numberTable{t}, faultTable(m)...)
	return c
}
