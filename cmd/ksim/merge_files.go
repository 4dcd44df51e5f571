package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/hlog"
)

// partDir is where the files of a measurement lie. The name comes from a report that may be anyone's.
func partDir(dir string, r load.Result) (string, error) {
	if !filepath.IsLocal(r.Name) {
		return "", fmt.Errorf("%s: the name %q of a measurement leads out of its directory", dir, r.Name)
	}
	return filepath.Join(dir, load.DirName, r.Name), nil
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

// writePart writes the files of a merged measurement.
func writePart(dir string, p load.Part) error {
	to, err := partDir(dir, p.Result)
	if err != nil {
		return err
	}
	return p.Write(to, fmt.Sprintf("merged of %q", p.Name))
}
