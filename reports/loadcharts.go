package reports

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/ksim-dev/ksim/harness/load"
)

// Geometry of the load charts. Two of them stand side by side.
const (
	halfWidth   = 510.0
	chartHeight = 270.0
	chartTop    = 22.0
	chartBottom = 222.0
	chartLeft   = 62.0
	maxSeries   = 500 // points of one series
)

// yAxis draws the grid and the values of y.
func yAxis(c *canvas, y scale, unit string) {
	for _, v := range y.ticks(5) {
		c.line("grid", chartLeft, y.at(v), c.width-10, y.at(v))
		c.text("tick", "end", chartLeft-8, y.at(v)+4, number(v))
	}
	c.text("tick", "start", 4, 12, unit)
}

// slots are the places of n categories side by side.
func slots(n int, width float64) (center func(i int) float64, wide float64) {
	each := (width - chartLeft - 14) / float64(max(n, 1))
	return func(i int) float64 { return chartLeft + each*(float64(i)+0.5) }, each
}

func batchAxis(c *canvas, loads []load.Result, center func(int) float64) {
	for i, l := range loads {
		c.text("value", "middle", center(i), chartBottom+18, fmt.Sprint(l.BatchSize))
		if !l.Valid {
			c.text("invalid", "middle", center(i), chartBottom+33, "? invalid")
		}
	}
	c.line("base", chartLeft, chartBottom, c.width-10, chartBottom)
	c.text("tick", "middle", (chartLeft+c.width)/2, chartHeight-4, "batch size")
}

// throughputChart shows effects done per second, and what was offered.
func throughputChart(loads []load.Result) template.HTML {
	loads = thin(loads, maxSeries)
	top := 1.0
	for _, l := range loads {
		top = max(top, l.Through, l.Rate)
	}
	y := scale{min: 0, max: top * 1.1, lo: chartBottom, hi: chartTop}
	var c canvas
	c.begin(halfWidth, chartHeight, "Throughput by batch size; the table below has the numbers")
	yAxis(&c, y, "messages/s")
	center, each := slots(len(loads), halfWidth)
	for i, l := range loads {
		wide := min(each*0.6, 70)
		class, label := "column", "inside"
		if !l.Valid {
			class, label = "column notvalid", "value"
		}
		c.rect(class, center(i)-wide/2, y.at(l.Through), wide, chartBottom-y.at(l.Through), fmt.Sprintf("batch size %d: %s/s done of %s/s offered", l.BatchSize, number(l.Through), number(l.Rate)))
		c.line("offered", center(i)-wide/2-6, y.at(l.Rate), center(i)+wide/2+6, y.at(l.Rate))
		if each > 40 {
			c.text(label, "middle", center(i), min(y.at(l.Through)+16, chartBottom-5), number(l.Through))
		}
	}
	batchAxis(&c, loads, center)
	return c.end()
}

// reprocessedChart shows what a crash made the subject repeat: measured as a
// dot, predicted as a diamond on the range that the model allows.
func reprocessedChart(loads []load.Result) template.HTML {
	loads = thin(loads, maxSeries)
	top := 10.0
	for _, l := range loads {
		top = max(top, float64(l.Reprocessed.Measured), l.Reprocessed.Predicted, float64(l.Reprocessed.High))
	}
	y := scale{min: 1, max: top * 1.3, lo: chartBottom, hi: chartTop, log: true}
	var c canvas
	c.begin(halfWidth, chartHeight, "Records repeated after a crash, measured and predicted, by batch size; the table below has the numbers")
	yAxis(&c, y, "records, log scale")
	center, each := slots(len(loads), halfWidth)
	for i, l := range loads {
		r, x := l.Reprocessed, center(i)
		if r.Crashes == 0 {
			c.text("tick", "middle", x, chartBottom-8, "no crash")
			continue
		}
		low, high := y.at(float64(r.Low)), y.at(float64(r.High))
		c.path("range", fmt.Sprintf("M%s %sh12m-6 0V%sm-6 0h12", px(x-6), px(low), px(high)), fmt.Sprintf("batch size %d: the model allows %d to %d", l.BatchSize, r.Low, r.High))
		p := y.at(r.Predicted)
		c.path("predicted", fmt.Sprintf("M%s %sl6-6 6 6-6 6z", px(x-6), px(p)), fmt.Sprintf("batch size %d: %s predicted", l.BatchSize, number(r.Predicted)))
		m := y.at(float64(r.Measured))
		c.path("measured", fmt.Sprintf("M%s %sa4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0", px(x-4.5), px(m)), fmt.Sprintf("batch size %d: %d measured", l.BatchSize, r.Measured))
		if each > 60 {
			c.text("value", "start", x+11, m+4, fmt.Sprint(r.Measured))
		}
	}
	batchAxis(&c, loads, center)
	return c.end()
}

