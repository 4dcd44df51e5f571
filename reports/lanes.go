package reports

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
)

// Geometry of the ownership picture, in its own units.
const (
	pictureWidth = 1040.0
	laneLeft     = 64.0 // room for the partition's name
	laneRight    = 12.0
	barHeight    = 18.0
	stripTop     = 22.0 // of the effects below the bar, from the top of a lane
	stripHigh    = 14.0
	laneHeight   = 46.0
	faultRow     = 18.0
	axisHeight   = 40.0
	maxFaults    = 8 // rows of fault labels
)

// lanesPicture draws t: a lane for each partition, bars for its owners, faults
// as bands across all of them.
type lanesPicture struct {
	canvas
	t      timeline
	detail detail
	x      scale
	top    float64 // of the first lane
	bottom float64 // of the last
	peak   int     // effects in the fullest bucket of any lane

	columns int // buckets of time
}

// drawLanes returns the picture and the partitions that found no room in it.
func drawLanes(t timeline, d detail) (pic template.HTML, left int) {
	lanes := busiest(t.Lanes, d.lanes)
	left = len(t.Lanes) - len(lanes)
	t.Lanes = lanes
	p := &lanesPicture{t: t, detail: d}
	p.x = scale{min: t.From.Seconds(), max: t.To.Seconds(), lo: laneLeft, hi: pictureWidth - laneRight}
	rows := p.packFaults()
	p.top = 8 + faultRow*float64(len(rows))
	p.bottom = p.top + laneHeight*float64(len(lanes))
	p.begin(pictureWidth, p.bottom+axisHeight, fmt.Sprintf("Owners of %s over %.1f seconds, with faults, effects and commits; the tables below say the same", plural(len(lanes), "partition"), (t.To-t.From).Seconds()))
	p.columns = columnsFor(lanes, d.buckets)
	for _, l := range lanes {
		p.peak = max(p.peak, slices.Max(append(p.buckets(l.Effects, l.Repeats), 1)))
	}
	p.bands(rows)
	p.axis()
	for i, l := range lanes {
		p.lane(l, p.top+laneHeight*float64(i))
	}
	return p.end(), left
}

// busiest keeps n lanes: those with violations first, then with repeats.
func busiest(lanes []lane, n int) []lane {
	if len(lanes) <= n {
		return lanes
	}
	kept := slices.Clone(lanes)
	slices.SortStableFunc(kept, func(a, b lane) int {
		return cmp.Or(cmp.Compare(len(b.Wrong), len(a.Wrong)), cmp.Compare(len(b.Repeats), len(a.Repeats)))
	})
	kept = kept[:n]
	slices.SortFunc(kept, func(a, b lane) int { return cmp.Compare(a.Partition, b.Partition) })
	return kept
}

func (p *lanesPicture) at(d time.Duration) float64 { return p.x.at(d.Seconds()) }

// packFaults puts the faults into as few rows as their labels need.
func (p *lanesPicture) packFaults() [][]span {
	var rows [][]span
	var ends []float64
	for _, f := range thin(p.t.Faults, p.detail.points) {
		start, end := p.faultLabel(f)
		row := slices.IndexFunc(ends, func(e float64) bool { return e < start })
		if row < 0 && len(rows) < maxFaults {
			rows, ends = append(rows, nil), append(ends, 0)
			row = len(rows) - 1
		}
		if row < 0 {
			row = len(rows) - 1 // the band is drawn, the table has the name
			f.Name = ""
		}
		rows[row] = append(rows[row], f)
		ends[row] = max(ends[row], end)
	}
	return rows
}

// faultLabel is the stretch that the band and the name of a fault take up.
func (p *lanesPicture) faultLabel(f span) (from, to float64) {
	from, to = p.at(f.From), max(p.at(f.To), p.at(f.From)+2)
	width := textWidth(faultName(f)) + 14
	if from+width > p.right() {
		from = p.right() - width
	}
	return from, max(to, from+width)
}

// right is where the time axis ends.
func (p *lanesPicture) right() float64 { return pictureWidth - laneRight }

func faultName(f span) string {
	name := strings.TrimSpace(f.Name + " " + f.Member)
	switch f.Outcome {
	case "missed":
		name += " (missed)"
	case "":
		name += " (never ended)"
	}
	return name
}

func (p *lanesPicture) bands(rows [][]span) {
	for i, row := range rows {
		y := 4 + faultRow*float64(i)
		for _, f := range row {
			from := p.at(f.From)
			wide := max(p.at(f.To)-from, 2)
			title := fmt.Sprintf("%s, %s to %s: %s", faultName(f), seconds(f.From), seconds(f.To), f.Note)
			class := "fault"
			if f.Outcome != "happened" {
				class = "fault missed"
			}
			p.rect(class, from, y+faultRow-2, wide, p.bottom-y-faultRow+2, title)
			p.rect("cap", from, y+faultRow-4, wide, 3, "")
			if f.Name == "" {
				continue
			}
			x, anchor := from, "start"
			if from+textWidth(faultName(f))+10 > p.right() {
				x, anchor = p.right(), "end"
			}
			p.text("fl", anchor, x, y+faultRow-7, faultName(f))
		}
	}
}

func (p *lanesPicture) axis() {
	p.phases()
	for _, s := range p.x.ticks(min(10, max(p.detail.points/2, 3))) {
		x := p.x.at(s)
		p.line("grid", x, p.top, x, p.bottom)
		p.text("tick", "middle", x, p.bottom+14, number(s)+" s")
	}
}

// phases names the phases of the run under the axis, where there is room.
func (p *lanesPicture) phases() {
	last := -1e9
	for _, m := range thin(p.t.Phases, 12) {
		x, wide := p.at(m.At), textWidth(m.Note)
		p.line("phase", x, p.top, x, p.bottom+22)
		from, anchor, label := x+3, "start", x+3
		if x+3+wide > p.right() {
			from, anchor, label = x-3-wide, "end", x-3
		}
		if from < last {
			continue // it would lie on the one before
		}
		p.text("tick", anchor, label, p.bottom+32, m.Note)
		last = from + wide + 6
	}
}
