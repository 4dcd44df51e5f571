package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/consumer/dlq"
	"github.com/ksim-dev/ksim/harness/backend"
)

func dlqVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "List the letters of a dead-letter topic, and send them back",
		Long: "List the letters of a dead-letter topic, and send them back to where they came from.\n" +
			"Letters of package consumer, of Kafka Connect, of Spring for Apache Kafka and of others with KIP-1191's headers are understood.\n\n" +
			"Exit status: 0 done, 3 a failure, wrong usage, or interrupted.",
		// Without one, cobra takes a verb that is not there for help wanted.
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("dlq cannot %q; choose list or replay", args[0])
			}
			return errors.New("dlq takes one of list, replay")
		},
	}
	cmd.AddCommand(dlqListVerb(), dlqReplayVerb())
	return cmd
}

// dlqOptions are the flags that list and replay have in common.
type dlqOptions struct {
	configFile   string
	kafka        kafkaOptions
	cfg          dlq.Config
	filter       dlq.Filter
	partitions   []int
	since, until string
	offsets      []string
	output       string
	valueBytes   int
}

func (o *dlqOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.configFile, "config", "", "a ksim.yaml whose kafka section says where Kafka is; --brokers overrides it")
	f.StringSliceVar(&o.kafka.brokers, "brokers", nil, "bootstrap servers; TLS and SASL come from --config, secrets from KSIM_SASL_USERNAME and KSIM_SASL_PASSWORD")
	f.StringVar(&o.cfg.Group, "group", "", "consumer group that keeps which letters were sent (default DEAD-LETTER-TOPIC.replay)")
	f.DurationVar(&o.cfg.Timeout, "timeout", 30*time.Second, "how long Kafka may take for an answer or a transaction")
	f.StringSliceVar(&o.filter.Topics, "topic", nil, "only letters that came from these topics")
	f.IntSliceVar(&o.partitions, "partition", nil, "only letters that came from these partitions")
	f.StringVar(&o.filter.Group, "failed-in", "", "only letters that this consumer group could not handle")
	f.StringVar(&o.filter.Stage, "stage", "", "only letters that failed at this stage")
	f.StringVar(&o.filter.ErrorType, "error-type", "", "only letters whose type of error contains this")
	f.StringVar(&o.filter.Message, "message", "", "only letters whose error contains this")
	f.StringVar(&o.since, "since", "", "only letters written then or later: 2026-11-23T10:00:00Z, or 2h for two hours ago")
	f.StringVar(&o.until, "until", "", "only letters written before then")
	f.StringSliceVar(&o.offsets, "offset", nil, "only letters at these offsets of the dead-letter topic: 7, 7-12 or, of partition 3, 3:7-12")
	f.IntVar(&o.filter.MinAttempts, "min-attempts", 0, "only letters with so many attempts or more")
	f.StringVarP(&o.output, "output", "o", "text", "text, or json for one JSON object a line")
	f.IntVar(&o.valueBytes, "value-bytes", 200, "bytes shown of keys, values and headers; 0 shows all")
}

// resolve puts flags and config file together, and connects.
func (o *dlqOptions) resolve(ctx context.Context, topic string, stderr io.Writer) error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("there is no output %q; choose text or json", o.output)
	}
	if o.valueBytes < 0 {
		return errors.New("--value-bytes cannot be negative; 0 shows all")
	}
	if topic == "" {
		return errors.New("the name of the dead-letter topic is empty")
	}
	if err := o.filters(time.Now()); err != nil {
		return err
	}
	file, err := readConfig(o.configFile)
	if err != nil {
		return err
	}
	o.kafka.file = file.Kafka
	if len(o.kafka.brokers) == 0 && len(o.kafka.file.Brokers) == 0 {
		return errors.New("dlq needs --brokers, or kafka.brokers in --config")
	}
	external, err := o.kafka.external()
	if err != nil {
		return err
	}
	kafka, err := backend.NewExternal(ctx, external)
	if err != nil {
		return err
	}
	o.cfg.Topic, o.cfg.ClientOpts = topic, kafka.ClientOpts()
	o.cfg.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return kafka.Close()
}

func (o *dlqOptions) filters(now time.Time) error {
	for _, p := range o.partitions {
		if p < 0 || p > 1<<30 {
			return fmt.Errorf("--partition %d is no partition", p)
		}
		o.filter.Partitions = append(o.filter.Partitions, int32(p))
	}
	for _, text := range o.offsets {
		r, err := parseOffsets(text)
		if err != nil {
			return err
		}
		o.filter.Offsets = append(o.filter.Offsets, r)
	}
	var errs [2]error
	o.filter.Since, errs[0] = parseTime("--since", o.since, now)
	o.filter.Until, errs[1] = parseTime("--until", o.until, now)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	return o.filter.Validate()
}

// parseOffsets reads 7, 7-12, 3:7 or 3:7-12.
func parseOffsets(text string) (dlq.Offsets, error) {
	r := dlq.Offsets{Partition: dlq.AnyPartition}
	rest := text
	if before, after, ok := strings.Cut(text, ":"); ok {
		n, err := strconv.ParseInt(before, 10, 32)
		if err != nil || n < 0 {
			return r, fmt.Errorf("--offset %q: %q is no partition; write 7, 7-12, or 3:7-12 for partition 3", text, before)
		}
		r.Partition, rest = int32(n), after
	}
	from, to, ok := strings.Cut(rest, "-")
	if !ok {
		to = from
	}
	var errs [2]error
	r.From, errs[0] = strconv.ParseInt(from, 10, 64)
	r.To, errs[1] = strconv.ParseInt(to, 10, 64)
	if errors.Join(errs[:]...) != nil || r.To < r.From {
		return r, fmt.Errorf("--offset %q is no range of offsets; write 7, 7-12, or 3:7-12 for partition 3", text)
	}
	return r, nil
}

// parseTime reads a time, or how long ago it was.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s %q is no time; write 2026-11-23T10:00:00Z, 2026-11-23, or 2h for two hours ago", flag, text)
}

func oneTopic(verb string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("dlq %s takes one dead-letter topic, not %d", verb, len(args))
		}
		return nil
	}
}
