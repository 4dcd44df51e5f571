package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/internal/services"
	"github.com/ksim-dev/ksim/reports"
	"github.com/ksim-dev/ksim/scenarios"
	"github.com/ksim-dev/ksim/scenarios/script"
)

// everyday selects the scenarios of a run that asks for none in particular: those that show most in the least time,
// and need nothing special of Kafka.
const everyday = "tag:smoke"

func runVerb() *cobra.Command {
	var o options
	var names []string
	var files, groups []string
	var noLoad bool
	var parallel int
	cmd := &cobra.Command{
		Use:   "run [flags] [-- command…]",
		Short: "Judge a consumer: run it through the scenarios, then measure it under load",
		Long: "Judge a consumer. Without a command it is the reference consumer. A command is started once per member, with the\n" +
			"variables of the subject protocol in its environment (KSIM_BOOTSTRAP_SERVERS, KSIM_TOPIC, KSIM_GROUP_ID, KSIM_SINK_URL…).\n" +
			"Exit status: 0 held, 1 violated, 2 unknown, 3 a failure of the harness or of usage.",
		Example: "  ksim run\n  ksim run -- python3 examples/python/careful.py\n  ksim run --kafka containers --scenario crash-mid-batch --scenario zombie -- ./my-consumer",
		RunE: func(cmd *cobra.Command, command []string) error {
			if err := checkCommand(cmd, command); err != nil {
				return err
			}
			if cmd.Flags().Changed("scenario") && (len(names) == 0 || slices.Contains(names, "")) {
				return errors.New("--scenario has an empty name: 'ksim list scenarios' lists the names; without the flag those of " + everyday + " run")
			}
			if cmd.Flags().Changed("parallel") && parallel < 1 {
				return fmt.Errorf("--parallel is %d: choose 1 or more", parallel)
			}
			chosen, err := choose(files, names)
			if err != nil {
				return err
			}
			if len(groups) > 0 {
				if chosen, err = scenarios.Each(chosen, groups); err != nil {
					return err
				}
			}
			cfg, err := o.resolve(cmd, command)
			if err != nil {
				return err
			}
			if parallel > 0 {
				cfg.Parallel = parallel
			}
			j := job{cfg: cfg, scenarios: chosen}
			// The load shows what batches cost and give; a choice of
			// scenarios asks for these and nothing else.
			if !noLoad && len(names) == 0 && len(files) == 0 && len(groups) == 0 && cfg.Evidence == history.EvidenceEffects { // latency is measured at effects
				j.load = shortLoad()
			}
			return j.run(cmd, &o)
		},
	}
	o.register(cmd, true)
	o.registerEvidence(cmd)
	cmd.Flags().StringSliceVar(&names, "scenario", nil, "run these scenarios: names, or tags as tag:ci, also with a kind of group as zombie@eager ('ksim list scenarios'; default "+everyday+")")
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "run the scenarios in this YAML `file` (docs/scenario-files.md); may be given several times")
	cmd.Flags().StringSliceVar(&groups, "groups", nil, "run each scenario in groups of these `kinds`: cooperative, eager, consumer (KIP-848), static, consumer-static, or all")
	cmd.Flags().BoolVar(&noLoad, "no-load", false, "leave out the load measurement at the end")
	cmd.Flags().IntVar(&parallel, "parallel", 0, "scenarios side by side (default 6)")
	return cmd
}

// choose returns the scenarios of the files, or of the catalogue if there are none; of both those that
// names select, if there are names.
func choose(files, names []string) ([]harness.Scenario, error) {
	if len(files) == 0 {
		if len(names) == 0 {
			names = []string{everyday}
		}
		return scenarios.Select(names)
	}
	var own []harness.Scenario
	from := map[string]string{}
	for _, s := range scenarios.All() {
		from[s.Name] = "ksim's own catalogue"
	}
	for _, path := range files {
		read, err := script.Read(path)
		if err != nil {
			return nil, err
		}
		for _, s := range read {
			if other := from[s.Name]; other != "" {
				return nil, fmt.Errorf("%s: there is a scenario %s in %s already: give this one another name", path, s.Name, other)
			}
			from[s.Name] = path
		}
		own = append(own, read...)
	}
	if len(names) == 0 {
		return own, nil
	}
	return scenarios.SelectFrom(append(scenarios.All(), own...), names)
}

// job is one invocation of run, load or tune.
type job struct {
	cfg       harness.Config
	scenarios []harness.Scenario
	load      *loadPlan
	tune      *tunePlan
	progress  *progress
}

