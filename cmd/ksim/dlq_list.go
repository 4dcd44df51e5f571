package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/consumer/dlq"
)

func dlqListVerb() *cobra.Command {
	var o dlqOptions
	var opts dlq.ListOptions
	var limit int
	cmd := &cobra.Command{
		Use:   "list DEAD-LETTER-TOPIC",
		Short: "List dead letters: where each came from, why it failed, whether it was sent back",
		Long: "List dead letters: where each came from, why it failed, whether it was sent back.\n" +
			"It reads what is committed up to the end that the topic has at the start, joins no group and leaves no trace.",
		Args: oneTopic("list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return errors.New("--max cannot be negative; 0 lists all")
			}
			if err := o.resolve(cmd.Context(), args[0], cmd.ErrOrStderr()); err != nil {
				return err
			}
			opts.Filter = o.filter
			out := letterPrinter{cmd.OutOrStdout(), o.output == "json", o.valueBytes}
			n, more := 0, false
			for l, err := range dlq.List(cmd.Context(), o.cfg, opts) {
				if err != nil {
					return err
				}
				if more = limit > 0 && n == limit; more {
					break
				}
				n++
				if err := out.letter(l, nil); err != nil {
					return err
				}
			}
			switch {
			case more:
				fmt.Fprintf(cmd.ErrOrStderr(), "%s, and there are more; --max 0 lists all\n", count(n))
			case n == 0:
				fmt.Fprintf(cmd.ErrOrStderr(), "no such letters in %s\n", o.cfg.Topic)
			default:
				fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", count(n))
			}
			return nil
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&opts.Pending, "pending", false, "only letters that were not sent back yet")
	cmd.Flags().IntVar(&limit, "max", 100, "list so many letters at most; 0 lists all")
	return cmd
}
