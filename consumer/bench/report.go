package main

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"
	"time"
)

//go:embed report.md.tmpl
var reportText string

var reportTemplate = template.Must(template.New("report").Parse(reportText))

// page is what the template shows.
type page struct {
	Date, Took  string
	Machine     machine
	Records     string
	Rounds      int
	Partitions  int
	Payload     int
	BatchKiB    int
	FetchMax    int
	Throughput  []row
	Targets     []target
	Keys        []row
	KeyRounds   int
	Window      time.Duration
	Tool        bool
	ToolVersion string
}

// row is one subject.
type row struct {
	Title, Rate, Range, Ratio, CPU, Allocs, Memory string
}

// target is what was asked for.
type target struct{ What, Asked, Measured, Met string }

func (b *bench) report(began time.Time) (string, error) {
	p := page{
		Date: began.UTC().Format(time.DateOnly), Took: time.Since(began).Round(time.Second).String(),
		Machine: thisMachine(b.kafka.Version(), b.load), Records: thousands(float64(b.records)), Rounds: b.rounds,
		Partitions: partitions, Payload: payload, BatchKiB: batchBytes >> 10, FetchMax: b.fetchMax, Targets: b.targets(),
		KeyRounds: b.keyRounds, Window: b.window, Tool: len(b.results[perfTool]) > 0, ToolVersion: toolVersion,
	}
	for _, s := range subjects {
		if len(b.results[s.name]) > 0 {
			p.Throughput = append(p.Throughput, b.row(s, raw))
		}
	}
	for _, s := range keySubjects {
		if len(b.results[s.name]) > 0 {
			p.Keys = append(p.Keys, b.row(s, ideal))
		}
	}
	var out strings.Builder
	err := reportTemplate.Execute(&out, p)
	return out.String(), err
}

func (b *bench) row(s subject, reference string) row {
	rate := b.of(s.name, result.rate)
	r := row{
		Title: s.title, Rate: thousands(rate.median), Range: thousands(rate.low) + " to " + thousands(rate.high), Ratio: "–",
		CPU:    fmt.Sprintf("%.2f", b.of(s.name, func(r result) float64 { return r.CPU.Seconds() / float64(r.Records) * 1e6 }).median),
		Allocs: fmt.Sprintf("%.2f", b.of(s.name, allocations).median),
		Memory: fmt.Sprintf("%.0f", b.of(s.name, func(r result) float64 { return float64(r.RSS) / 1e6 }).median),
	}
	if ratio, ok := b.ratio(s.name, reference); ok {
		r.Ratio = ratio.String()
	}
	if s.consume == nil {
		r.Allocs = "–"
	}
	return r
}

func allocations(r result) float64 { return float64(r.Mallocs) / float64(r.Records) }

// targets compares what was measured with what the library is to reach.
func (b *bench) targets() []target {
	var out []target
	ratio := func(name, other, what, asked string, least float64) {
		if s, ok := b.ratio(name, other); ok {
			out = append(out, target{what, asked, s.String(), met(s.median >= least)})
		}
	}
	ratio(ours, raw, "throughput of ksim, against franz-go alone", "≥ 0.9", 0.9)
	ratio(ours, perfTool, "against Kafka's perf tool", "≥ 2", 2)
	if s, ok := b.ratio(ceiling, perfTool); ok {
		out = append(out, target{"what this machine can deliver at most, against Kafka's perf tool", "–", s.String(), "–"})
	}
	ratio(ours, "sarama", "against IBM/sarama", "> 1", 1)
	ratio(ours, "kafka-go", "against segmentio/kafka-go", "> 1", 1)
	ratio(ours, "confluent", "against confluent-kafka-go", "> 1", 1)
	if len(b.results[ours]) > 0 && len(b.results[raw]) > 0 {
		more := b.of(ours, allocations).median - b.of(raw, allocations).median
		out = append(out, target{"allocations a record beyond those of franz-go alone", "≤ 1", fmt.Sprintf("%.2f", more), met(more <= 1)})
	}
	ratio("ksim-keys", ideal, "key order, 64 at once, 1 ms a record: against the ideal", "≥ 0.8", 0.8)
	return out
}

func met(ok bool) string {
	if ok {
		return "yes"
	}
	return "**no**"
}
