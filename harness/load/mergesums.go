package load

import (
	"fmt"
	"math"
	"strings"
)

// mergeResults fills merged.Result; its logs and histograms are merged already, and parts are in order of their start.
func mergeResults(merged *Part, parts []Part) error {
	first := parts[0].Result
	m := Result{
		Name: first.Name, Started: first.Started, BatchSize: first.BatchSize, Profile: first.Profile, Size: first.Size,
		Valid: true, Latency: Summary(merged.Histograms[Total]),
		Reprocessed: mergeReprocessed(parts), Machine: mergeMachines(parts), Ceiling: mergeCeilings(parts),
		Stages: mergeStages(merged, parts), Lag: mergeLag(parts), Faults: mergeFaults(parts),
	}
	if len(parts) == 1 {
		m.ClosedLoop = first.ClosedLoop
	}
	_, end := first.span()
	for _, p := range parts {
		m.Rate += p.Result.Rate
		m.Messages += p.Result.Messages
		m.Through += p.Result.Through
		m.MBps += p.Result.MBps
		m.PeakLag += p.Result.PeakLag
		m.LateMS = max(m.LateMS, p.Result.LateMS)
		if _, to := p.Result.span(); to.After(end) {
			end = to
		}
	}
	m.Seconds = end.Sub(m.Started).Seconds()
	g, err := mergeIntervals(parts, merged.Logs[Total])
	if err != nil {
		return err
	}
	m.Intervals = g.inOrder()
	// The parts need not have had their most at one moment: where intervals tell when, they say less than the sum.
	if peak, known := g.peak(parts); known {
		m.PeakLag = min(m.PeakLag, peak)
	}
	mergeReasons(&m, parts)
	merged.Result = m
	return nil
}

// mergeStages are the stages of which any part tells, of all messages. The order is that of Stages.
func mergeStages(merged *Part, parts []Part) (out []StageLatency) {
	told := map[string]bool{}
	for _, p := range parts {
		for _, s := range p.Result.Stages {
			told[s.Stage] = true
		}
	}
	for _, stage := range Stages() {
		if h := merged.Histograms[stage]; told[stage.String()] {
			out = append(out, StageLatency{Stage: stage.String(), Count: h.TotalCount(), Latency: Summary(h)})
		}
	}
	return out
}

// mergeReasons: one part that must not be believed spoils the sum, and so do parts that were not measured together.
func mergeReasons(m *Result, parts []Part) {
	if len(parts) == 1 {
		m.Valid, m.Reason = parts[0].Result.Valid, parts[0].Result.Reason
		return
	}
	var reasons []string
	for _, p := range parts {
		m.Valid = m.Valid && p.Result.Valid
		if p.Result.Reason != "" {
			reasons = append(reasons, p.Name+": "+p.Result.Reason)
		}
	}
	from, to := together(parts)
	if both := to.Sub(from).Seconds(); both < minTogether*m.Seconds {
		m.Valid = false
		reasons = append(reasons, fmt.Sprintf("%s measured together for %.1f of %.1f s only: start the generators closer to each other, or measure longer", names(parts), both, m.Seconds))
	}
	m.Reason = strings.Join(reasons, "; ")
}

// mergeReprocessed: crashes add up, and what is told per crash is the average over all of them.
func mergeReprocessed(parts []Part) (m Reprocessed) {
	var measured, predicted, low, high float64
	for _, p := range parts {
		r := p.Result.Reprocessed
		n := float64(r.Crashes)
		m.Crashes += r.Crashes
		measured += n * float64(r.Measured)
		predicted += n * r.Predicted
		low += n * float64(r.Low)
		high += n * float64(r.High)
		m.Each = append(m.Each, r.Each...)
	}
	if len(parts) == 1 || m.Crashes == 0 { // n*x/n is not always x
		return parts[0].Result.Reprocessed
	}
	n := float64(m.Crashes)
	m.Measured, m.Predicted = int(math.Round(measured/n)), predicted/n
	m.Low, m.High = int(math.Floor(low/n)), int(math.Ceil(high/n))
	return m
}

// mergeMachines is the worst of all machines, so that none hides behind the others. CPU seconds are
// no trouble but a cost: of these it is the sum. One machine of which nothing is known makes all of it unknown.
func mergeMachines(parts []Part) *Machine {
	m, told := Machine{Known: true}, false
	for _, p := range parts {
		one := p.Result.Machine
		if one == nil {
			m.Known = false
			continue
		}
		told = true
		m.Busy = max(m.Busy, one.Busy)
		m.Steal = max(m.Steal, one.Steal)
		m.StealMaxMS = max(m.StealMaxMS, one.StealMaxMS)
		m.GCPauseMS = max(m.GCPauseMS, one.GCPauseMS)
		m.SubjectCPU += one.SubjectCPU
		m.Known = m.Known && one.Known
	}
	if !told {
		return nil
	}
	return &m
}

// mergeCeilings adds the ceilings, if each part has one.
func mergeCeilings(parts []Part) *Ceiling {
	var c Ceiling
	var claimed float64
	for _, p := range parts {
		one := p.Result.Ceiling
		if one == nil {
			return nil
		}
		c.Through += one.Through
		c.Ratio = one.Ratio
		claimed += p.Result.Through
	}
	if len(parts) > 1 {
		c.Ratio = 0
		if claimed > 0 {
			c.Ratio = c.Through / claimed
		}
	}
	return &c
}
