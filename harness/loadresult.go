package harness

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/hlog"
)

// Bounds of what a result keeps over time.
const (
	maxIntervals = 60  // of the measured part
	maxLagPoints = 400 // of one partition
	minInterval  = 250 * time.Millisecond
)

// result is a function of what was recorded. A run that did not come to the end of its measurement has no figures.
func (l *loadRun) result(ceiling float64) (load.Result, error) {
	res := load.Result{
		Name: l.lc.Name, BatchSize: l.lc.BatchSize, Rate: l.lc.Rate, Profile: l.lc.Profile.String(), Size: int(l.lc.Sizes.Mean() + 0.5),
		Machine: l.machine, Valid: true,
	}
	if l.machine == nil || l.until < l.lc.Warmup+l.lc.Duration {
		res.Valid, res.Reason = false, "the run ended before the measurement did"
		return res, nil
	}
	h := l.log.History()
	window := load.Window{From: l.lc.Warmup, To: l.lc.Warmup + l.lc.Duration}
	files := stageFiles{started: h.Header.Start.Add(l.start), logs: map[load.Stage][]hlog.Interval{}}
	m, err := load.Measurement{
		Records: l.records.Records, Seen: load.See(h, l.start), Window: window, Until: l.until, Step: stepOf(l.lc.Duration),
		ByCommit: l.cfg.Evidence == history.EvidenceCommits, Each: files.interval,
	}.Run()
	if err != nil {
		return res, err
	}
	seconds := l.lc.Duration.Seconds()
	res.Seconds, res.Messages, res.PeakLag, res.Intervals = seconds, m.Messages, m.PeakLag, m.Intervals
	res.Started = files.started.Add(l.lc.Warmup)
	res.Through = float64(m.Done) / seconds
	res.MBps = res.Through * l.lc.Sizes.Mean() / 1e6
	res.Latency = load.Summary(m.All[load.Total])
	res.LateMS = float64(m.All[load.Schedule].Max()) / 1000
	closed := load.Summary(m.Closed)
	res.ClosedLoop = &closed
	for _, s := range load.Stages() {
		if n := m.All[s].TotalCount(); n > 0 {
			res.Stages = append(res.Stages, load.StageLatency{Stage: s.String(), Count: n, Latency: load.Summary(m.All[s])})
		}
	}
	if ceiling > 0 && res.Through > 0 {
		res.Ceiling = &load.Ceiling{Through: ceiling, Ratio: ceiling / res.Through}
	}
	l.overTime(&res, h)
	res.Judge(m.Failed, m.Undone)
	l.countReprocessed(&res)
	return res, files.write(l.dir, res, m.All)
}

// stageFiles gathers the histograms of a load run, interval by interval.
type stageFiles struct {
	started time.Time // the schedule, by the wall clock
	logs    map[load.Stage][]hlog.Interval
}

// interval keeps one interval; h is good until it returns. A stage of which nothing is known has no log.
func (f stageFiles) interval(from, to time.Duration, h load.Histograms) error {
	for s, stage := range h {
		if stage.TotalCount() > 0 {
			iv := hlog.Interval{Start: f.started.Add(from), Length: to - from, Histogram: stage.Clone()}
			f.logs[load.Stage(s)] = append(f.logs[load.Stage(s)], iv)
		}
	}
	return nil
}

func (f stageFiles) write(dir string, res load.Result, all load.Histograms) error {
	whole := map[load.Stage]*hdrhistogram.Histogram{}
	for s, h := range all {
		whole[load.Stage(s)] = h
	}
	return load.Part{Result: res, Logs: f.logs, Histograms: whole}.Write(dir, "")
}

// stepOf is the length of an interval: so many fit into the measured part that a chart can show them.
func stepOf(d time.Duration) time.Duration {
	step := max(minInterval, d/maxIntervals)
	return step.Round(50 * time.Millisecond)
}

// overTime puts what the history tells into the intervals and lines of a result.
func (l *loadRun) overTime(res *load.Result, h history.History) {
	zero := l.start + l.lc.Warmup
	at := func(t time.Duration) float64 { return (t - zero).Seconds() }
	generation := int32(0)
	lag := map[int32][][2]float64{}
	for _, e := range h.Events {
		switch {
		case e.Kind == history.Lag && e.Topic == h.Header.Topic:
			lag[e.Partition] = append(lag[e.Partition], [2]float64{at(e.At), float64(e.End - max(0, e.Offset))})
		case e.Kind == history.Assigned && e.Generation > generation:
			if generation = e.Generation; e.At >= zero {
				if k := res.IntervalAt(at(e.At)); k >= 0 {
					res.Intervals[k].Rebalances++
				}
			}
		case e.Kind == history.FaultEnded && e.Outcome == history.Happened:
			res.Faults = append(res.Faults, load.Span{Name: e.Fault, From: at(h.Events[e.Ref-1].At), To: at(e.At), Note: e.Note})
		}
	}
	repeats, _ := l.records.Repeats()
	for _, r := range repeats {
		if k := res.IntervalAt((r.At - l.lc.Warmup).Seconds()); k >= 0 {
			res.Intervals[k].Repeated++
		}
	}
	for p := range l.cfg.Partitions {
		if points := lag[p]; len(points) > 0 {
			res.Lag = append(res.Lag, load.LagLine{Partition: p, Points: load.Thin(points, maxLagPoints)})
		}
	}
}