// run does the work, writes the reports and prints the summary.
func (j *job) run(cmd *cobra.Command, o *options) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	// What is wrong with the sizes is told before anything is started; there
	// is no Kafka yet, and any stands for it.
	probe := j.cfg
	probe.Kafka = harness.Fresh(startEmbedded)
	if err := probe.Validate(); err != nil {
		return err
	}
	for _, s := range j.scenarios {
		if err := probe.Check(s); err != nil {
			return err
		}
	}
	kafka, err := o.kafka.open(ctx, j.cfg.RunID, stderr)
	if err != nil {
		return err
	}
	kafka.lend(&j.cfg)
	j.cfg.Registry = services.SharedRegistry
	defer services.StopShared()
	if err := makeRunDir(j.cfg.Dir); err != nil {
		return errors.Join(err, kafka.Close())
	}
	j.progress = newProgress(stderr, len(j.scenarios))
	j.cfg.Progress = j.progress.ended
	j.progress.say("%s on %s", j.plan(), kafka.label)
	result := harness.Run{
		ID: j.cfg.RunID, Dir: j.cfg.Dir, Version: ksimVersion(), Command: append([]string{"ksim"}, commandLine(cmd)...), Subject: j.cfg.Subject.Name(),
		Kafka: kafka.label, Seed: j.cfg.Seed, Started: time.Now(), Machine: thisMachine(),
		Members: j.cfg.Members, BatchSize: j.cfg.BatchSize, Partitions: j.cfg.Partitions,
	}
	err = j.measure(ctx, &result)
	j.progress.close()
	if ctx.Err() != nil {
		err = nil // it says no more than that the run was interrupted, which status tells
	}
	err = errors.Join(err, kafka.Close())
	result.Seconds = time.Since(result.Started).Seconds()
	_, werr := reports.WriteAll(result)
	err = errors.Join(err, werr)
	// What was seen before a failure is worth as much as without one.
	if err == nil || len(result.Scenarios)+len(result.Load) > 0 || result.Tune != nil {
		err = errors.Join(err, reports.Text(cmd.OutOrStdout(), result, useColour(cmd.OutOrStdout())))
	}
	if err != nil {
		return err
	}
	return j.status(ctx, stderr, result)
}

// plan is what the job is about to do, for the first line of progress.
func (j *job) plan() string {
	var parts []string
	switch n := len(j.scenarios); {
	case n == 1:
		parts = append(parts, "1 scenario")
	case n > 1:
		parts = append(parts, fmt.Sprintf("%d scenarios, %d side by side", n, min(n, j.cfg.Parallel)))
	}
	if j.load != nil {
		n := len(j.load.batchSizes)
		parts = append(parts, fmt.Sprintf("load at %d batch %s", n, map[bool]string{true: "size", false: "sizes"}[n == 1]))
	}
	if j.tune != nil {
		settings, _ := j.tune.settings() // they have been checked
		parts = append(parts, fmt.Sprintf("up to %d trials of each of %d settings, %s each", j.tune.trials, len(settings), j.tune.warmup+j.tune.duration))
	}
	return strings.Join(parts, ", then ") + ","
}

// measure runs the scenarios and then, alone on the machine, the load.
func (j *job) measure(ctx context.Context, result *harness.Run) error {
	var err error
	if len(j.scenarios) > 0 {
		if result.Scenarios, err = harness.RunScenarios(ctx, j.cfg, j.scenarios); err != nil {
			return err
		}
	}
	if j.tune != nil {
		result.Tune, err = j.tune.run(ctx, j.cfg, j.progress)
		return err
	}
	if j.load == nil || ctx.Err() != nil {
		return nil
	}
	for _, s := range result.Scenarios {
		if s.Err != nil { // a harness that fails measures nothing
			return nil
		}
	}
	result.Load, err = j.load.run(ctx, j.cfg, j.progress)
	return err
}

// status turns what came of it into the exit status.
func (j *job) status(ctx context.Context, stderr io.Writer, result harness.Run) error {
	// First, because what is interrupted fails in ways that say nothing.
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(stderr, "ksim: interrupted: what was seen until then is in the report")
		return verdict(check.Worse(result.Verdict(), check.Unknown))
	}
	if failed := result.Failed(); len(failed) > 0 {
		var errs []error
		for _, f := range failed {
			errs = append(errs, fmt.Errorf("scenario %s: %w", f.Scenario, f.Err))
		}
		return errors.Join(errs...)
	}
	if result.Tune != nil && result.Tune.Unclear() {
		return verdict(check.Unknown)
	}
	if len(result.Scenarios) == 0 {
		for _, l := range result.Load {
			if !l.Valid {
				return verdict(check.Unknown)
			}
		}
		return nil
	}
	return verdict(result.Verdict())
}
