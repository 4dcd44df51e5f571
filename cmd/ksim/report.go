package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/reports"
)

func reportVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR",
		Short: "Write the reports of a run again from its directory, and print the summary",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := reports.ReadJSON(args[0])
			if err != nil {
				if info, serr := os.Stat(filepath.Join(args[0], "scenarios")); errors.Is(err, os.ErrNotExist) && serr == nil && info.IsDir() {
					return fmt.Errorf("%s has no report.json: the run did not come to its end; 'ksim check %s' judges what it saw", args[0], args[0])
				}
				return err
			}
			run.Dir = args[0]
			if _, err := reports.WriteAll(run); err != nil {
				return err
			}
			return reports.Text(cmd.OutOrStdout(), run, useColour(cmd.OutOrStdout()))
		},
	}
}
