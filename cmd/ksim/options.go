package main

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/cmd/ksim/reference"
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/subject"
)

// options are the flags that run and load have in common. What is zero after
// parsing was not given: the config file, then the default decides.
type options struct {
	configFile string
	out        string
	kafka      kafkaOptions
	cfg        harness.Config
	subjectEnv map[string]string
	template   string // file
	order      string
	delivery   string
	poison     string

	maxReprocessed int
	lagMetric      string

	evidence, outputURL, outputQuery string
	checks                           []string
}

// register adds the flags; load, which has no scenarios, has flags of its own for sizes.
func (o *options) register(cmd *cobra.Command, scenarios bool) {
	d := harness.DefaultConfig()
	f := cmd.Flags()
	f.StringVar(&o.configFile, "config", "", "a `file` with kafka, subject, promises and sizes, ksim.yaml if there is one; flags override it")
	f.StringVar(&o.out, "out", "", "directory for what the run leaves behind (default ksim-out/<run id>)")
	o.kafka.register(cmd, "with --kafka containers how many brokers, 1 (default) or 3; with --kafka external its bootstrap servers: TLS and SASL come from --config, secrets from KSIM_SASL_USERNAME and KSIM_SASL_PASSWORD")
	f.IntVar(&o.cfg.Members, "members", d.Members, "members of the group at the start")
	f.Int32Var(&o.cfg.Partitions, "partitions", d.Partitions, "partitions of the topic")
	if scenarios {
		f.IntVar(&o.cfg.BatchSize, "batch-size", d.BatchSize, "records in a batch, given to the subject as KSIM_BATCH_SIZE")
		f.IntVar(&o.cfg.Size, "size", d.Size, "bytes of a message")
	}
	f.Int64Var(&o.cfg.Seed, "seed", d.Seed, "the same seed sends the same messages")
	f.IntVar(&o.cfg.Keys, "keys", d.Keys, "distinct keys")
	f.Float64Var(&o.cfg.Zipf, "zipf", d.Zipf, "exponent of a zipf distribution of the keys, such as 0.99; 0 is uniform")
	f.StringVar(&o.template, "template", "", "file with a text/template for messages, with .ID .Key .Seq .Time .Padding (default JSON with id, key, seq and ts)")
	f.StringVar(&o.cfg.Protocol, "protocol", d.Protocol, "group protocol asked of the subject: classic or consumer (KIP-848)")
	f.BoolVar(&o.cfg.Static, "static", false, "static membership: each member has a group.instance.id that it keeps over restarts (KSIM_INSTANCE_ID)")
	f.StringToStringVar(&o.subjectEnv, "env", nil, "more variables for the subject, as NAME=VALUE; {placeholders} are filled in")
	f.StringVar(&o.order, "order", "", "promised order: partition, key or none (default partition)")
	f.StringVar(&o.delivery, "delivery", "", "promised delivery: at-least-once, exactly-once (outputs go to KSIM_OUTPUT_TOPIC) or at-most-once (default at-least-once)")
	f.StringVar(&o.poison, "poison", "", "promised handling of poison: dead-letter, skip or stop (default dead-letter)")
	f.IntVar(&o.cfg.MaxAttempts, "max-attempts", 0, "promised bound on attempts at a record; 0 promises none (the reference promises 5)")
	f.IntVar(&o.maxReprocessed, "max-reprocessed", 0, "promised bound on records repeated by one cause; 0 promises none")
	f.StringVar(&o.lagMetric, "lag-metric", "", "the subject tells its own lag, truly, by this gauge, such as kafka_consumergroup_lag, which it serves as Prometheus metrics at KSIM_METRICS_ADDR")
}

