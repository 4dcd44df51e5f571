package reports

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ksim-dev/ksim/harness/load"
)

// maxPartitions is how many lines of lag a chart has: those that lagged most.
const maxPartitions = 12

// lagGrid is the lag of some partitions at the same moments, so that one table has room for all of them.
type lagGrid struct {
	partitions []int32
	times      []float64
	lag        [][]float64 // by moment, then partition; -1 where nobody looked
}

// worstLag keeps the partitions that lagged most, in their order.
func worstLag(lines []load.LagLine, n int) []load.LagLine {
	kept := slices.Clone(lines)
	slices.SortStableFunc(kept, func(a, b load.LagLine) int { return cmp.Compare(peakOf(b), peakOf(a)) })
	kept = kept[:min(n, len(kept))]
	slices.SortStableFunc(kept, func(a, b load.LagLine) int { return cmp.Compare(a.Partition, b.Partition) })
	return kept
}

func peakOf(l load.LagLine) float64 {
	peak := 0.0
	for _, p := range l.Points {
		peak = max(peak, p[1])
	}
	return peak
}

// gridOf puts the lines into at most n steps of time, the most lag of each.
func gridOf(lines []load.LagLine, p period, n int) lagGrid {
	longest := 1
	for _, l := range lines {
		longest = max(longest, len(l.Points))
	}
	n = max(min(n, longest), 1)
	step := (p.to - p.from) / float64(n)
	cells := make([][]float64, n)
	for i := range cells {
		cells[i] = make([]float64, len(lines))
		for k := range cells[i] {
			cells[i][k] = -1
		}
	}
	var g lagGrid
	for k, l := range lines {
		g.partitions = append(g.partitions, l.Partition)
		for _, point := range l.Points {
			if point[0] < p.from || point[0] > p.to {
				continue
			}
			i := min(int((point[0]-p.from)/step), n-1)
			cells[i][k] = max(cells[i][k], point[1])
		}
	}
	for i, row := range cells {
		if slices.ContainsFunc(row, func(v float64) bool { return v >= 0 }) {
			g.times, g.lag = append(g.times, round(p.from+step*(float64(i)+0.5))), append(g.lag, row)
		}
	}
	return g
}

// lagChart shows what was in the log and not committed, a line for each partition.
func lagChart(m measurement, most int) (chart, bool) {
	lines := worstLag(m.Lag, maxPartitions)
	p := periodOf(m)
	g := gridOf(lines, p, max(most/max(len(lines)/2, 1), 20))
	if len(g.times) == 0 {
		return chart{}, false
	}
	c := chart{
		ID: numbered("lag", m), Title: "Lag by partition",
		Alt:   fmt.Sprintf("Lag of %s over time with faults, batch size %s. The table below has the numbers.", plural(len(lines), "partition"), m.Label),
		Notes: []string{"Records in the log that are not committed yet, as the broker tells it."},
	}
	if left := len(m.Lag) - len(lines); left > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%s that lagged less are in report.json.", plural(left, "partition")))
	}
	t := numberTable{Caption: "Lag by partition, records", Head: []string{"at, s"}, Words: 0}
	names := make([]string, len(lines))
	for k, partition := range g.partitions {
		names[k] = fmt.Sprint(partition)
		t.Head = append(t.Head, "partition "+names[k])
	}
	var rows []obj
	for i, at := range g.times {
		row := []string{number(at)}
		for k, lag := range g.lag[i] {
			if lag < 0 {
				row = append(row, "–")
				continue
			}
			row = append(row, number(lag))
			rows = append(rows, obj{"t": at, "p": names[k], "lag": lag})
		}
		t.Rows = append(t.Rows, row)
	}
	colour, dash := lineStyles("p", "partition", names)
	bands := bandsOf(m, p)
	bands.clear(colour, dash)
	c.Spec = layered(chartHigh-20, append(bands.layers(p),
		obj{"data": values(rows), "mark": obj{"type": "line"}, "encoding": obj{"x": p.axis("t"), "y": quantity("lag", "records"), "color": colour, "strokeDash": dash}})...)
	c.Tables = []numberTable{t}
	return c, true
}
