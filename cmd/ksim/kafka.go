package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/backend/containers"
)

// kafkaOptions say where Kafka is.
type kafkaOptions struct {
	backend string
	image   string
	brokers []string
	disk    string // of each broker in a container; "" has no limit
	file    kafkaFile
}

// kafkaSource is where the scenarios of a run get their Kafka from, and what is
// to be closed after it.
type kafkaSource struct {
	harness.Provider
	shared backend.Kafka // nil for the embedded one: each scenario has its own
	label  string        // for the report
	prefix string        // of topics; "" for the default
}

// register adds the flags; brokers is the help of --brokers.
func (o *kafkaOptions) register(cmd *cobra.Command, brokers string) {
	f := cmd.Flags()
	f.StringVar(&o.backend, "kafka", "embedded", "where Kafka is: auto (containers where Docker answers, else embedded), embedded, containers or external")
	f.StringVar(&o.image, "kafka-image", "", "image for --kafka containers (default: the one made by 'make kafka-image' if it is there, else the official one)")
	f.StringSliceVar(&o.brokers, "brokers", nil, brokers)
	f.StringVar(&o.disk, "broker-disk", "", "with --kafka containers: what each broker can keep, like 512MiB, in memory; a scenario can fill it then")
}

// choose settles which backend it is, of the flag, the config file and the default.
func (o *kafkaOptions) choose(given bool) error {
	switch {
	case given:
	case o.file.Backend != "":
		o.backend = o.file.Backend
	case len(o.file.Brokers) > 0:
		o.backend = "external"
	}
	if !slices.Contains([]string{"auto", "embedded", "containers", "external"}, o.backend) {
		return fmt.Errorf("there is no backend %q; choose auto, embedded, containers or external", o.backend)
	}
	if o.disk != "" && o.backend != "containers" && o.backend != "auto" {
		return fmt.Errorf("--broker-disk goes with --kafka containers, not with --kafka %s", o.backend)
	}
	switch o.backend {
	case "external":
		return nil
	case "containers":
		_, errCount := o.count()
		_, errDisk := o.diskBytes()
		return errors.Join(errCount, errDisk)
	}
	if len(o.brokers) > 0 {
		return fmt.Errorf("--brokers goes with --kafka external or containers, not with --kafka %s", o.backend)
	}
	if len(o.file.Brokers) > 0 {
		return fmt.Errorf("kafka.brokers in the config goes with --kafka external or containers, not with --kafka %s", o.backend)
	}
	return nil
}

// count is how many brokers to start in containers.
func (o *kafkaOptions) count() (int, error) {
	asked := o.brokers
	if len(asked) == 0 {
		asked = o.file.Brokers
	}
	switch {
	case len(asked) == 0, len(asked) == 1 && asked[0] == "1":
		return 1, nil
	case len(asked) == 1 && asked[0] == "3":
		return 3, nil
	}
	return 0, fmt.Errorf("with --kafka containers, --brokers says how many: choose 1 or 3, not %s; addresses go with --kafka external", strings.Join(asked, ","))
}

// diskBytes is how much each broker in a container may keep; 0 is no limit.
func (o *kafkaOptions) diskBytes() (int64, error) {
	text := cmp.Or(o.disk, o.file.BrokerDisk)
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || strings.Contains(text, ",") || n < containers.MinDisk || n > 1<<40 {
		return 0, fmt.Errorf("--broker-disk takes a size from %s to 1TiB, like 512MiB, and not %q", humanize.IBytes(containers.MinDisk), text)
	}
	return int64(n), nil
}

// settle makes of auto what can be had here.
func (o *kafkaOptions) settle(ctx context.Context, stderr io.Writer) error {
	if o.backend != "auto" {
		return nil
	}
	o.backend = "containers"
	if _, err := containers.Prepare(ctx, o.image); err != nil {
		if !o.embeddedInstead(err) {
			return err
		}
		o.backend = "embedded"
		reason, _, _ := strings.Cut(err.Error(), ";") // what follows is what to do, which is being done
		_, _ = fmt.Fprintf(stderr, "ksim: --kafka auto takes embedded: %s\n", strings.Join(strings.Fields(reason), " "))
	}
	return nil
}

// open checks that Kafka can be had and, but for the embedded one, starts it.
func (o *kafkaOptions) open(ctx context.Context, runID string, stderr io.Writer) (*kafkaSource, error) {
	if err := o.settle(ctx, stderr); err != nil {
		return nil, err
	}
	switch o.backend {
	case "embedded":
		return &kafkaSource{Provider: harness.Fresh(startEmbedded), label: "embedded (" + backend.EmbeddedVersion() + ")"}, nil
	case "containers":
		n, err := o.count()
		if err != nil {
			return nil, err
		}
		_, _ = fmt.Fprintln(stderr, map[int]string{1: "starting Kafka in a container", 3: "starting Kafka in three containers"}[n])
		disk, err := o.diskBytes()
		if err != nil {
			return nil, err
		}
		k, err := containers.Start(ctx, containers.Config{Image: o.image, RunID: runID, Brokers: n, DiskBytes: disk})
		if err != nil {
			return nil, err
		}
		return shared(k, ""), nil
	case "external":
		cfg, err := o.external()
		if err != nil {
			return nil, err
		}
		k, err := backend.NewExternal(ctx, cfg)
		if err != nil {
			return nil, err
		}
		return shared(k, cfg.Prefix), nil
	}
	return nil, fmt.Errorf("there is no backend %q; choose auto, embedded, containers or external", o.backend)
}

// embeddedInstead tells whether err means that there are no containers to be
// had here. An image that was asked for by name and is not there is a mistake.
func (o *kafkaOptions) embeddedInstead(err error) bool {
	return errors.Is(err, containers.ErrNoDocker) || o.image == "" && errors.Is(err, containers.ErrNoImage)
}

// lend lets what cfg describes run on what open has started.
func (s *kafkaSource) lend(cfg *harness.Config) {
	cfg.Kafka = s
	if s.prefix != "" {
		cfg.TopicPrefix = s.prefix
	}
}

func startEmbedded(ctx context.Context) (backend.Kafka, error) {
	return backend.NewEmbedded(ctx, backend.EmbeddedConfig{})
}

func shared(k backend.Kafka, prefix string) *kafkaSource {
	return &kafkaSource{Provider: harness.Shared(k), shared: k, label: k.Name() + " (" + k.Version() + ")", prefix: prefix}
}

// Close stops what open has started.
func (s *kafkaSource) Close() error {
	if s.shared == nil {
		return nil
	}
	return s.shared.Close()
}

// external puts flags and config file together.
func (o *kafkaOptions) external() (backend.ExternalConfig, error) {
	cfg := backend.ExternalConfig{Brokers: o.brokers, Prefix: o.file.Prefix}
	if len(cfg.Brokers) == 0 {
		cfg.Brokers = o.file.Brokers
	}
	if len(cfg.Brokers) == 0 {
		return cfg, errors.New("--kafka external needs --brokers, or kafka.brokers in the config")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = backend.DefaultPrefix
	}
	cfg.SASL = o.file.SASL.Mechanism
	if t := o.file.TLS; t != nil {
		cfg.TLS = &backend.TLS{CAFile: t.CA, CertFile: t.Cert, KeyFile: t.Key, ServerName: t.ServerName}
	}
	return cfg, nil
}
