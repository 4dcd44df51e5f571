package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/reports"
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
			run := harness.Run{ID: "check", Version: ksimVersion(), Machine: thisMachine(), Kafka: "as recorded", Subject: "as recorded"}
			for _, f := range files {
				run.Scenarios = append(run.Scenarios, judgeFile(cmd, f))
			}
			if output == "json" {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(run.Scenarios)
			} else {
				err = reports.Text(cmd.OutOrStdout(), run, useColour(cmd.OutOrStdout()))
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

// judgeFile judges one history. What a corrupt one shows before the corrupt
// line counts; what it does not show makes it unknown at best.
func judgeFile(cmd *cobra.Command, path string) harness.Result {
	h, err := history.ReadFile(path)
	var corrupt *history.CorruptError
	if err != nil && (!errors.As(err, &corrupt) || h.Header.Format == 0) {
		return harness.Result{Scenario: path, Verdict: check.Unknown, Reason: err.Error()}
	}
	report := check.Run(h)
	res := harness.Result{
		Scenario: h.Header.Scenario, Verdict: report.Verdict, Checks: report.Checks, Counts: report.Counts,
		Causes: report.Causes, Started: h.Header.Start, Dir: filepath.Dir(path),
	}
	if n := len(h.Events); n > 0 {
		res.Seconds = h.Events[n-1].At.Seconds()
	}
	if corrupt != nil {
		res.Verdict = check.Worse(res.Verdict, check.Unknown)
		res.Reason = fmt.Sprintf("%s: %v", path, corrupt)
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "ksim: %s\n", res.Reason)
	}
	return res
}

// findHistories expands directories to the histories below them.
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
			if err == nil && d.Name() == "history.jsonl" {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		if len(files) == n {
			return nil, fmt.Errorf("check: there is no history.jsonl in %s or below it", a)
		}
	}
	return files, nil
}
