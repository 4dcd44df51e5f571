package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/mutant/matrix"
	"github.com/ksim-dev/ksim/scenarios"
	"github.com/ksim-dev/ksim/scenarios/script"
)

// generated heads every page that docs writes.
const generated = "<!-- Written by `make docs` from the code; edit the code. -->\n\n"

func docsVerb() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:    "docs",
		Short:  "Write the reference docs from the code",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, page := range map[string]func() string{
				"scenarios.md": scenariosPage, "guarantees.md": checksPage, "faults.md": faultsPage, "ksim-yaml.md": configPage, "mutants.md": func() string { return matrix.Page() + othersPage() },
			} {
				if err := os.WriteFile(filepath.Join(out, name), []byte(generated+page()), 0o644); err != nil {
					return err
				}
			}
			for name, schema := range map[string]func() ([]byte, error){"scenario.schema.json": script.Schema, "ksim.schema.json": configSchema} {
				text, err := schema()
				if err := errors.Join(err, os.WriteFile(filepath.Join(out, name), text, 0o644)); err != nil {
					return err
				}
			}
			return writeCLIPages(cmd.Root(), filepath.Join(out, "cli"))
		},
	}
	cmd.Flags().StringVar(&out, "out", "docs", "directory to write to")
	return cmd
}

// writeCLIPages writes a page for each verb.
func writeCLIPages(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true // a date in a page would change it every day
	return doc.GenMarkdownTree(root, dir)
}

func scenariosPage() string {
	var b strings.Builder
	b.WriteString("# Scenarios\n\n`ksim run` runs those with the tag smoke; `ksim run --scenario NAME` or `--scenario tag:TAG` others. Some with the tag full need three brokers: `--kafka containers --brokers 3`.\n" +
		"`--groups` runs each in groups of several kinds, `--scenario NAME@KIND` one in one:\n\n")
	for _, g := range scenarios.Groups() {
		fmt.Fprintf(&b, "- `%s`: %s\n", g.Name, g.Doc)
	}
	b.WriteString("\n")
	b.WriteString("| scenario | what happens | faults | tags |\n|---|---|---|---|\n")
	for _, s := range scenarios.All() {
		var faults []string
		for _, f := range s.Faults {
			faults = append(faults, fmt.Sprintf("[%s](faults.md#%s)", f.Name(), f.Name()))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.Name, s.Doc, strings.Join(faults, ", "), strings.Join(s.Tags, ", "))
	}
	return b.String()
}

func checksPage() string {
	var b strings.Builder
	b.WriteString("# What is checked\n\nEach check is a pure function of the history of a run. Its verdict is held, violated or unknown; unknown never counts as held.\n")
	for _, c := range check.All() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", c.Name, strings.TrimSpace(c.Doc))
	}
	return b.String()
}

func faultsPage() string {
	var b strings.Builder
	b.WriteString("# Faults\n\nEach fault proves that it happened; one that cannot makes its scenario unknown.\n")
	b.WriteString("The settings are those of [scenario files](scenario-files.md), with their defaults.\n")
	for _, f := range fault.All() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", f.Name(), f.Doc())
		settings := script.Settings(f)
		if len(settings) == 0 {
			continue
		}
		b.WriteString("\n| setting | | default | |\n|---|---|---|---|\n")
		for _, s := range settings {
			fmt.Fprintf(&b, "| `%s` | %s | %v | %s |\n", s.Name, s.Type, s.Default, s.Doc)
		}
	}
	return b.String()
}
