package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/reports"
)

func mergeVerb() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "merge DIR…",
		Short: "Put together what several load generators measured at the same time",
		Long: "Put together what several load generators measured at the same time: directories of 'ksim load', run side by side at the same\n" +
			"setting. Histograms are added without loss, so percentiles are those of all messages; rates, throughputs and lag are sums;\n" +
			"what tells of trouble is the worst of all. The clocks of the machines must agree to half an interval.\n" +
			"The merged run is a directory like any other: report.json, the other reports, and the histograms below load/.\n" +
			"A measurement that must not be believed says so, and the exit status is then 2.",
		Example: "  ksim merge ksim-out/generator-1 ksim-out/generator-2 --out ksim-out/both",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("merge takes the directories of the runs to put together, those that ksim load --out wrote")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			merged, parts, err := mergeRuns(args)
			if err != nil {
				return err
			}
			merged.Command = append([]string{"ksim"}, commandLine(cmd)...)
			if merged.Dir = out; out == "" {
				merged.Dir = filepath.Join("ksim-out", merged.ID)
			}
			return writeMerged(cmd, merged, parts)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory for the merged run (default ksim-out/<run id>)")
	return cmd
}

// mergeRuns reads the runs and puts them together; parts has the histograms of each load result of the merged run.
func mergeRuns(dirs []string) (merged harness.Run, parts []load.Part, err error) {
	runs := make([]harness.Run, len(dirs))
	for i, dir := range dirs {
		if runs[i], err = reports.ReadJSON(dir); err != nil {
			return merged, nil, err
		}
	}
	if err := sameSetting(runs); err != nil {
		return merged, nil, err
	}
	for _, of := range runs[0].Load {
		same := make([]load.Part, len(runs))
		for i, run := range runs {
			r := run.Load[slices.IndexFunc(run.Load, func(r load.Result) bool { return r.Name == of.Name })]
			if same[i], err = readPart(run.Dir, r); err != nil {
				return merged, nil, err
			}
		}
		part, err := load.Merge(same...)
		if err != nil {
			return merged, nil, fmt.Errorf("%s: %w", of.Name, err)
		}
		parts = append(parts, part)
	}
	return asOne(runs, parts), parts, nil
}

// sameSetting returns all that keeps the runs from being put together, as far as the runs tell; of a single
// measurement load.Merge tells.
func sameSetting(runs []harness.Run) error {
	var errs []error
	first := runs[0]
	for i, r := range runs {
		for _, other := range runs[:i] {
			if other.ID == r.ID {
				errs = append(errs, fmt.Errorf("%s and %s are the same run: it would count twice", other.Dir, r.Dir))
			}
		}
		switch mine, theirs := measurements(first), measurements(r); {
		case len(r.Load) == 0:
			errs = append(errs, fmt.Errorf("%s has no load measurement: give directories that ksim load wrote", r.Dir))
		case slices.Contains(theirs, ""):
			errs = append(errs, older(r.Dir))
		case !slices.Equal(mine, theirs):
			errs = append(errs, fmt.Errorf("%s measured %s, and %s %s: measure the same everywhere", first.Dir, strings.Join(mine, ", "), r.Dir, strings.Join(theirs, ", ")))
		}
		if r.Members != first.Members {
			errs = append(errs, fmt.Errorf("%s and %s differ: members %d and %d", first.Dir, r.Dir, first.Members, r.Members))
		}
		if r.Partitions != first.Partitions {
			errs = append(errs, fmt.Errorf("%s and %s differ: partitions %d and %d", first.Dir, r.Dir, first.Partitions, r.Partitions))
		}
	}
	return errors.Join(errs...)
}

// measurements are the names of the load results of a run, in order of the alphabet.
func measurements(run harness.Run) (out []string) {
	for _, r := range run.Load {
		out = append(out, r.Name)
	}
	slices.Sort(out)
	return out
}

// older is the error about a run that left too little to be merged.
func older(dir string) error {
	return fmt.Errorf("%s has no histograms by interval (load/<name>/%s.hlog): an older ksim wrote it, or the files were not copied with it; copy the whole directory, or measure again with this ksim", dir, load.Total)
}

// asOne is the run that all runs are together.
func asOne(runs []harness.Run, parts []load.Part) harness.Run {
	first := slices.MinFunc(runs, func(a, b harness.Run) int { return a.Started.Compare(b.Started) })
	m := harness.Run{
		ID: newRunID(), Version: ksimVersion(), Seed: first.Seed, Started: first.Started, Machine: first.Machine,
		Members: first.Members, BatchSize: first.BatchSize, Partitions: first.Partitions,
	}
	var subjects, kafkas []string
	end := m.Started
	for _, r := range runs {
		subjects, kafkas = append(subjects, r.Subject), append(kafkas, r.Kafka)
		if e := r.Started.Add(time.Duration(r.Seconds * float64(time.Second))); e.After(end) {
			end = e
		}
	}
	m.Subject, m.Kafka, m.Seconds = distinct(subjects), distinct(kafkas), end.Sub(m.Started).Seconds()
	for _, p := range parts {
		m.Load = append(m.Load, p.Result)
	}
	return m
}

// distinct joins names, each told once: the machines may call the same subject by different paths.
func distinct(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " + ")
}

// writeMerged leaves the merged run behind and prints its summary.
func writeMerged(cmd *cobra.Command, merged harness.Run, parts []load.Part) error {
	if err := makeRunDir(merged.Dir); err != nil {
		return err
	}
	for _, p := range parts {
		if err := writePart(merged.Dir, p); err != nil {
			return err
		}
	}
	if _, err := reports.WriteAll(merged); err != nil {
		return err
	}
	if err := reports.Text(cmd.OutOrStdout(), merged, useColour(cmd.OutOrStdout())); err != nil {
		return err
	}
	if slices.ContainsFunc(merged.Load, func(r load.Result) bool { return !r.Valid }) {
		return verdict(check.Unknown)
	}
	return nil
}
