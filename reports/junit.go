package reports

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	ginkgo "github.com/onsi/ginkgo/v2/reporters"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
)

// JUnit writes junit.xml: one test case for each scenario.
//
//   - held is a passed test,
//   - violated is a failure; its text names the checks, the records and the
//     commands that replay it,
//   - unknown is skipped, with the reason: nothing is wrong with the subject,
//     so a failure would blame it, but it is not passed either, and the suite is
//     not marked as succeeded. Exit status 2 of ksim is what stops a pipeline,
//   - a failure of the harness is an error (type "interrupted"): the scenario
//     was broken off before it could be judged.
//
// The properties of a test case hold the verdict and the counts.
func JUnit(w io.Writer, run harness.Run) error {
	report := types.Report{
		SuitePath:        run.Dir,
		SuiteDescription: "ksim",
		SuiteLabels:      []string{plain(run.Kafka, 200), plain(run.Subject, 200)},
		SuiteSucceeded:   runState(run) == stateHeld,
		SuiteConfig:      types.SuiteConfig{RandomSeed: run.Seed, ParallelTotal: 1},
		StartTime:        run.Started.UTC(),
		EndTime:          run.Started.UTC().Add(duration(run.Seconds)),
		RunTime:          duration(run.Seconds),
	}
	for _, s := range run.Scenarios {
		report.SpecReports = append(report.SpecReports, spec(run, s))
	}
	text, err := generate(report)
	if err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	_, err = w.Write(text)
	return err
}

// generate has Ginkgo write the report. It can only write to a file, and does
// not report a failed write: a full disk shows in the missing end.
func generate(report types.Report) ([]byte, error) {
	dir, err := os.MkdirTemp("", "ksim-junit-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "junit.xml")
	err = ginkgo.GenerateJUnitReportWithConfig(report, path, ginkgo.JunitReportConfig{
		OmitLeafNodeType: true,
		OmitTimelinesForSpecState: types.SpecStatePassed | types.SpecStateSkipped |
			types.SpecStateFailed | types.SpecStateInterrupted,
	})
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err == nil && !bytes.HasSuffix(bytes.TrimSpace(text), []byte("</testsuites>")) {
		err = fmt.Errorf("%s is cut off: is the disk full?", path)
	}
	return append(text, '\n'), errors.Join(err, os.RemoveAll(dir))
}

func spec(run harness.Run, s harness.Result) types.SpecReport {
	at := types.CodeLocation{FileName: historyPath(run, s), LineNumber: 1}
	out := types.SpecReport{
		LeafNodeType: types.NodeTypeIt,
		LeafNodeText: s.Scenario,
		StartTime:    s.Started.UTC(),
		EndTime:      s.Started.UTC().Add(duration(s.Seconds)),
		RunTime:      duration(s.Seconds),
		NumAttempts:  1,

		LeafNodeLocation:  at,
		CapturedStdOutErr: checkLines(s),
		ReportEntries:     properties(s),
	}
	message := plain(why(s), 400)
	switch scenarioState(s) {
	case stateHeld:
		out.State = types.SpecStatePassed
		return out
	case stateViolated:
		out.State = types.SpecStateFailed
		message = violationText(run, s)
	case stateError:
		out.State = types.SpecStateInterrupted
		message = "the harness failed: " + message
	default:
		out.State = types.SpecStateSkipped
		message = "unknown: " + message
	}
	first, when := firstEvidence(s)
	if first > 0 {
		at.LineNumber = int(first) + 1 // line 1 of a history is its header
	}
	out.Failure = types.Failure{
		Message: message, Location: at,
		FailureNodeType: types.NodeTypeIt, FailureNodeContext: types.FailureNodeIsLeafNode, FailureNodeLocation: at,
		TimelineLocation: types.TimelineLocation{Time: s.Started.UTC().Add(when)},
	}
	return out
}

// firstEvidence is the event that shows the first violation, and its time.
func firstEvidence(s harness.Result) (seq int64, at time.Duration) {
	for _, c := range checksOf(s, check.Violated) {
		for _, e := range c.Evidence {
			if len(e.Events) > 0 {
				return e.Events[0], e.At
			}
		}
	}
	return 0, 0
}

func violationText(run harness.Run, s harness.Result) string {
	var b strings.Builder
	for _, c := range checksOf(s, check.Violated) {
		fmt.Fprintf(&b, "%s: %s. %s\n", c.Check, plural(c.Count, "violation"), plain(c.Reason, 400))
		for _, e := range c.Evidence {
			fmt.Fprintf(&b, "  %s\n", evidenceLine(e))
			for _, s := range e.Story {
				fmt.Fprintf(&b, "      %s\n", plain(s, 200))
			}
		}
	}
	if replay := replayRun(run, s); replay != "" {
		fmt.Fprintf(&b, "replay: %s\n", replay)
	}
	fmt.Fprintf(&b, "judge again: %s", replayCheck(run, s))
	return b.String()
}

func checkLines(s harness.Result) string {
	var b strings.Builder
	for _, c := range s.Checks {
		fmt.Fprintf(&b, "%-8s %s", checkState(c).Word, c.Check)
		if c.Count > 0 {
			fmt.Fprintf(&b, " ×%d", c.Count)
		}
		if c.Reason != "" {
			fmt.Fprintf(&b, ": %s", plain(c.Reason, 400))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func properties(s harness.Result) types.ReportEntries {
	var out types.ReportEntries
	add := func(name string, value any) {
		out = append(out, types.ReportEntry{Name: name, Value: types.WrapEntryValue(value)})
	}
	add("verdict", scenarioState(s).Word)
	add("produced", s.Counts.Produced)
	add("effects", s.Counts.Effects)
	add("reprocessed", s.Counts.Reprocessed)
	add("dead_lettered", s.Counts.DeadLettered)
	if s.Attribution != "" {
		add("attribution", plain(s.Attribution, 400))
	}
	return out
}

func duration(seconds float64) time.Duration {
	if !finite(seconds) {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// evidenceLine is one violation in one line.
func evidenceLine(e check.Evidence) string {
	parts := []string{e.Where, e.Message}
	if e.Key != "" {
		parts = append(parts, "key "+e.Key)
	}
	parts = append(parts, e.Member, "at "+seconds(e.At), e.What)
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, plain(p, 300))
		}
	}
	return strings.Join(kept, "  ")
}
