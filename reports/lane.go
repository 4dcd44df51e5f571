package reports

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// lane draws one partition whose lane begins at y.
func (p *lanesPicture) lane(l lane, y float64) {
	p.text("lane", "end", laneLeft-10, y+barHeight-4, fmt.Sprintf("p%d", l.Partition))
	p.rect("idle", laneLeft, y, p.right()-laneLeft, barHeight, "")
	if len(l.Bars) > max(p.detail.points/8, 2) {
		p.plainBars(l.Bars, y)
	} else {
		for _, b := range l.Bars {
			p.bar(b, y)
		}
	}
	base := y + stripTop + stripHigh
	p.line("base", laneLeft, base, p.right(), base)
	p.strip("effects", l.Effects, nil, base)
	p.strip("repeats", l.Repeats, l.Effects, base)
	p.marks("commit", l.Commits, y+barHeight, "v4")
	p.marks("refused", l.Refused, y+barHeight-2, "l6 6m-6 0l6-6")
	p.marks("dead", l.Dead, base-1, "l4 7h-8z")
	p.violations(l.Wrong, y+stripTop)
}

// violations marks each one with what it violates, or, where many scenarios
// share the page, only with a cross.
func (p *lanesPicture) violations(wrong []mark, y float64) {
	const cross = "l8 8m0-8l-8 8"
	if p.detail.points < full.points {
		var d strings.Builder
		for _, w := range thin(wrong, p.detail.points) {
			fmt.Fprintf(&d, "M%s %s"+cross, px(p.at(w.At)-4), px(y))
		}
		p.path("wrong", d.String(), plural(len(wrong), "violation"))
		return
	}
	for _, w := range thin(wrong, p.detail.points) {
		p.path("wrong", fmt.Sprintf("M%s %s"+cross, px(p.at(w.At)-4), px(y)), w.Note+" at "+seconds(w.At))
	}
}

func (p *lanesPicture) bar(b bar, y float64) {
	from, to := p.at(b.From), p.at(b.To)
	wide := max(to-from, 1.5)
	end := b.End
	if end == "" {
		end = "until the end"
	}
	n := slices.Index(p.t.Members, b.Who)
	p.rect(memberClass(p.t.Members, b), from, y, wide, barHeight, fmt.Sprintf("%s, %s to %s, %s", b.Who, seconds(b.From), seconds(b.To), end))
	for _, f := range b.Frozen {
		p.rect("frozen", p.at(f.From), y, max(p.at(f.To)-p.at(f.From), 1), barHeight, b.Who+" was frozen")
	}
	if n >= 0 && wide > textWidth(b.Who)+8 {
		p.text("who", "start", from+5, y+barHeight-5, b.Who)
	}
}

// plainBars draws many bars without their names. None is left out that could
// be seen: a gap would say that nobody owned the partition.
func (p *lanesPicture) plainBars(bars []bar, y float64) {
	if len(bars) > maxSeries {
		bars = slices.Clone(bars)
		slices.SortStableFunc(bars, func(a, b bar) int { return cmp.Compare(b.To-b.From, a.To-a.From) })
		bars = bars[:maxSeries] // what goes is far below a pixel
	}
	paths := map[string]*strings.Builder{}
	for _, b := range bars {
		class := memberClass(p.t.Members, b)
		if paths[class] == nil {
			paths[class] = &strings.Builder{}
		}
		from := p.at(b.From)
		wide := px(max(p.at(b.To)-from, 0.5))
		fmt.Fprintf(paths[class], "M%s %sh%sv%sh-%sz", px(from), px(y), wide, px(barHeight), wide)
	}
	for _, class := range slices.Sorted(maps.Keys(paths)) {
		p.path(class, paths[class].String(), "")
	}
}

// memberClass gives every member its colour, the same in all its lives; the
// label on the bar tells them apart without it.
func memberClass(lives []string, b bar) string {
	var members []string
	for _, who := range lives {
		name, _, _ := strings.Cut(who, "#")
		if !slices.Contains(members, name) {
			members = append(members, name)
		}
	}
	return fmt.Sprintf("m m%d", max(slices.Index(members, b.Member), 0)%6)
}

// columnsFor is how many columns of effects a lane gets: with fewer than a few
// effects in each, the picture would show the beat of the schedule and not the work.
func columnsFor(lanes []lane, most int) int {
	fullest := 0
	for _, l := range lanes {
		fullest = max(fullest, len(l.Effects)+len(l.Repeats))
	}
	return max(min(most, fullest/2), 12)
}

// buckets counts moments in columns of equal time.
func (p *lanesPicture) buckets(moments ...[]time.Duration) []int {
	out := make([]int, p.columns)
	span := max(p.t.To-p.t.From, 1)
	for _, ms := range moments {
		for _, m := range ms {
			i := int(float64(m-p.t.From) / float64(span) * float64(len(out)))
			out[min(max(i, 0), len(out)-1)]++
		}
	}
	return out
}

// strip draws moments as columns that stand on base, or on the columns of below.
func (p *lanesPicture) strip(class string, moments, below []time.Duration, base float64) {
	if len(moments) == 0 {
		return
	}
	counts, under := p.buckets(moments), p.buckets(below)
	wide := (p.right() - laneLeft) / float64(len(counts))
	high := func(n int) float64 { return stripHigh * float64(n) / float64(p.peak) }
	var d strings.Builder
	for i, n := range counts {
		if n == 0 {
			continue
		}
		fmt.Fprintf(&d, "M%s %sv-%s", px(laneLeft+wide*(float64(i)+0.5)), px(base-high(under[i])), px(max(high(n), 1)))
	}
	if d.Len() == 0 {
		return
	}
	// One stroke for each column: half the size of rectangles.
	fmt.Fprintf(p, `<path class="%s" stroke-width="%s" d="%s"`, class, px(wide*0.85), d.String())
	p.closeWith("path", plural(len(moments), strings.TrimSuffix(class, "s")))
}

// marks draws one small figure for every moment, none twice at the same place.
func (p *lanesPicture) marks(class string, moments []time.Duration, y float64, figure string) {
	var xs []float64
	for _, m := range moments {
		if x := p.at(m); len(xs) == 0 || x-xs[len(xs)-1] >= 1.5 {
			xs = append(xs, x)
		}
	}
	var d strings.Builder
	for _, x := range thin(xs, p.detail.points) {
		fmt.Fprintf(&d, "M%s %s%s", px(x), px(y), figure)
	}
	p.path(class, d.String(), markNames[class]+": "+fmt.Sprint(len(moments)))
}

var markNames = map[string]string{"commit": "commits accepted", "refused": "commits refused", "dead": "records dead-lettered"}