// curve is the latency of one batch size over nines: log10 of 1/(1−p).
type curve struct {
	batch  int
	valid  bool
	points [][2]float64 // nines, milliseconds
}

func curveOf(l load.Result) curve {
	c := curve{batch: l.BatchSize, valid: l.Valid}
	ps := l.Latency.Percentiles
	if len(ps) == 0 {
		ps = [][2]float64{{50, l.Latency.P50}, {90, l.Latency.P90}, {99, l.Latency.P99}, {99.9, l.Latency.P999}}
	}
	for _, p := range thin(ps, maxSeries) {
		if p[0] >= 0 && p[0] < 100 && p[1] > 0 { // 100 has no place on this axis: the table has the maximum
			c.points = append(c.points, [2]float64{-math.Log10(1 - p[0]/100), p[1]})
		}
	}
	return c
}

// maxCurves bounds the latency chart: more lines than these nobody tells apart.
const maxCurves = 12

// latencyChart shows latency by percentile, a line for each batch size.
func latencyChart(loads []load.Result) template.HTML {
	var curves []curve
	low, high, nines := math.Inf(1), 0.0, 1.0
	for _, l := range thin(loads, maxCurves) {
		c := curveOf(l)
		if len(c.points) == 0 {
			continue
		}
		for _, p := range c.points {
			low, high, nines = min(low, p[1]), max(high, p[1]), max(nines, p[0])
		}
		curves = append(curves, c)
	}
	if len(curves) == 0 {
		return ""
	}
	const width = 1040.0
	x := scale{min: 0, max: nines, lo: chartLeft, hi: width - 110}
	y := scale{min: low / 1.3, max: max(high, low*8) * 1.2, lo: chartBottom, hi: chartTop, log: true}
	var c canvas
	c.begin(width, chartHeight, "Latency by percentile for each batch size; the table below has the numbers")
	yAxis(&c, y, "ms, log scale")
	for _, p := range []float64{0, 50, 90, 99, 99.9, 99.99, 99.999} {
		if n := -math.Log10(1 - p/100); n <= nines*1.001 {
			c.line("grid", x.at(n), chartTop, x.at(n), chartBottom)
			c.text("tick", "middle", x.at(n), chartBottom+16, "p"+percent(p))
		}
	}
	c.line("base", chartLeft, chartBottom, width-10, chartBottom)
	c.text("tick", "middle", (chartLeft+width)/2, chartHeight-14, "percentile of messages")
	drawCurves(&c, curves, x, y)
	return c.end()
}

// percent prints a percentile without the zeros that end it.
func percent(p float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.3f", p), "0"), ".")
}

// drawCurves draws the lines and writes the batch size at the end of each,
// moved apart where ends lie close together.
func drawCurves(c *canvas, curves []curve, x, y scale) {
	type label struct {
		i int
		y float64
	}
	var labels []label
	for i, cv := range curves {
		var d strings.Builder
		for k, p := range cv.points {
			verb := "L"
			if k == 0 {
				verb = "M"
			}
			fmt.Fprintf(&d, "%s%s %s", verb, px(x.at(p[0])), px(y.at(p[1])))
		}
		last := cv.points[len(cv.points)-1]
		c.path(fmt.Sprintf("curve c%d d%d", i%6, i%4), d.String(), fmt.Sprintf("batch size %d", cv.batch))
		labels = append(labels, label{i, y.at(last[1])})
	}
	slices.SortFunc(labels, func(a, b label) int { return int(math.Copysign(1, a.y-b.y)) })
	for k := range labels {
		if k > 0 {
			labels[k].y = max(labels[k].y, labels[k-1].y+14)
		}
		cv := curves[labels[k].i]
		end := x.at(cv.points[len(cv.points)-1][0])
		text := fmt.Sprintf("batch %d", cv.batch)
		if !cv.valid {
			text += " ?"
		}
		c.line(fmt.Sprintf("curve c%d", labels[k].i%6), end+3, y.at(cv.points[len(cv.points)-1][1]), x.hi+12, labels[k].y)
		c.text("value", "start", x.hi+16, labels[k].y+4, text)
	}
}
