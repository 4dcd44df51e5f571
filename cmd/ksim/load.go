package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/workload"
	"github.com/ksim-dev/ksim/harness/workload/rate"
)

// loadPlan is a series of load measurements, one for each batch size.
type loadPlan struct {
	batchSizes []int
	batchWait  time.Duration
	rate       string // a profile
	sizes      string // of values; "" is what the configuration says
	duration   time.Duration
	warmup     time.Duration
	crashes    int
	ceiling    bool

	commitInterval time.Duration // of the subject; 0 is after every batch
}

// shortLoad is the measurement at the end of the main job.
func shortLoad() *loadPlan {
	return &loadPlan{
		batchSizes: []int{10, 100, 1000}, batchWait: 500 * time.Millisecond, rate: "2000/s",
		duration: 3 * time.Second, warmup: time.Second, crashes: 1, ceiling: true,
	}
}

func loadVerb() *cobra.Command {
	var o options
	plan := shortLoad()
	cmd := &cobra.Command{
		Use:   "load [flags] [-- command…]",
		Short: "Measure a consumer under open-loop load at several batch sizes",
		Long: "Measure a consumer under open-loop load, once for each batch size: throughput; latency from the moment a message was due\n" +
			"to the moment its effect was done, and its stages; and, by crashes in the middle of a batch under that load, how many records\n" +
			"come again, beside the number predicted. A measurement that must not be believed says so, and the exit status is then 2:\n" +
			"the generator fell behind, the consumer did not keep up, or one that does nothing is not 1.5 times as fast here.\n\n" +
			"A rate is a number of messages/s, or changes: ramp:1000/s..8000/s@60s, steps:1000/s@10s,2000/s@10s,\n" +
			"spike:1000/s,10000/s@20s+5s, sine:1000/s..5000/s@10m, or file:rates.csv with lines of seconds,rate. A size is a number of\n" +
			"bytes, or a distribution: uniform:100-1000, lognormal:512,0.8 (median, sigma), or mix:256=0.9,10000=0.1.",
		Example: "  ksim load --batch-size 10,100,1000 --rate 5000 --duration 10s\n  ksim load --rate 'ramp:1000/s..8000/s@60s' --duration 60s --size lognormal:512,0.8 -- ./my-consumer",
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
	o.registerEvidence(cmd)
	plan.register(cmd)
	cmd.Flags().DurationVar(&plan.batchWait, "batch-wait", plan.batchWait, "how long the subject waits for a batch to fill, given to it as KSIM_BATCH_WAIT_MS")
	return cmd
}

// register adds the flags of a measurement.
func (p *loadPlan) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntSliceVar(&p.batchSizes, "batch-size", p.batchSizes, "batch sizes to measure, one after the other, given to the subject as KSIM_BATCH_SIZE")
	f.IntSliceVar(&p.batchSizes, "batch-sizes", p.batchSizes, "the same as --batch-size")
	f.StringVar(&p.rate, "rate", p.rate, "messages/s, open loop, or a profile that changes")
	f.StringVar(&p.sizes, "size", "", "bytes of a message, or a distribution (default 256)")
	f.DurationVar(&p.duration, "duration", p.duration, "how long to measure at each batch size")
	f.DurationVar(&p.warmup, "warmup", p.warmup, "load before the measurement, at the first rate")
	f.IntVar(&p.crashes, "crashes", p.crashes, "crashes in the middle of a batch at each batch size; 0 leaves them out")
	f.DurationVar(&p.commitInterval, "commit-interval", 0, "how often the subject commits, given to it as KSIM_COMMIT_INTERVAL_MS and used in the prediction; 0 is after every batch")
	f.BoolVar(&p.ceiling, "ceiling", p.ceiling, "measure what a consumer that does nothing reaches as well; without it nothing tells whether it is the subject that was measured")
	_ = f.MarkHidden("batch-sizes") // it is there
}

func (p *loadPlan) validate() error {
	var errs []error
	if len(p.batchSizes) == 0 {
		errs = append(errs, errors.New("--batch-size is empty: give at least one, such as 10,100,1000"))
	}
	for _, b := range p.batchSizes {
		if b < 1 {
			errs = append(errs, fmt.Errorf("--batch-size has %d: choose 1 or more", b))
		}
	}
	if _, err := rate.Parse(p.rate); err != nil {
		errs = append(errs, fmt.Errorf("--rate: %w", err))
	}
	if p.sizes != "" {
		if _, err := workload.ParseSizes(p.sizes); err != nil {
			errs = append(errs, fmt.Errorf("--size: %w", err))
		}
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

// config is one measurement of the plan.
func (p *loadPlan) config(batchSize int) (lc harness.LoadConfig, err error) {
	lc = harness.LoadConfig{
		BatchSize: batchSize, BatchWait: p.batchWait, Duration: p.duration, Warmup: p.warmup, Crashes: p.crashes,
		CommitInterval: p.commitInterval, Ceiling: p.ceiling,
	}
	if lc.Profile, err = rate.Parse(p.rate); err != nil {
		return lc, err
	}
	if p.sizes != "" {
		lc.Sizes, err = workload.ParseSizes(p.sizes)
	}
	return lc, err
}

// extra is the environment of the subject under load. Whole batches go to the sink in one request, where the subject can: one
// request a record would measure HTTP and not the batch.
func (p *loadPlan) extra(cfg harness.Config) map[string]string {
	extra := merged(map[string]string{"KSIM_EFFECT": "batch"}, cfg.Extra)
	if p.commitInterval > 0 {
		extra["KSIM_COMMIT_INTERVAL_MS"] = strconv.FormatInt(p.commitInterval.Milliseconds(), 10)
	}
	return extra
}

// run measures one batch size after the other, each alone on the machine.
func (p *loadPlan) run(ctx context.Context, cfg harness.Config, tell *progress) ([]load.Result, error) {
	cfg.Extra = p.extra(cfg)
	var results []load.Result
	ceilings := map[int]float64{}
	for _, size := range p.batchSizes {
		lc, err := p.config(size)
		if err != nil {
			return results, err
		}
		lc.Name = nameOf(size, results)
		lc.KnownCeiling = hardest(ceilings, size)
		r, err := harness.RunLoad(ctx, cfg, lc)
		if err != nil {
			return results, fmt.Errorf("load at batch size %d: %w", size, err)
		}
		if r.Ceiling != nil {
			ceilings[size] = r.Ceiling.Through
		}
		invalid := ""
		if !r.Valid {
			invalid = "   invalid: " + r.Reason
		}
		tell.say("load      batch %-5d  %7.0f msg/s   p50 %.1f ms   p99 %.1f ms   repeated %d (predicted %.0f)%s",
			size, r.Through, r.Latency.P50, r.Latency.P99, r.Reprocessed.Measured, r.Reprocessed.Predicted, invalid)
		results = append(results, r)
		if ctx.Err() != nil {
			break
		}
	}
	return results, nil
}

// nameOf names a measurement after its batch size; a size that comes again is numbered.
func nameOf(size int, before []load.Result) string {
	name := fmt.Sprintf("batch-%d", size)
	for n := 2; slices.ContainsFunc(before, func(r load.Result) bool { return r.Name == name }); n++ {
		name = fmt.Sprintf("batch-%d-%d", size, n)
	}
	return name
}

// hardest is the ceiling measured with the largest batches that are no larger than size, 0 if there is none: larger ones
// only make it easier for a consumer that does nothing.
func hardest(ceilings map[int]float64, size int) float64 {
	best := 0
	for s := range ceilings {
		if s <= size {
			best = max(best, s)
		}
	}
	return ceilings[best]
}
