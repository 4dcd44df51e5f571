package reports

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"sync"
)

var (
	//go:embed vega/vega.min.js
	vegaJS string
	//go:embed vega/vega-lite.min.js
	vegaLiteJS string
	//go:embed vega/vega-embed.min.js
	vegaEmbedJS string
	//go:embed templates/charts.js
	chartsJS string
)

// loadPart is what the page shows of load.
type loadPart struct {
	Results  []measurement
	Believed *numberTable // nil where nobody looked at the machine
	Curves   []chart      // over all measurements
	Pairs    []chart      // the same, side by side
	Courses  []course
	Left     int // measurements whose course is not drawn
	Vega     template.HTML
	Drawing  template.JS
	Drawings drawings
}

// course is what happened in one measurement.
type course struct {
	ID, Label string
	Charts    []chart
}

// drawings is what the script of the page reads.
type drawings struct {
	Config obj            `json:"config"`
	Charts map[string]obj `json:"charts"`
}

// loadPartOf draws the measurements, with about so many points in time for all of them; nil if there are none, and then the page holds no script.
func loadPartOf(ms []measurement, points int) *loadPart {
	if len(ms) == 0 {
		return nil
	}
	p := &loadPart{Results: ms, Believed: conditions(ms), Left: max(len(ms)-maxDetailed, 0)}
	p.Pairs = append(p.Pairs, throughputChart(ms))
	if c, ok := blastChart(ms); ok {
		p.Pairs = append(p.Pairs, c)
	}
	if c, ok := latencyChart(ms, points); ok {
		p.Curves = append(p.Curves, c)
	}
	if c, ok := closedLoopChart(ms); ok {
		p.Curves = append(p.Curves, c)
	}
	drawn := ms[:len(ms)-p.Left]
	for _, m := range drawn {
		c := course{ID: numbered("course", m), Label: m.Label, Charts: timeCharts(m, timePoints(points, len(drawn)))}
		if lag, ok := lagChart(m, timePoints(points, len(drawn))); ok {
			c.Charts = append(c.Charts, lag)
		}
		if stages, ok := stagesChart(m); ok {
			c.Charts = append(c.Charts, stages)
		}
		if len(c.Charts) > 0 {
			p.Courses = append(p.Courses, c)
		}
	}
	p.Drawings = drawings{Config: vegaConfig(), Charts: map[string]obj{}}
	for _, c := range p.all() {
		p.Drawings.Charts[c.ID] = c.Spec
	}
	p.Vega = template.HTML(packedVega()) //nolint:gosec // base64 of our own embedded files
	p.Drawing = template.JS(chartsJS)    //nolint:gosec // our own embedded file, no input
	return p
}

// conditions tell whether a figure says something about the consumer, or about the machine that it shared.
func conditions(ms []measurement) *numberTable {
	t := &numberTable{Caption: "Conditions of the measurement", Words: 1, Head: []string{"batch size", "worst delay of the schedule, ms", "CPUs busy", "taken by other guests",
		"most at once, ms", "longest GC pause of the generator, ms", "CPU of the consumer, s", "a consumer that does nothing, /s", "its ratio to what is claimed"}}
	known := false
	for _, m := range ms {
		row := []string{m.Label, number(m.LateMS), "–", "–", "–", "–", "–", "–", "–"}
		if a := m.Machine; a != nil && a.Known {
			known = true
			copy(row[2:], []string{share(a.Busy), share(a.Steal), number(a.StealMaxMS), number(a.GCPauseMS), number(a.SubjectCPU)})
		}
		if m.Ceiling != nil {
			known = true
			copy(row[7:], []string{number(m.Ceiling.Through), number(m.Ceiling.Ratio)})
		}
		t.Rows = append(t.Rows, row)
	}
	if !known {
		return nil
	}
	return t
}

func share(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }

func (p *loadPart) all() []chart {
	out := append(append([]chart{}, p.Pairs...), p.Curves...)
	for _, c := range p.Courses {
		out = append(out, c.Charts...)
	}
	return out
}

// scripts are the programs that draw, in the order in which they need each other.
func scripts() []string { return []string{vegaJS, vegaLiteJS, vegaEmbedJS} }

// packedVega is a line for each script, compressed: as they are, they would leave the scenarios of a large run no room.
var packedVega = sync.OnceValue(func() string {
	var out bytes.Buffer
	for _, text := range scripts() {
		var packed bytes.Buffer
		z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err == nil {
			_, err = z.Write([]byte(text))
		}
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			panic(fmt.Sprintf("compress into memory: %v", err)) // a buffer takes everything
		}
		out.WriteString(base64.StdEncoding.EncodeToString(packed.Bytes()) + "\n")
	}
	return out.String()
})

// scriptHashes are the only programs that the page may run: the browser refuses others, and all that is made of text.
var scriptHashes = sync.OnceValue(func() string {
	out := ""
	for _, text := range append([]string{chartsJS}, scripts()...) {
		out += " " + sha256Of(text)
	}
	return out
})

// sha256Of names a text as a Content-Security-Policy does.
func sha256Of(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// policy is the Content-Security-Policy of the page.
func policy(charts bool) string {
	out := "default-src 'none'; style-src " + sha256Of(styleText)
	if charts {
		out += "; script-src" + scriptHashes()
	}
	return out + "; base-uri 'none'; form-action 'none'"
}
