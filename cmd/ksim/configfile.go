package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/internal/strictyaml"
	"github.com/ksim-dev/ksim/scenarios/script"
)

// configFile is the part of ksim.yaml that run and load read. Secrets never stand in it: they
// come from the environment.
type configFile struct {
	Subject  subjectFile     `doc:"the consumer to judge"`
	Promises script.Promises `doc:"what it promises: delivery, order, poison, and more; see guarantees.md"`
	Topic    topicFile       `doc:"what it is sent"`
	Batch    batchFile
	Protocol string    `values:"classic|consumer" doc:"of the group; consumer is KIP-848"`
	Static   bool      `doc:"static membership (KIP-345)"`
	Checks   []string  `doc:"to judge by; all if there are none"`
	Seed     int64     `doc:"of everything that is drawn"`
	Kafka    kafkaFile `doc:"where Kafka is"`
}

type subjectFile struct {
	Command  []string          `doc:"started once for each member; placeholders like {bootstrap_servers} are filled in"`
	Env      map[string]string `doc:"variables of its own names, with placeholders"`
	Members  int               `doc:"how many are started"`
	Evidence string            `values:"effects|commits|outputs" doc:"what shows that a record was processed, as --evidence"`
	Outputs  outputsFile       `doc:"of evidence outputs, if they are in a database"`
	Lag      lagFile           `doc:"labels of promises.lag-metric, if they are not topic and partition"`
}

type outputsFile struct {
	URL   string `doc:"postgres://, or the path of an SQLite file"`
	Query string `doc:"its first column names the record"`
}

type lagFile struct{ TopicLabel, PartitionLabel string }

type topicFile struct {
	Partitions int32
	Keys       int `doc:"distinct keys"`
	Size       int `doc:"bytes of a value"`
}

type batchFile struct {
	Size int `doc:"records in a batch at most: KSIM_BATCH_SIZE"`
}

type kafkaFile struct {
	Backend    string   `values:"auto|embedded|containers|external" doc:"as --kafka"`
	Brokers    []string `doc:"host:port of some; they make the backend external where nothing else says what it is"`
	BrokerDisk string   `doc:"as --broker-disk"`
	Prefix     string   `doc:"of every topic that ksim makes there"`
	TLS        *tlsFile `doc:"for brokers that ask for it; {} trusts the authorities of the system"`
	SASL       saslFile `doc:"user and password come from KSIM_SASL_USERNAME and KSIM_SASL_PASSWORD"`
}

type tlsFile struct {
	CA         string `doc:"PEM file of the authorities to trust"`
	Cert       string `doc:"PEM file of a client certificate"`
	Key        string `doc:"PEM file of its key"`
	ServerName string `doc:"name that the brokers' certificates bear, if not their host"`
}

type saslFile struct {
	Mechanism string `values:"PLAIN|SCRAM-SHA-256|SCRAM-SHA-512"`
}

// defaultConfig is read where nothing else is asked for and it is there.
const defaultConfig = "ksim.yaml"

// readConfig reads the file at path; where that is "", ksim.yaml in the working directory, or nothing.
// The error tells all that is wrong with it, with lines.
func readConfig(path string) (configFile, error) {
	var c configFile
	text, err := os.ReadFile(cmp.Or(path, defaultConfig))
	if path == "" && errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the config: %w", err)
	}
	var d strictyaml.Decoder
	docs := strictyaml.Documents(text, "subject: {members: 3}", &d.Problems)
	if len(docs) > 1 {
		d.Add(docs[1].Line, "a second document begins here: a file holds one")
	} else if len(docs) == 1 {
		d.Decode(docs[0].Root, &c)
	}
	if err := d.Err(cmp.Or(path, defaultConfig) + ":"); err != nil {
		return configFile{}, fmt.Errorf("the config cannot be read; docs/ksim-yaml.md has its fields\n%w", err)
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
