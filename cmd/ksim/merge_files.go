package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/hlog"
)

// partDir is where the files of a measurement lie. The name comes from a report that may be anyone's.
func partDir(dir string, r load.Result) (string, error) {
	if !filepath.IsLocal(r.Name) {
		return "", fmt.Errorf("%s: the name %q of a measurement leads out of its directory", dir, r.Name)
	}
	return filepath.Join(dir, "load", r.Name), nil
}

// readPart reads the logs of one measurement of the run in dir.
func readPart(dir string, r load.Result) (load.Part, error) {
	from, err := partDir(dir, r)
	if err != nil {
		return load.Part{}, err
	}
	p := load.Part{Name: dir, Result: r, Logs: map[load.Stage][]hlog.Interval{}}
	for _, stage := range load.Stages() {
		log, _, err := hlog.ReadFile(filepath.Join(from, stage.String()+".hlog"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a stage of which nothing could be known
		}
		if err != nil {
			return load.Part{}, err
		}
		if log == nil {
			log = []hlog.Interval{} // there is a log, with nothing in it
		}
		p.Logs[stage] = log
	}
	if p.Logs[load.Total] == nil || r.Started.IsZero() {
		return load.Part{}, older(dir)
	}
	return p, nil
}

// writePart writes, for each stage of a merged measurement, the log of all intervals and the percentiles of the measured part.
func writePart(dir string, p load.Part) error {
	to, err := partDir(dir, p.Result)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for stage, log := range p.Logs {
		head := hlog.Header{StartTime: p.Result.Started, Comments: []string{
			fmt.Sprintf("[ksim: stage %s, values in microseconds, merged of %q]", stage, p.Name),
		}}
		for _, iv := range log { // of the warm-up, or moved to the grid
			if iv.Start.Before(head.StartTime) {
				head.StartTime = iv.Start
			}
		}
		path := filepath.Join(to, stage.String())
		if err := hlog.WriteFile(path+".hlog", head, log); err != nil {
			return err
		}
		if err := writePercentiles(path+".hgrm", p, stage); err != nil {
			return err
		}
	}
	return nil
}

func writePercentiles(path string, p load.Part, stage load.Stage) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(hlog.WritePercentiles(f, p.Histograms[stage]), f.Close())
}
