package reports

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ksim-dev/ksim/harness"
)

// files are what WriteAll writes, run.json first: a report that fails to be
// drawn leaves at least what ran and the figures.
var files = []struct {
	name  string
	write func(io.Writer, harness.Run) error
}{
	{"run.json", runJSON},
	{"report.json", JSON},
	{"report.md", Markdown},
	{"junit.xml", JUnit},
	{"report.html", HTML},
}

// WriteAll writes run.json, report.json, report.md, junit.xml and report.html
// into run.Dir and returns their paths. Each file appears whole or not at all;
// older ones are replaced. One that fails does not keep the others from being
// written: the error joins all failures.
func WriteAll(run harness.Run) ([]string, error) {
	if run.Dir == "" {
		return nil, errors.New("write reports: the run has no directory")
	}
	if err := os.MkdirAll(run.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("write reports: %w", err)
	}
	var paths []string
	var errs []error
	for _, f := range files {
		path := filepath.Join(run.Dir, f.name)
		var text bytes.Buffer
		err := f.write(&text, run)
		if err == nil {
			err = replace(path, text.Bytes())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", path, err))
			continue
		}
		paths = append(paths, path)
	}
	return paths, errors.Join(errs...)
}

// replace writes path through a temporary file beside it, so that a reader
// never sees half of it.
func replace(path string, text []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if _, err = tmp.Write(text); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err = tmp.Chmod(0o644); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
