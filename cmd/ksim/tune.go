package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness/load/tune"
)

// tunePlan is a sweep over settings.
type tunePlan struct {
	loadPlan    // of each trial
	batchWaits  []time.Duration
	concurrency []int
	trials      int
	compare     []string // two settings by their keys; empty for a sweep
	slo         tune.SLO
}

func tuneVerb() *cobra.Command {
	var o options
	plan := &tunePlan{
		loadPlan: loadPlan{
			batchSizes: []int{10, 50, 100, 500, 1000}, rate: "2000/s", duration: 10 * time.Second, warmup: 2 * time.Second, crashes: 2, ceiling: true,
		},
		batchWaits: []time.Duration{50 * time.Millisecond}, trials: tune.NeedTrials + 1,
	}
	cmd := &cobra.Command{
		Use:   "tune [flags] [-- command…]",
		Short: "Find the batch size, batch wait and concurrency to run a consumer with",
		Long: "Measure a consumer at every combination of batch sizes, batch waits and concurrency, in trials that are repeated, interleaved and in\n" +
			"random order; and say which setting to run with, with what confidence, and what would change it. A crash in the middle of a\n" +
			"batch under load shows how many records come again. A setting gets no more trials once they would change nothing.\n" +
			"Where the measurements do not tell, it says so, and the exit status is 2.",
		Example: "  ksim tune --batch-size 10,100,1000 --rate 2000 --slo-p99 250ms --max-reprocessed 500\n" +
			"  ksim tune --compare batch=100/wait=50ms,batch=500/wait=50ms -- ./my-consumer",
		RunE: func(cmd *cobra.Command, command []string) error {
			if err := checkCommand(cmd, command); err != nil {
				return err
			}
			if err := plan.check(); err != nil {
				return err
			}
			cfg, err := o.resolve(cmd, command)
			if err != nil {
				return err
			}
			plan.slo.MaxReprocessed = o.maxReprocessed
			j := job{cfg: cfg, tune: plan}
			return j.run(cmd, &o)
		},
	}
	o.register(cmd, false)
	plan.register(cmd)
	f := cmd.Flags()
	f.Lookup("batch-size").Usage = "batch sizes to try, given to the subject as KSIM_BATCH_SIZE"
	f.DurationSliceVar(&plan.batchWaits, "batch-wait", plan.batchWaits, "how long the subject waits for a batch to fill, to try: KSIM_BATCH_WAIT_MS")
	f.DurationSliceVar(&plan.batchWaits, "batch-waits", plan.batchWaits, "the same as --batch-wait")
	f.IntSliceVar(&plan.concurrency, "concurrency", nil, "how many batches the subject handles side by side, to try: KSIM_CONCURRENCY (default what it does by itself)")
	f.IntVar(&plan.trials, "trials", plan.trials, fmt.Sprintf("trials of each setting at most; below %d an interval of %g %% confidence cannot be told", tune.NeedTrials, 100*tune.Confidence))
	f.DurationVar(&plan.slo.LatencyP99, "slo-p99", 0, "p99 of latency that a setting has to keep; 0 is no bound")
	f.StringSliceVar(&plan.compare, "compare", nil, "compare these two settings and no others, such as batch=100,batch=500/wait=100ms")
	_ = f.MarkHidden("batch-waits") // it is there
	return cmd
}

// check returns all that is wrong with the plan.
func (p *tunePlan) check() error {
	errs := []error{p.validate()}
	if p.trials < 1 {
		errs = append(errs, fmt.Errorf("--trials is %d: choose 1 or more, %d to be told anything", p.trials, tune.NeedTrials))
	}
	for _, w := range p.batchWaits {
		if w < 0 {
			errs = append(errs, fmt.Errorf("--batch-wait has %s: choose 0 or more", w))
		}
	}
	for _, c := range p.concurrency {
		if c < 0 {
			errs = append(errs, fmt.Errorf("--concurrency has %d: choose 1 or more", c))
		}
	}
	if p.slo.LatencyP99 < 0 {
		errs = append(errs, fmt.Errorf("--slo-p99 is %s: choose more than 0, or leave it out", p.slo.LatencyP99))
	}
	_, err := p.settings()
	return errors.Join(append(errs, err)...)
}

// settings are those to try.
func (p *tunePlan) settings() ([]tune.Setting, error) {
	if len(p.compare) == 0 {
		concurrency := p.concurrency
		if len(concurrency) == 0 {
			concurrency = []int{0}
		}
		waits := p.batchWaits
		if len(waits) == 0 {
			waits = []time.Duration{0}
		}
		return tune.Grid(p.batchSizes, waits, concurrency), nil
	}
	if len(p.compare) != 2 {
		return nil, fmt.Errorf("--compare has %d settings: give two, such as batch=100,batch=500", len(p.compare))
	}
	var both []tune.Setting
	for _, key := range p.compare {
		s, err := tune.ParseSetting(strings.TrimSpace(key))
		if err != nil {
			return nil, fmt.Errorf("--compare: %w", err)
		}
		if !strings.Contains(key, "wait=") && len(p.batchWaits) > 0 {
			s.BatchWait = p.batchWaits[0]
		}
		both = append(both, s)
	}
	if both[0] == both[1] {
		return nil, fmt.Errorf("--compare has %s twice: give two settings that differ", both[0].Key())
	}
	return both, nil
}