// registerEvidence adds the flags for subjects that do not post their effects.
func (o *options) registerEvidence(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.evidence, "evidence", "effects", "what shows that a record was processed: effects (posted to KSIM_SINK_URL), commits (seen on the wire), or outputs (in KSIM_OUTPUT_TOPIC, or by --output-query)")
	f.StringVar(&o.outputURL, "output-url", "", "database that holds the outputs, for --evidence outputs: a postgres:// URL, or the path of an SQLite file; {topic} stands for the topic")
	f.StringVar(&o.outputQuery, "output-query", "", "query for all outputs there; its first column names the record, as topic/partition/offset or by the id in its value; {topic} stands for the topic")
	f.StringSliceVar(&o.checks, "checks", nil, "judge by these checks only ('ksim list checks')")
}

// showEvidence puts into cfg what is to show that records were processed.
func (o *options) showEvidence(cmd *cobra.Command, file configFile, cfg *harness.Config) error {
	evidence := file.Subject.Evidence
	if cmd.Flags().Changed("evidence") || evidence == "" {
		evidence = o.evidence
	}
	if err := oneOf("evidence", evidence, "", "effects", history.EvidenceCommits, history.EvidenceOutputs); err != nil {
		return err
	}
	if evidence != "effects" {
		cfg.Evidence = evidence
	}
	cfg.Checks = file.Checks
	if len(o.checks) > 0 {
		cfg.Checks = o.checks
	}
	url, query := cmp.Or(o.outputURL, file.Subject.Outputs.URL), cmp.Or(o.outputQuery, file.Subject.Outputs.Query)
	switch {
	case url == "" && query == "":
		return nil
	case url == "" || query == "":
		return errors.New("--output-url and --output-query belong together: the database, and what to ask it")
	}
	cfg.Outputs = reference.QueryOutputs(url, query)
	return nil
}

// referenceSubject is the consumer that ksim judges where no command is given.
// It runs as processes of its own: ksim re-executes itself.
func referenceSubject() subject.Func {
	return subject.Func{Label: "reference", Run: reference.Run}
}

// resolve puts flags, config file and defaults together.
func (o *options) resolve(cmd *cobra.Command, command []string) (harness.Config, error) {
	file, err := readConfig(o.configFile)
	if err != nil {
		return harness.Config{}, err
	}
	cfg := harness.DefaultConfig()
	flags := o.cfg
	for name, set := range map[string]func(){
		"members":    func() { cfg.Members = flags.Members },
		"partitions": func() { cfg.Partitions = flags.Partitions },
		"batch-size": func() { cfg.BatchSize = cmp.Or(flags.BatchSize, cfg.BatchSize) }, // load has a flag of its own
		"seed":       func() { cfg.Seed = flags.Seed },
		"size":       func() { cfg.Size = cmp.Or(flags.Size, cfg.Size) }, // likewise
		"keys":       func() { cfg.Keys = flags.Keys },
		"zipf":       func() { cfg.Zipf = flags.Zipf },
		"protocol":   func() { cfg.Protocol = flags.Protocol },
		"static":     func() { cfg.Static = flags.Static },
	} {
		if !cmd.Flags().Changed(name) {
			set = func() {}
		}
		file.apply(name, &cfg)
		set()
	}
	if o.template != "" {
		text, err := os.ReadFile(o.template)
		if err != nil {
			return harness.Config{}, fmt.Errorf("read the template for messages: %w", err)
		}
		cfg.Template = string(text)
	}
	if len(command) == 0 {
		command = file.Subject.Command
	}
	env := merged(file.Subject.Env, o.subjectEnv)
	if len(command) == 0 {
		o.judgeReference(file, env, &cfg)
	} else {
		cfg.Subject = subject.Process{Command: command, Env: env}
	}
	if err := o.promise(cmd, file, &cfg); err != nil {
		return harness.Config{}, err
	}
	// The reference consumer is not a Process with an Env: Extra reaches both.
	cfg.Extra = merged(cfg.Extra, env)
	cfg.RunID = newRunID()
	if cfg.Dir = o.out; cfg.Dir == "" {
		cfg.Dir = filepath.Join("ksim-out", cfg.RunID)
	}
	o.kafka.file = file.Kafka
	if err := o.showEvidence(cmd, file, &cfg); err != nil {
		return harness.Config{}, err
	}
	return cfg, o.kafka.choose(cmd.Flags().Changed("kafka"))
}

