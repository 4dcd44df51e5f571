package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/cmd/ksim/reference"
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/mutant"
	"github.com/ksim-dev/ksim/harness/mutant/matrix"
	"github.com/ksim-dev/ksim/scenarios"
)

// mutantOptions are the flags of mutants.
type mutantOptions struct {
	kafka     kafkaOptions
	only      []string
	languages []string
	out       string
	output    string
	seed      int64
	parallel  int
}

func mutantsVerb() *cobra.Command {
	var o mutantOptions
	d := matrix.Config()
	cmd := &cobra.Command{
		Use:   "mutants",
		Short: "Prove the checks: run consumers with one classic mistake each, which must be caught",
		Long: "Prove the checks: run consumers with one classic mistake each through the scenarios that provoke it, and correct ones through\n" +
			"the same. Prints which check has caught which mistake.\n" +
			"Exit status: 0 every mutant was caught and no correct consumer accused, 1 one survived or was accused, 2 something was not seen,\n" +
			"3 a failure of the harness or of usage.",
		Example: "  ksim mutants\n  ksim mutants --only stale-queue --out ksim-out/stale-queue\n  ksim mutants --kafka containers -o markdown\n  ksim mutants --language go,python,java",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.only, "only", nil, "run these mutants only ('ksim list mutants'), and the correct consumers in their scenarios")
	f.StringSliceVar(&o.languages, "language", mutantLanguages[:1], "those in these languages: "+strings.Join(mutantLanguages, ", ")+"; all but go need the examples of ksim's repository, and their tools")
	f.StringVarP(&o.output, "output", "o", "text", "text, json or markdown")
	f.StringVar(&o.out, "out", "", "directory that keeps every history, for 'ksim check' (default: only those of what went wrong are kept)")
	f.Int64Var(&o.seed, "seed", d.Seed, "the same seed sends the same messages")
	f.IntVar(&o.parallel, "parallel", d.Parallel, "runs side by side")
	o.kafka.register(cmd, "bootstrap servers for --kafka external; secrets come from KSIM_SASL_USERNAME and KSIM_SASL_PASSWORD")
	return cmd
}

func (o *mutantOptions) run(cmd *cobra.Command) (err error) {
	if err := o.valid(); err != nil {
		return err
	}
	if err := o.kafka.choose(cmd.Flags().Changed("kafka")); err != nil {
		return err
	}
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	if err := o.kafka.settle(ctx, stderr); err != nil { // some mutants need real Kafka
		return err
	}
	cfg := matrix.Config()
	cfg.RunID, cfg.Seed, cfg.Parallel = newRunID(), o.seed, o.parallel
	plans, err := o.plans(cfg)
	if err != nil {
		return err
	}
	if cfg.Dir, err = o.dir(); err != nil {
		return err
	}
	kafka, err := o.kafka.open(ctx, cfg.RunID, stderr)
	if err != nil {
		return errors.Join(err, o.tidy(cfg.Dir, true))
	}
	var m matrix.Matrix
	for _, plan := range plans {
		_, _ = fmt.Fprintf(stderr, "%d mutants, %d runs side by side, on %s\n", len(plan.Mutants), plan.Config.Parallel, kafka.label)
		plan.Config.Dir = cfg.Dir
		kafka.lend(&plan.Config)
		plan.Scenario, plan.Progress = scenarioByName, toldTo(stderr)
		part, failed := matrix.Run(ctx, plan)
		m.Mutants, m.Correct, m.Seconds = append(m.Mutants, part.Mutants...), append(m.Correct, part.Correct...), m.Seconds+part.Seconds
		if err = failed; err != nil {
			break
		}
	}
	err = errors.Join(err, kafka.Close())
	if err == nil {
		err = printMatrix(cmd.OutOrStdout(), o.output, m)
	}
	if err = errors.Join(err, o.tidy(cfg.Dir, err == nil && m.Ok())); err != nil {
		return err
	}
	if o.out != "" || !m.Ok() {
		_, _ = fmt.Fprintf(stderr, "judge them again: ksim check %s\n", cfg.Dir)
	}
	return matrixStatus(ctx, stderr, m)
}

// toldTo prints a line for every consumer that has gone through a scenario.
func toldTo(stderr io.Writer) func(string, harness.Result) {
	return func(consumer string, r harness.Result) {
		word := string(r.Verdict)
		if r.Err != nil {
			word = "failed"
		}
		_, _ = fmt.Fprintf(stderr, "%-8s  %-28s %-26s %5.1f s\n", word, consumer, r.Scenario, r.Seconds)
	}
}

// matrixStatus turns what came of it into the exit status.
func matrixStatus(ctx context.Context, stderr io.Writer, m matrix.Matrix) error {
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(stderr, "ksim: interrupted: what is not told was not run")
		return verdict(check.Worse(m.Verdict(), check.Unknown))
	}
	var errs []error
	for _, r := range slices.Concat(m.Mutants, m.Correct) {
		if r.Status == matrix.Failed {
			errs = append(errs, fmt.Errorf("%s: %s", r.Name, r.Reason))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return verdict(m.Verdict())
}

// valid returns what is wrong with the flags.
func (o *mutantOptions) valid() error {
	if !slices.Contains([]string{"text", "json", "markdown"}, o.output) {
		return fmt.Errorf("there is no output %q; choose text, json or markdown", o.output)
	}
	if o.parallel < 1 {
		return fmt.Errorf("--parallel is %d: choose 1 or more", o.parallel)
	}
	return nil
}

// dir makes the directory of the run: a temporary one where nothing is to be kept.
func (o *mutantOptions) dir() (string, error) {
	if o.out == "" {
		return os.MkdirTemp("", "ksim-mutants-")
	}
	return o.out, makeRunDir(o.out)
}

// tidy removes a temporary directory when all is well.
func (o *mutantOptions) tidy(dir string, well bool) error {
	if o.out != "" || !well {
		return nil
	}
	return os.RemoveAll(dir)
}

func printMatrix(w io.Writer, format string, m matrix.Matrix) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(m)
	case "markdown":
		return m.Markdown(w)
	}
	return m.Text(w)
}

// scenarioByName finds a scenario among all there are.
func scenarioByName(name string) (harness.Scenario, bool) {
	for _, s := range slices.Concat(scenarios.All(), scenarios.Provocations()) {
		if s.Name == name {
			return s, true
		}
	}
	return harness.Scenario{}, false
}

// referenceAsCorrect is the reference consumer, which goes through the cases of all
// mutants, with transactions where exactly-once is promised.
func referenceAsCorrect(batchSize int) matrix.Correct {
	return matrix.Correct{Name: "reference", Subject: referenceSubject(), Takes: func(m mutant.Mutant) (history.Promises, map[string]string, bool) {
		wanted := m.Promised()
		const partitions = 24 // as many as any scenario has
		p := reference.InOrder(reference.Promises(batchSize, partitions), wanted.Order)
		env := map[string]string{"KSIM_HANDLER_TIMEOUT_MS": "4000", "KSIM_ORDER": wanted.Order}
		if wanted.Delivery == history.ExactlyOnce {
			p = reference.TransactionPromises(batchSize, partitions)
			env["KSIM_DELIVERY"] = reference.Transactions
		}
		p.Poison, p.MaxAttempts = wanted.Poison, wanted.MaxAttempts
		return p, env, true
	}}
}
