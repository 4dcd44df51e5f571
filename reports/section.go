package reports

import (
	"errors"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
)

// section is one scenario.
type section struct {
	ID, Name, Doc string
	State         state
	Why           string
	Open          bool
	Result        harness.Result
	Violated      []check.Result
	Unknown       []check.Result
	Figures       []figure
	Replay, Judge string
	HistoryLink   string // relative to the report
	NoHistory     string // why there is no picture
	Limits        detail
	Picture       template.HTML
	LanesLeft     int

	timeline *timeline
}

// sectionOf reads the history of a scenario. What is wrong with it is part of
// the report, not an error of the writer.
func sectionOf(run harness.Run, r harness.Result) section {
	s := section{
		Name: r.Scenario, Doc: r.Doc, State: scenarioState(r), Why: why(r), Result: r,
		Violated: checksOf(r, check.Violated), Unknown: checksOf(r, check.Unknown), Figures: figures(r),
		Replay: replayRun(run, r), Judge: replayCheck(run, r),
		HistoryLink: path.Join(filepath.ToSlash(r.Dir), historyFile),
	}
	s.Open = s.State != stateHeld || len(run.Scenarios) == 1
	h, err := history.ReadFile(historyPath(run, r))
	var corrupt *history.CorruptError
	switch {
	case errors.Is(err, os.ErrNotExist):
		s.NoHistory = "There is no history at " + historyPath(run, r) + ", so there is nothing to draw."
		s.HistoryLink = ""
	case errors.As(err, &corrupt):
		s.NoHistory = "The picture ends early: " + corrupt.Error() + "."
	case err != nil:
		s.NoHistory = "The history could not be read: " + err.Error() + "."
		s.HistoryLink = ""
	}
	if len(h.Events) > 0 {
		t := timelineOf(h, r.Checks)
		s.timeline = &t
	}
	return s
}

// with returns s with as much detail as its state deserves.
func (s section) with(told, held detail) section {
	d := told
	if s.State == stateHeld {
		d = held
	}
	s.Limits = d
	if s.timeline != nil && d.lanes > 0 {
		s.Picture, s.LanesLeft = drawLanes(*s.timeline, d)
	}
	if d.rows == 0 {
		s.Figures = nil
	}
	return s
}

// firstEvidenceRows are seen at once; the rest unfolds.
const firstEvidenceRows = 5

// First is the evidence of c that is seen at once.
func (s section) First(c check.Result) []check.Evidence {
	return c.Evidence[:min(len(c.Evidence), max(s.Limits.evidence, 1), firstEvidenceRows)]
}

// Rest is the evidence of c that unfolds.
func (s section) Rest(c check.Result) []check.Evidence {
	first := len(s.First(c))
	return c.Evidence[first:max(first, min(len(c.Evidence), s.Limits.evidence))]
}

// Tables tells whether there is room for the tables below the picture.
func (s section) Tables() bool { return s.Limits.rows > 0 }

// More is how many violations of c the page leaves out.
func (s section) More(c check.Result) int { return max(c.Count-len(s.First(c))-len(s.Rest(c)), 0) }

// Causes are those that the page has room for.
func (s section) Causes() []check.Cause {
	return s.Result.Causes[:min(len(s.Result.Causes), s.Limits.rows)]
}

// CausesLeft is how many causes it leaves out.
func (s section) CausesLeft() int { return len(s.Result.Causes) - len(s.Causes()) }

// Faults are the faults of the history, for the table under the picture.
func (s section) Faults() []span {
	if s.timeline == nil {
		return nil
	}
	return s.timeline.Faults[:min(len(s.timeline.Faults), s.Limits.rows)]
}

// lifeRow is one line of the table that says the same as the lanes.
type lifeRow struct {
	Partition int32
	Who, End  string
	From, To  time.Duration
}

// Owners is the ownership picture as a table.
func (s section) Owners() []lifeRow {
	var rows []lifeRow
	if s.timeline == nil {
		return nil
	}
	for _, l := range s.timeline.Lanes {
		for _, b := range l.Bars {
			if len(rows) == s.Limits.rows {
				return rows
			}
			rows = append(rows, lifeRow{l.Partition, b.Who, strings.ReplaceAll(b.End, "assigned", "given to another"), b.From, b.To})
		}
	}
	return rows
}

// OwnersLeft is how many lines Owners leaves out.
func (s section) OwnersLeft() int {
	n := 0
	for _, l := range s.timeline.Lanes {
		n += len(l.Bars)
	}
	return n - len(s.Owners())
}

// Lanes are the partitions of the table of sums.
func (s section) Lanes() []lane {
	if s.timeline == nil {
		return nil
	}
	return s.timeline.Lanes[:min(len(s.timeline.Lanes), s.Limits.rows)]
}
