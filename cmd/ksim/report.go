package main

import (
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
