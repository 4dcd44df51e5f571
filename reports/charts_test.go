package reports_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/internal/golden"
)

// charts are the specifications that the page draws, by the id of their place.
func charts(t testing.TB, doc *html.Node) map[string]any {
	t.Helper()
	for _, s := range all(doc, "script") {
		if attr(s, "id") != "drawings" {
			continue
		}
		var d struct {
			Config map[string]any
			Charts map[string]any
		}
		if err := json.Unmarshal([]byte(textOf(s)), &d); err != nil {
			t.Fatal(err)
		}
		d.Charts["config"] = d.Config
		return d.Charts
	}
	t.Fatal("the page draws nothing")
	return nil
}

// The Vega-Lite specifications, each in a file of its own: paste one into any Vega editor to see it.
func TestChartsGolden(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	run.Load = slices.Delete(run.Load, 1, 2) // the course of two tells all that three would
	_, doc := render(t, run)
	specs := charts(t, doc)
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		if strings.HasSuffix(name, "-2") {
			continue
		}
		var b bytes.Buffer
		if err := json.NewEncoder(&b).Encode(specs[name]); err != nil {
			t.Fatal(err)
		}
		same(t, "chart-"+name+".json", run.Dir, spread(b.Bytes()))
	}
}

// spread puts each datum and each layer on a line of its own.
func spread(text []byte) []byte {
	return bytes.ReplaceAll(text, []byte("},{"), []byte("},\n{"))
}

// Every chart has a place, a name, and a table with the same numbers that is open until a script folds it.
func TestEveryChartIsATableToo(t *testing.T) {
	_, doc := render(t, sampleRun(t, t.TempDir()))
	specs := charts(t, doc)
	for _, want := range []string{"throughput", "blast", "latency", "closed-loop", "latency-time-1", "throughput-time-1", "lag-1", "stages-1", "lag-3"} {
		if specs[want] == nil {
			t.Errorf("no chart %s", want)
		}
	}
	delete(specs, "config")
	for id := range specs {
		place := byID(t, doc, id)
		details := all(place, "details")
		if len(details) != 1 || !slices.ContainsFunc(details[0].Attr, func(a html.Attribute) bool { return a.Key == "open" }) || len(all(details[0], "tr")) < 4 {
			t.Errorf("%s has no open table", id)
		}
		pictures := 0
		for _, d := range all(place, "div") {
			if attr(d, "role") == "img" && len(attr(d, "aria-label")) > 20 {
				pictures++
			}
		}
		if pictures != 1 {
			t.Errorf("%s says nothing to a screen reader", id)
		}
	}
	if text := textOf(byID(t, doc, "latency-time-1")); !strings.Contains(text, "broker-slow") || !strings.Contains(text, "m1 was killed in the middle of a batch") {
		t.Error("the faults are in no table")
	}
	if !strings.Contains(textOf(byID(t, doc, "closed-loop")), "it does not see what a stall delays") {
		t.Error("the closed loop is not explained")
	}
}

// A measurement that must not be believed is marked in the charts and in the table.
func TestInvalidLoad(t *testing.T) {
	_, doc := render(t, sampleRun(t, t.TempDir()))
	for id, spec := range charts(t, doc) {
		text := fmt.Sprint(spec)
		if marked := strings.Contains(text, "10 ?"); marked != slices.Contains([]string{"throughput", "blast", "latency", "closed-loop"}, id) {
			t.Errorf("chart %s marks the invalid measurement: %v", id, marked)
		}
	}
	main := textOf(all(doc, "main")[0])
	if !strings.Contains(main, "? invalid: the generator was 312 ms behind its schedule") || !strings.Contains(main, "Batch size 10 ?") {
		t.Error("the tables do not say that it is invalid, and why")
	}
}

