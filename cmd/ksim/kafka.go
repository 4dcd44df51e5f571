package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/backend/containers"
)

// kafkaOptions say where Kafka is.
type kafkaOptions struct {
	backend string
	image   string
	brokers []string
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

// open checks that Kafka can be had and, but for the embedded one, starts it.
func (o *kafkaOptions) open(ctx context.Context, runID string) (*kafkaSource, error) {
	choice := o.backend
	if choice == "auto" {
		choice = "embedded"
		if _, err := containers.Prepare(ctx, o.image); err == nil {
			choice = "containers"
		}
	}
	if len(o.brokers) > 0 && choice != "external" {
		return nil, fmt.Errorf("--brokers goes with --kafka external, not with --kafka %s", choice)
	}
	switch choice {
	case "embedded":
		return &kafkaSource{Provider: harness.Fresh(startEmbedded), label: "embedded (" + backend.EmbeddedVersion() + ")"}, nil
	case "containers":
		k, err := containers.Start(ctx, containers.Config{Image: o.image, RunID: runID})
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
