package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// nameFlags adds the valid flags to the error of an unknown one.
func nameFlags(cmd *cobra.Command, err error) error {
	if !strings.Contains(err.Error(), "unknown") {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	sort.Strings(names)
	return fmt.Errorf("%w; the flags of %s are %s", err, cmd.CommandPath(), strings.Join(names, ", "))
}
