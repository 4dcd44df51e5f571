package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/mutant"
	"github.com/ksim-dev/ksim/scenarios"
)

// catalogues are what `ksim list` can list: the columns of each entry, the name first.
var catalogues = []struct {
	name    string
	entries func() [][]string
}{
	{"scenarios", func() (rows [][]string) {
		for _, s := range scenarios.All() {
			rows = append(rows, []string{s.Name, strings.Join(s.Tags, ","), s.Doc})
		}
		return rows
	}},
	{"checks", func() (rows [][]string) {
		for _, c := range check.All() {
			rows = append(rows, []string{c.Name, firstSentence(c.Doc)})
		}
		return rows
	}},
	{"faults", func() (rows [][]string) {
		for _, f := range fault.All() {
			rows = append(rows, []string{f.Name(), f.Doc()})
		}
		return rows
	}},
	{"mutants", func() (rows [][]string) {
		for _, m := range mutant.All() {
			rows = append(rows, []string{m.Name, strings.Join(m.Caught, ","), m.Mistake})
		}
		return rows
	}},
}

func listVerb() *cobra.Command {
	names := make([]string, len(catalogues))
	for i, c := range catalogues {
		names[i] = c.name
	}
	return &cobra.Command{
		Use:       "list " + strings.Join(names, "|"),
		Short:     "List the scenarios, the checks, the faults or the mutants",
		ValidArgs: names,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("list takes one of %s", strings.Join(names, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, c := range catalogues {
				if c.name == args[0] {
					return printRows(cmd.OutOrStdout(), c.entries())
				}
			}
			return fmt.Errorf("there is no list of %q; choose one of %s", args[0], strings.Join(names, ", "))
		},
	}
}

func printRows(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if _, err := fmt.Fprintln(tw, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// firstSentence is what stands before the first full stop that ends a sentence.
func firstSentence(doc string) string {
	doc = strings.Join(strings.Fields(doc), " ")
	if i := strings.Index(doc, ". "); i >= 0 {
		return doc[:i+1]
	}
	return doc
}