// Measurements of the same batch size are told apart by what differs.
func TestLabelsAreUnique(t *testing.T) {
	for want, change := range map[string]func(*load.Result, int){
		"20":         func(l *load.Result, i int) { l.BatchSize = 20 * (i + 1) },
		"20 at 50/s": func(l *load.Result, i int) { l.Rate = 50 * float64(i+1) },
		"20, a":      func(l *load.Result, i int) { l.Profile = []string{"a", "b"}[i] },
		"1. 20, a":   func(l *load.Result, _ int) { l.Profile = "a" },
	} {
		two := []load.Result{{BatchSize: 20, Valid: true}, {BatchSize: 20, Valid: true}}
		for i := range two {
			change(&two[i], i)
		}
		_, doc := render(t, harness.Run{Load: two})
		if got := textOf(all(all(all(doc, "tbody")[0], "tr")[0], "td")[0]); got != want {
			t.Errorf("the first is called %q, want %q", got, want)
		}
	}
}

// longLoad has more of everything than a chart can show.
func longLoad(n int) []load.Result {
	var out []load.Result
	for i := range n {
		l := sampleLoad()[i%3]
		l.BatchSize, l.Valid, l.Lag, l.Faults = 10+i, true, sampleLag(48, 100), nil
		l.Intervals = nil
		for k := range 7200 {
			l.Intervals = append(l.Intervals, load.Interval{From: float64(k), Seconds: 1, Offered: 2000, Through: 2000, P50: 3.14159, P99: 10 + float64(k%97), Max: 20 + float64(k)/7})
			if k%70 == 0 {
				l.Faults = append(l.Faults, load.Span{Name: "restart of a broker", From: float64(k), To: float64(k) + 3, Note: "it was away"})
			}
		}
		for p := range l.Lag {
			l.Lag[p].Points = nil
			for k := range 3600 {
				l.Lag[p].Points = append(l.Lag[p].Points, [2]float64{float64(2 * k), float64(k % 1000 * p)})
			}
		}
		out = append(out, l)
	}
	return out
}

// Hours of load at many batch sizes make a page of the usual size, and hide no stall.
func TestSizeOfLongLoad(t *testing.T) {
	for _, n := range []int{1, 40} {
		text, doc := render(t, harness.Run{Load: longLoad(n)})
		t.Logf("%s: %d bytes", fmt.Sprint(n), len(text))
		if len(text) > 1_500_000 {
			t.Errorf("%d bytes for %d measurements", len(text), n)
		}
		for id, spec := range charts(t, doc) {
			seriesIn(t, id, spec)
		}
		if table := textOf(byID(t, doc, "latency-time-1")); !strings.Contains(table, "1048") {
			t.Error("the worst latency of the run is in no row")
		}
	}
}

// seriesIn counts the points of each series of a chart.
func seriesIn(t *testing.T, id string, spec any) {
	switch v := spec.(type) {
	case []any:
		for _, x := range v {
			seriesIn(t, id, x)
		}
	case map[string]any:
		if rows, ok := v["values"].([]any); ok {
			count := map[string]int{}
			for _, row := range rows {
				fields, ok := row.(map[string]any)
				if !ok {
					continue
				}
				count[fmt.Sprint(fields["batch"], fields["of"], fields["p"], fields["kind"], fields["which"])]++
			}
			for series, n := range count {
				if n > 500 {
					t.Errorf("%s: series %s has %d points", id, series, n)
				}
			}
		}
		for _, x := range v {
			seriesIn(t, id, x)
		}
	}
}

// What the golden files hold is what the page draws: none is left behind by a chart that is gone.
func TestNoChartIsLeftOver(t *testing.T) {
	_, doc := render(t, sampleRun(t, t.TempDir()))
	specs := charts(t, doc)
	files, err := filepath.Glob("testdata/chart-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden files: %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "chart-"), ".json")
		if specs[name] == nil {
			t.Errorf("no chart is called %s", name)
			if golden.Updating() {
				_ = os.Remove(f)
			}
		}
	}
}