// judgeReference makes the reference consumer the subject, with what it promises for the
// delivery and the order that are asked of it.
func (o *options) judgeReference(file configFile, env map[string]string, cfg *harness.Config) {
	cfg.Subject = referenceSubject()
	var said history.Promises
	file.Promises.Apply(&said)
	switch exactly := cmp.Or(o.delivery, said.Delivery) == history.ExactlyOnce; {
	case exactly && env["KSIM_DELIVERY"] == reference.SQL:
		cfg.Outputs = reference.SQLOutputs(env["KSIM_SQL_URL"])
		cfg.Promises = reference.SQLPromises(cfg.BatchSize, cfg.Partitions)
	case exactly:
		cfg.Extra = map[string]string{"KSIM_DELIVERY": reference.Transactions} // unless env says otherwise
		cfg.Promises = reference.TransactionPromises(cfg.BatchSize, cfg.Partitions)
	default:
		order := cmp.Or(o.order, said.Order, history.OrderPartition)
		cfg.Promises = reference.InOrder(reference.Promises(cfg.BatchSize, cfg.Partitions), order)
	}
	if env["KSIM_ASSIGNOR"] == "eager" {
		cfg.Promises = reference.Eager(cfg.Promises)
	}
}

// promise lays the promises of the config file and of the flags over the defaults.
func (o *options) promise(cmd *cobra.Command, file configFile, cfg *harness.Config) error {
	if o.cfg.MaxAttempts < 0 || o.maxReprocessed < 0 {
		return errors.New("--max-attempts and --max-reprocessed cannot be negative; 0 promises no bound")
	}
	file.Promises.Apply(&cfg.Promises)
	cfg.LagTopicLabel, cfg.LagPartitionLabel = file.Subject.Lag.TopicLabel, file.Subject.Lag.PartitionLabel
	p := &cfg.Promises
	for flag, set := range map[string]func(){
		"order":           func() { p.Order = o.order },
		"delivery":        func() { p.Delivery = o.delivery },
		"poison":          func() { p.Poison = o.poison },
		"max-attempts":    func() { p.MaxAttempts = o.cfg.MaxAttempts },
		"max-reprocessed": func() { p.MaxReprocessed = o.maxReprocessed },
		"lag-metric":      func() { p.LagMetric = o.lagMetric },
	} {
		if cmd.Flags().Changed(flag) {
			set()
		}
	}
	if p.MaxAttempts > 0 {
		cfg.MaxAttempts = p.MaxAttempts
	}
	return errors.Join(
		oneOf("order", p.Order, history.OrderPartition, history.OrderKey, history.OrderNone),
		oneOf("delivery", p.Delivery, history.AtLeastOnce, history.ExactlyOnce, history.AtMostOnce),
		oneOf("poison", p.Poison, history.PoisonDeadLetter, history.PoisonSkip, history.PoisonStop),
	)
}

func oneOf(what, value string, valid ...string) error {
	if slices.Contains(valid, value) {
		return nil
	}
	return fmt.Errorf("there is no %s %q to promise; choose one of %s", what, value, strings.Join(valid, ", "))
}

func merged(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// newRunID names a run so that runs sort by time and never share a name.
func newRunID() string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return time.Now().Format("20060102-150405-") + hex.EncodeToString(b[:])
}

// makeRunDir creates the directory of a run; one that holds files already is
// refused, so that no run overwrites another. Below ksim-out, latest leads to it.
func makeRunDir(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: choose another --out, so that no run overwrites another", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of the run: %w", err)
	}
	if filepath.Dir(dir) == "ksim-out" {
		link := filepath.Join("ksim-out", "latest")
		_ = os.Remove(link)
		_ = os.Symlink(filepath.Base(dir), link) // a convenience: a file system without links does without
	}
	return nil
}
