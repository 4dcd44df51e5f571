package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/hlog"
)

// loadFiles writes the histograms of a load run: for each stage an interval log and the percentiles of the whole.
type loadFiles struct {
	dir   string    // of the measurement
	start time.Time // of the schedule, by the wall clock
	logs  [load.NumStages][]hlog.Interval
}

// interval keeps one interval; h is good until it returns.
func (f *loadFiles) interval(from, to time.Duration, h load.Histograms) error {
	for s, stage := range h {
		if stage.TotalCount() > 0 {
			f.logs[s] = append(f.logs[s], hlog.Interval{
				Start: f.start.Add(from), Length: to - from, Histogram: hdrhistogram.Import(stage.Export()),
			})
		}
	}
	return nil
}

func (f *loadFiles) write(whole load.Histograms) error {
	var errs []error
	for _, s := range load.Stages() {
		if len(f.logs[s]) == 0 {
			continue // nothing is known of it
		}
		head := hlog.Header{StartTime: f.logs[s][0].Start, Comments: []string{fmt.Sprintf("[ksim: stage %s, values in microseconds]", s)}}
		errs = append(errs, hlog.WriteFile(filepath.Join(f.dir, s.String()+".hlog"), head, f.logs[s]), writePercentiles(filepath.Join(f.dir, s.String()+".hgrm"), whole[s]))
	}
	return errors.Join(errs...)
}

func writePercentiles(path string, h *hdrhistogram.Histogram) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(hlog.WritePercentiles(f, h), f.Close())
}
