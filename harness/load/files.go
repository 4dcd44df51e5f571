package load

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ksim-dev/ksim/harness/load/hlog"
)

// DirName is the directory of a run that has one for each of its measurements, named by Result.Name.
const DirName = "load"

// Write writes, for each stage of which p has a log, that as STAGE.hlog and the percentiles of the measured part as STAGE.hgrm. What
// is not "" is told in the log's header.
func (p Part) Write(dir, note string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if note != "" {
		note = ", " + note
	}
	var errs []error
	for stage, log := range p.Logs {
		head := hlog.Header{StartTime: p.Result.Started, Comments: []string{fmt.Sprintf("[ksim: stage %s, values in microseconds%s]", stage, note)}}
		for _, iv := range log { // of the warm-up, or moved to the grid
			if iv.Start.Before(head.StartTime) {
				head.StartTime = iv.Start
			}
		}
		path := filepath.Join(dir, stage.String())
		errs = append(errs, hlog.WriteFile(path+".hlog", head, log), hlog.WritePercentilesFile(path+".hgrm", p.Histograms[stage]))
	}
	return errors.Join(errs...)
}
