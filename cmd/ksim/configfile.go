package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/history"
)

// configFile is the part of ksim.yaml that run and load read. A field that
// nobody knows is an error with its line. Secrets never stand in it: they come
// from the environment.
type configFile struct {
	Kafka    kafkaFile    `yaml:"kafka"`
	Subject  subjectFile  `yaml:"subject"`
	Promises promisesFile `yaml:"promises"`
	Topic    topicFile    `yaml:"topic"`
	Batch    batchFile    `yaml:"batch"`
	Protocol string       `yaml:"protocol"`
	Static   bool         `yaml:"static"`
	Seed     int64        `yaml:"seed"`
}

type kafkaFile struct {
	Backend string   `yaml:"backend"` // as --kafka
	Brokers []string `yaml:"brokers"` // as --brokers; make the backend external where nothing else says what it is
	Prefix  string   `yaml:"prefix"`  // of every topic that ksim makes there
	TLS     *tlsFile `yaml:"tls"`
	SASL    struct {
		Mechanism string `yaml:"mechanism"` // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	} `yaml:"sasl"`
}

type tlsFile struct {
	CA         string `yaml:"ca"`   // PEM file; the system's authorities if absent
	Cert       string `yaml:"cert"` // PEM file of a client certificate
	Key        string `yaml:"key"`
	ServerName string `yaml:"server-name"`
}

type subjectFile struct {
	Command []string          `yaml:"command"`
	Env     map[string]string `yaml:"env"`
	Members int               `yaml:"members"`
}

type topicFile struct {
	Partitions int32 `yaml:"partitions"`
	Keys       int   `yaml:"keys"`
	Size       int   `yaml:"size"`
}

type batchFile struct {
	Size int `yaml:"size"`
}

type promisesFile struct {
	Delivery          string        `yaml:"delivery"`
	Order             string        `yaml:"order"`
	Poison            string        `yaml:"poison"`
	GracefulStop      *bool         `yaml:"graceful-stop"`
	Drain             *bool         `yaml:"drain"`
	MaxAttempts       int           `yaml:"max-attempts"`
	MinBackoff        time.Duration `yaml:"min-backoff"`
	MaxReprocessed    int           `yaml:"max-reprocessed"`
	DeadLetterHeaders string        `yaml:"dead-letter-headers"`
	Recovery          time.Duration `yaml:"recovery"`
	Isolation         string        `yaml:"isolation"` // read_committed or read_uncommitted
}

// readConfig reads the file at path; "" is an empty one.
func readConfig(path string) (configFile, error) {
	var c configFile
	if path == "" {
		return c, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read the config: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("config %s: %w", path, err)
	}
	return c, nil
}

// apply sets in cfg what the file says about everything that a flag of that name sets.
func (c configFile) apply(flag string, cfg *harness.Config) {
	switch {
	case flag == "members" && c.Subject.Members > 0:
		cfg.Members = c.Subject.Members
	case flag == "partitions" && c.Topic.Partitions > 0:
		cfg.Partitions = c.Topic.Partitions
	case flag == "batch-size" && c.Batch.Size > 0:
		cfg.BatchSize = c.Batch.Size
	case flag == "seed" && c.Seed != 0:
		cfg.Seed = c.Seed
	case flag == "size" && c.Topic.Size > 0:
		cfg.Size = c.Topic.Size
	case flag == "keys" && c.Topic.Keys > 0:
		cfg.Keys = c.Topic.Keys
	case flag == "protocol" && c.Protocol != "":
		cfg.Protocol = c.Protocol
	case flag == "static" && c.Static:
		cfg.Static = true
	}
}

func (p promisesFile) apply(to *history.Promises) {
	for dst, v := range map[*string]string{
		&to.Delivery: p.Delivery, &to.Order: p.Order, &to.Poison: p.Poison, &to.DeadLetterHeaders: p.DeadLetterHeaders,
		&to.Isolation: p.Isolation,
	} {
		if v != "" {
			*dst = v
		}
	}
	for dst, v := range map[*bool]*bool{&to.GracefulStop: p.GracefulStop, &to.Drain: p.Drain} {
		if v != nil {
			*dst = *v
		}
	}
	for dst, v := range map[*int]int{&to.MaxAttempts: p.MaxAttempts, &to.MaxReprocessed: p.MaxReprocessed} {
		if v > 0 {
			*dst = v
		}
	}
	for dst, v := range map[*time.Duration]time.Duration{&to.MinBackoff: p.MinBackoff, &to.Recovery: p.Recovery} {
		if v > 0 {
			*dst = v
		}
	}
}
