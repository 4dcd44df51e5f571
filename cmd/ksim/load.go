package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/load"
)

// loadPlan is a series of load measurements, one for each batch size.
type loadPlan struct {
	batchSizes []int
	batchWait  time.Duration
	rate       float64
	duration   time.Duration
	warmup     time.Duration
	crashes    int

	commitInterval time.Duration // of the subject; 0 is after every batch
}

// shortLoad is the measurement at the end of the main job.
func shortLoad() *loadPlan {
	return &loadPlan{
		batchSizes: []int{10, 100, 1000}, batchWait: 500 * time.Millisecond, rate: 2000,
		duration: 3 * time.Second, warmup: time.Second, crashes: 1,
	}
}

func loadVerb() *cobra.Command {
	var o options
	plan := shortLoad()
	cmd := &cobra.Command{
		Use:   "load [flags] [-- command…]",
		Short: "Measure a consumer under open-loop load at several batch sizes",
		Long: "Measure a consumer under open-loop load, once for each batch size: throughput, latency from the moment a message was due\n" +
			"to the moment its effect was done, and, by crashes in the middle of a batch under that load, how many records come again,\n" +
			"beside the number predicted. A measurement that must not be believed says so, and the exit status is then 2.",
		Example: "  ksim load --batch-sizes 10,100,1000 --rate 5000 --duration 10s",
		RunE: func(cmd *cobra.Command, command []string) error {
			if err := checkCommand(cmd, command); err != nil {
				return err
			}
			if err := plan.validate(); err != nil {
				return err
			}
			cfg, err := o.resolve(cmd, command)
			if err != nil {
				return err
			}
			j := job{cfg: cfg, load: plan}
			return j.run(cmd, &o)
		},
	}
	o.register(cmd, false)
	f := cmd.Flags()
	f.IntSliceVar(&plan.batchSizes, "batch-sizes", plan.batchSizes, "batch sizes to measure, one after the other")
	f.DurationVar(&plan.batchWait, "batch-wait", plan.batchWait, "how long the subject waits for a batch to fill, given to it as KSIM_BATCH_WAIT_MS")
	f.Float64Var(&plan.rate, "rate", plan.rate, "messages/s, open loop")
	f.DurationVar(&plan.duration, "duration", plan.duration, "how long to measure at each batch size")
	f.DurationVar(&plan.warmup, "warmup", plan.warmup, "load before the measurement")
	f.IntVar(&plan.crashes, "crashes", plan.crashes, "crashes in the middle of a batch at each batch size; 0 leaves them out")
	f.DurationVar(&plan.commitInterval, "commit-interval", 0, "how often the subject commits, given to it as KSIM_COMMIT_INTERVAL_MS and used in the prediction; 0 is after every batch")
	return cmd
}

func (p *loadPlan) validate() error {
	var errs []error
	if len(p.batchSizes) == 0 {
		errs = append(errs, errors.New("--batch-sizes is empty: give at least one, such as 10,100,1000"))
	}
	for _, b := range p.batchSizes {
		if b < 1 {
			errs = append(errs, fmt.Errorf("--batch-sizes has %d: choose 1 or more", b))
		}
	}
	if p.rate <= 0 {
		errs = append(errs, fmt.Errorf("--rate is %g: choose more than 0 messages/s", p.rate))
	}
	if p.duration < 500*time.Millisecond {
		errs = append(errs, fmt.Errorf("--duration is %s: below 500ms there is nothing to measure", p.duration))
	}
	if p.warmup < 0 || p.batchWait < 0 || p.crashes < 0 || p.commitInterval < 0 {
		errs = append(errs, errors.New("--warmup, --batch-wait, --crashes and --commit-interval cannot be negative"))
	}
	if p.commitInterval > 0 && p.commitInterval < time.Millisecond {
		errs = append(errs, fmt.Errorf("--commit-interval is %s: choose 1ms or more, or 0 for after every batch", p.commitInterval))
	}
	return errors.Join(errs...)
}

// run measures one batch size after the other, each alone on the machine.
func (p *loadPlan) run(ctx context.Context, cfg harness.Config, tell *progress) ([]load.Result, error) {
	// Whole batches go to the sink in one request, where the subject can: one
	// request a record would measure HTTP and not the batch.
	cfg.Extra = merged(map[string]string{"KSIM_EFFECT": "batch"}, cfg.Extra)
	if p.commitInterval > 0 {
		cfg.Extra["KSIM_COMMIT_INTERVAL_MS"] = strconv.FormatInt(p.commitInterval.Milliseconds(), 10)
	}
	var results []load.Result
	for _, size := range p.batchSizes {
		r, err := harness.RunLoad(ctx, cfg, harness.LoadConfig{
			BatchSize: size, BatchWait: p.batchWait, Rate: p.rate, Duration: p.duration, Warmup: p.warmup, Crashes: p.crashes,
			CommitInterval: p.commitInterval,
		})
		if err != nil {
			return results, fmt.Errorf("load at batch size %d: %w", size, err)
		}
		invalid := ""
		if !r.Valid {
			invalid = "   invalid: " + r.Reason
		}
		tell.say("load      batch %-5d  %7.0f msg/s   p50 %.1f ms   p99 %.1f ms   repeated %d (predicted %.0f)%s",
			size, r.Through, r.Latency.P50, r.Latency.P99, r.Reprocessed.Measured, r.Reprocessed.Predicted, invalid)
		results = append(results, r)
	}
	return results, nil
}
