package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer/dlq"
)

func dlqReplayVerb() *cobra.Command {
	var o dlqOptions
	opts := dlq.DefaultReplay()
	var timestamp string
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "replay DEAD-LETTER-TOPIC",
		Short: "Send dead letters back to where they came from, each at most once",
		Long: "Send dead letters back to where they came from: key, value and headers as they were, in order, to the same partition.\n" +
			"First it prints what it would send; with --yes it then sends.\n\n" +
			"Each letter is sent at most once for each --group, whatever the filters, also if the replay is killed and run again: the\n" +
			"records and the note that their letters were sent are committed in one transaction. Consumers have to read committed\n" +
			"records only. Ctrl-C stops between two transactions; run it again to send the rest.\n\n" +
			"Left are letters that the filters do not pick, that do not tell where they came from (but see --to), or that were\n" +
			"dead-lettered more than --max-cycles times.\n\n" +
			"Exit status: 0 all was sent, 3 it was not.",
		Args: oneTopic("replay"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Timestamp = dlq.Timestamp(timestamp)
			if opts.Timestamp != dlq.OriginalTime && opts.Timestamp != dlq.Now {
				return fmt.Errorf("there is no timestamp %q; choose original or now", timestamp)
			}
			if opts.Max < 0 || opts.Rate < 0 || opts.MaxCycles < 0 {
				return errors.New("--max, --rate and --max-cycles cannot be negative; 0 is no bound")
			}
			if opts.Batch < 1 {
				return fmt.Errorf("--batch is %d; a transaction takes one letter at least", opts.Batch)
			}
			if dryRun && yes {
				return errors.New("--dry-run and --yes exclude each other")
			}
			if err := o.resolve(cmd.Context(), args[0], cmd.ErrOrStderr()); err != nil {
				return err
			}
			opts.Filter = o.filter
			r := replayRun{&o, opts, letterPrinter{cmd.OutOrStdout(), o.output == "json", o.valueBytes}, cmd}
			return r.run(dryRun, yes)
		},
	}
	o.register(cmd)
	f := cmd.Flags()
	f.BoolVar(&dryRun, "dry-run", false, "print every letter that would be sent, and send none")
	f.BoolVar(&yes, "yes", false, "send; without it only the plan is printed")
	f.StringVar(&opts.To, "to", "", "send letters to this topic, wherever they came from, also those that do not tell")
	f.StringVar(&timestamp, "timestamp", string(opts.Timestamp), "timestamp of the records: original, or now for the time of sending")
	f.IntVar(&opts.MaxCycles, "max-cycles", opts.MaxCycles, "leave letters that were dead-lettered more often than this; 0 leaves none")
	f.IntVar(&opts.Max, "max", 0, "send so many letters at most; 0 sends all")
	f.Float64Var(&opts.Rate, "rate", 0, "letters a second at most; 0 is as fast as they go")
	f.IntVar(&opts.Batch, "batch", opts.Batch, "letters in one transaction at most")
	f.BoolVar(&opts.First, "first", false, "say that nothing was sent back before: asked for where brokers may have forgotten it (offsets.retention.minutes)")
	return cmd
}

// replayRun is one call of dlq replay.
type replayRun struct {
	*dlqOptions
	opts dlq.ReplayOptions
	out  letterPrinter
	cmd  *cobra.Command
}

func (r *replayRun) run(dryRun, yes bool) error {
	ctx := r.cmd.Context()
	opts := r.opts
	var printing error
	show := func(l *dlq.Letter, to *kgo.Record) { printing = errors.Join(printing, r.out.letter(l, to)) }
	if dryRun {
		opts.OnLetter = show
	}
	plan, err := dlq.MakePlan(ctx, r.cfg, opts)
	if err != nil {
		return err
	}
	if err := errors.Join(printing, r.out.summary("plan", plan)); err != nil {
		return err
	}
	if err := r.refuse(plan); err != nil && !dryRun {
		return err
	}
	switch {
	case dryRun, plan.Letters == 0:
		return nil
	case !yes:
		return errors.New("nothing was sent; give --yes to send, or --dry-run to see every letter")
	}
	if r.out.json {
		opts.OnLetter = show
	}
	done, err := dlq.Replay(ctx, r.cfg, opts)
	printing = errors.Join(printing, r.out.summary("sent", done))
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = fmt.Errorf("interrupted after %d of %d letters; run it again to send the rest", done.Letters, plan.Letters)
	} else if err != nil {
		err = fmt.Errorf("stopped after %d of %d letters: %w", done.Letters, plan.Letters, err)
	}
	return errors.Join(err, printing)
}

// refuse tells what has to be said before anything of the plan is sent.
func (r *replayRun) refuse(plan dlq.Summary) error {
	var errs []error
	for _, t := range plan.Targets {
		if t.Expired > 0 {
			errs = append(errs, fmt.Errorf("%d letters are older than the retention of %s, which would delete them at once: give --timestamp now", t.Expired, t.Topic))
		}
		if t.Old > 0 {
			errs = append(errs, fmt.Errorf("%d letters to %s are older than brokers keep offsets, and group %s has none: if they were not sent back before, give --first", t.Old, t.Topic, plan.Group))
		}
	}
	return errors.Join(errs...)
}
