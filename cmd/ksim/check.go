package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/reports"
	"github.com/ksim-dev/ksim/scenarios"
)

func checkVerb() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "check HISTORY…",
		Short: "Judge saved histories again, without Kafka",
		Long: "Judge saved histories again, without Kafka. HISTORY is a history.jsonl, or a directory in which all of them are judged.\n" +
			"A history that is corrupt is judged up to the corrupt line, and the exit status is then never 0.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("check takes at least one history.jsonl, or a directory that holds some")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("there is no output %q; choose text or json", output)
			}
			files, err := findHistories(args)
			if err != nil {
				return err
			}
			run, err := judgeFiles(cmd.ErrOrStderr(), files)
			if len(run.Scenarios) == 0 {
				return err
			}
			// Those that can be judged are, whatever the others are.
			if output == "json" {
				err = errors.Join(err, reports.JSON(cmd.OutOrStdout(), run))
			} else {
				err = errors.Join(err, reports.Text(cmd.OutOrStdout(), run, useColour(cmd.OutOrStdout())))
			}
			if err != nil {
				return err
			}
			return verdict(run.Verdict())
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// judgeFiles judges histories, of one run or of several. The error joins those
// of all files that are no histories.
func judgeFiles(stderr io.Writer, files []string) (harness.Run, error) {
	run := harness.Run{ID: "check", Version: ksimVersion(), Machine: thisMachine(), Subject: "as recorded"}
	var errs []error
	var first history.Header
	for _, f := range files {
		res, header, err := judgeFile(stderr, f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(run.Scenarios) == 0 {
			first, run.Kafka, run.Seed = header, header.Kafka, header.Seed
			run.Started, run.Members, run.Partitions, run.BatchSize = header.Start, header.Members, header.Partitions, header.BatchSize
		}
		if header.Kafka != first.Kafka {
			run.Kafka = "as recorded"
		}
		run.Scenarios = append(run.Scenarios, res)
	}
	// What was run is in the report beside the histories, if all are of one run.
	dir := runDir(files[0])
	if slices.ContainsFunc(files, func(f string) bool { return runDir(f) != dir }) {
		return run, errors.Join(errs...)
	}
	if report, err := reports.ReadJSON(dir); err == nil {
		run.ID, run.Command, run.Subject = report.ID, report.Command, report.Subject
		run.Members, run.Partitions, run.BatchSize = report.Members, report.Partitions, report.BatchSize
	}
	return run, errors.Join(errs...)
}

// runDir is the directory of the run that left the history at path, which is
// at scenarios/NAME/history.jsonl below it.
func runDir(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(path)))
}

// judgeFile judges one history. What a corrupt one shows before the corrupt
// line counts; what it does not show makes it unknown at best.
func judgeFile(stderr io.Writer, path string) (harness.Result, history.Header, error) {
	h, err := history.ReadFile(path)
	var corrupt *history.CorruptError
	if err != nil && !errors.As(err, &corrupt) {
		return harness.Result{}, h.Header, fmt.Errorf("check: %w", err)
	}
	if err != nil && h.Header.Format == 0 {
		return harness.Result{}, h.Header, fmt.Errorf("check: %s is not a history of ksim: line %d: %s; give a history.jsonl, or the directory of a run", path, corrupt.Line, corrupt.Reason)
	}
	if h.Header.Load {
		return harness.Result{}, h.Header, fmt.Errorf("check: %s is the history of a load run, which has no messages and effects in it: its figures are in report.json of the run", path)
	}
	report := check.Run(h)
	res := harness.Result{
		Scenario: h.Header.Scenario, Verdict: report.Verdict, Checks: report.Checks, Counts: report.Counts,
		Causes: report.Causes, Attribution: report.Attribution, Waived: h.Header.Waived, Started: h.Header.Start, Dir: filepath.Dir(path),
	}
	if n := len(h.Events); n > 0 {
		res.Seconds = h.Events[n-1].At.Seconds()
	}
	if corrupt != nil {
		res.Verdict = check.Worse(res.Verdict, check.Unknown)
		res.Reason = fmt.Sprintf("%s: %v", path, corrupt)
		_, _ = fmt.Fprintf(stderr, "ksim: %s\n", res.Reason)
	}
	return res, h.Header, nil
}

// findHistories expands directories to the histories below them, those of a
// run in the order of the catalogue.
func findHistories(args []string) ([]string, error) {
	var files []string
	for _, a := range args {
		a, err := filepath.EvalSymlinks(a) // ksim-out/latest is a link
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		info, err := os.Stat(a)
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		if !info.IsDir() {
			files = append(files, a)
			continue
		}
		n := len(files)
		err = filepath.WalkDir(a, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Name() == "history.jsonl" && filepath.Base(filepath.Dir(filepath.Dir(path))) != load.DirName {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		sortAsCatalogue(files[n:])
		if len(files) == n {
			return nil, fmt.Errorf("check: there is no history.jsonl of a scenario in %s or below it; those of load runs have nothing to judge", a)
		}
	}
	return files, nil
}

// sortAsCatalogue sorts run by run, and in each as the report of the run does;
// what the catalogue does not have comes last.
func sortAsCatalogue(files []string) {
	order := map[string]int{}
	for i, s := range scenarios.All() {
		order[s.Name] = i
	}
	place := func(path string) int {
		name, _, _ := strings.Cut(filepath.Base(filepath.Dir(path)), "@")
		if i, ok := order[name]; ok {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(files, func(a, b string) int {
		return cmp.Or(strings.Compare(runDir(a), runDir(b)), cmp.Compare(place(a), place(b)))
	})
}
